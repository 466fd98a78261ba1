"""What algorithms count as their work."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from sparsepass.algorithms import ALGORITHMS, dense_work
from sparsepass.cost import features
from sparsepass.layer import Epilogue
from sparsepass.sparsity import Stats, weight_stats
from sparsepass.target import Target
from sparsepass.tuning import InstructionSet
from test_cost import layer_of

TARGETS = [Target(isa, block) for isa in get_args(InstructionSet) for block in (8, 16)]


@pytest.mark.parametrize("target", TARGETS, ids=str)
@pytest.mark.parametrize("row", ALGORITHMS, ids=lambda row: row.name)
def test_work_is_counted_in_full(row, target):
    layer = layer_of(kept=0.2)
    stats = Stats(weight_stats(layer))
    if reason := row.refuse(layer, stats, target):
        pytest.skip(reason)

    for option in row.options(layer, stats, target):
        assert all(np.isfinite(amount) and amount >= 0 for amount in features(option.work))
        assert option.work.macs > 0
        assert option.work.output_bytes == 4 * layer.output_size


def test_a_residual_is_read():
    layer = layer_of()
    added = replace(layer, epilogue=Epilogue(residual=True))

    read, more = (dense_work(which, 16).input_bytes for which in (layer, added))

    assert more - read == 4 * layer.output_size


def test_blocks_that_channels_do_not_fill_are_idle_work():
    full, odd = (dense_work(layer_of(size, size, kernel=1), 16) for size in (32, 20))

    assert full.idle_macs == 0
    assert odd.macs + odd.idle_macs == full.macs
