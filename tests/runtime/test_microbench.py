"""Measuring a machine: what is timed, how its times are read, and the fit."""

from collections import Counter

import numpy as np
import pytest

from sparsepass.algorithms import ALGORITHMS, DENSE
from sparsepass.cost import kind
from sparsepass.errors import UsageError
from sparsepass.profile import nearest
from sparsepass.runtime import fitting, microbench
from sparsepass.runtime.library import target
from sparsepass.runtime.microbench import correct_profile, measure_profile, sample_nodes
from sparsepass.runtime.profiling import node_runs
from sparsepass.runtime.sample_layers import Shape, sample_layers, sample_shapes
from sparsepass.runtime.sample_networks import Timed, low_times, time_sample_nodes

TARGET = target()
SMALL = (
    Shape(32, 16, 6, 3), Shape(16, 32, 6, 1, residual=True), Shape(3, 16, 6, 3, 2),
    Shape(16, 16, 6, 3, 1, 16), Shape(10, 6, 6, 1), Shape(16, 10, 0, 0), Shape(8, 8, 20, 3, axes=1),
)  # fmt: skip


def event(name: str, operator: str, duration: int, index: int = 0) -> dict:
    return {
        "cat": "Node", "name": f"{name}_kernel_time", "dur": duration,
        "args": {
            "op_name": operator, "node_index": str(index),
            "input_type_shape": [{"float": [1, 2, 3, 4]}],
        },
    }  # fmt: skip


def test_samples_hold_enough_layers_of_every_kind():
    kinds = Counter(
        kind(DENSE, sample_layers(shape, "s", np.random.default_rng(0), 1)[0], 16)
        for shape in sample_shapes()
        if shape.channels * shape.filters < 1 << 20
    )

    assert set(kinds) == {
        "pointwise", "spatial", "first", "first-pointwise", "grouped", "depthwise", "unblocked",
        "unblocked-groups", "product",
    }  # fmt: skip
    assert min(kinds.values()) >= fitting.FEWEST_SAMPLES


@pytest.mark.parametrize("shape", SMALL, ids=str)
def test_every_algorithm_is_timed_as_a_node_of_its_own(shape):
    rng = np.random.default_rng(0)
    found = list(sample_nodes(0, shape, TARGET, rng))

    timed = time_sample_nodes(found, 1, rng)

    assert DENSE in [c.row for c in found]
    assert {c.node for c in found} <= timed.nodes.keys()
    assert all(size > 0 for pairs in timed.passes.values() for size, _ in pairs)


def test_algorithms_are_timed_for_each_weight_that_gives_them_other_work():
    found = list(sample_nodes(0, Shape(32, 16, 6, 3), TARGET, np.random.default_rng(0)))

    rows = Counter(c.row.name for c in found if c.node.endswith(".0"))

    assert rows.pop("spmm") == microbench.SPARSITIES
    assert rows[DENSE.name] == 1
    assert set(rows.values()) == {1}


def test_times_are_low_ones_without_the_first_runs():
    warm = [event("a", "Conv", 1000), event("a", "Conv", 1000)]
    events = [*warm, *(event("a_nchwc", "Conv", d) for d in (7, 8, 5, 90)), {"cat": "Session"}]

    assert low_times(node_runs(events)) == Timed({"a": 5.0}, {})


def test_layout_changes_are_told_apart_by_their_index_and_carry_bytes():
    events = [
        event("ReorderInput", "ReorderInput", 10 * index, index)
        for _ in range(3)
        for index in (1, 2)
    ]

    assert low_times(node_runs(events)).passes == {"ReorderInput": [(96.0, 10.0), (96.0, 20.0)]}


def test_a_profile_is_measured_from_the_samples(monkeypatch):
    monkeypatch.setattr(microbench, "sample_shapes", lambda: iter([*SMALL] * 18))
    monkeypatch.setattr(microbench, "SECONDS", 0.0)
    monkeypatch.setattr(microbench, "OPERATOR_MAPS", {"m0": (16, 4)})
    seen = []

    profile = measure_profile(
        1, isa="baseline", progress=lambda done, total: seen.append((done, total))
    )

    measured = {row.name for row in ALGORITHMS if not row.prices}
    assert measured <= profile.rates.keys()
    assert profile.samples >= 18 * len(SMALL)
    assert seen[0][0] == 0
    assert seen[-1][0] == seen[-1][1]
    assert profile.threads == 1
    assert profile.target == target("baseline")
    assert profile.peak_gflops > 0


def test_a_few_layers_correct_the_profile_of_another_machine(monkeypatch):
    monkeypatch.setattr(microbench, "TABLES", (SMALL[:1], SMALL[1:2]))
    known = nearest(1, TARGET).model_copy(update={"cpu": "another"})

    profile = correct_profile(known, 1)

    assert profile.cpu != "another"
    assert "another" in profile.command
    assert profile.rates.keys() == known.rates.keys()
    spmm, before = profile.rates["spmm"]["spatial"], known.rates["spmm"]["spatial"]
    assert (spmm.macs, spmm.nodes) != (before.macs, before.nodes)
    assert spmm.median_error >= before.median_error


def test_prices_of_another_instruction_set_are_not_corrected():
    known = nearest(1, TARGET).model_copy(update={"isa": "baseline"})

    with pytest.raises(UsageError, match="without --quick"):
        correct_profile(known, 1)
