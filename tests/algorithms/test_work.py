"""What algorithms count as their work."""

from dataclasses import replace

import numpy as np
import pytest

from sparsepass.algorithms import ALGORITHMS, dense_work
from sparsepass.cost import features
from sparsepass.layer import Epilogue
from sparsepass.sparsity import Stats, weight_stats
from test_cost import layer_of


@pytest.mark.parametrize("row", ALGORITHMS, ids=lambda row: row.name)
def test_work_is_counted_in_full(row):
    layer = layer_of(kept=0.2)
    stats = Stats(weight_stats(layer))
    if reason := row.refuse(layer, stats):
        pytest.skip(reason)

    for option in row.options(layer, stats):
        assert all(np.isfinite(amount) and amount >= 0 for amount in features(option.work))
        assert option.work.macs > 0
        assert option.work.output_bytes == 4 * layer.output_size


def test_a_residual_is_read():
    layer = layer_of()
    added = replace(layer, epilogue=Epilogue(residual=True))

    assert dense_work(added).input_bytes - dense_work(layer).input_bytes == 4 * layer.output_size


def test_blocks_that_channels_do_not_fill_are_idle_work():
    full, odd = dense_work(layer_of(kernel=1)), dense_work(layer_of(20, 20, kernel=1))

    assert full.idle_macs == 0
    assert odd.macs + odd.idle_macs == full.macs
