"""Counted work to microseconds, with prices that can be worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from sparsepass.algorithms import DENSE, Option, Work, algorithm, dense_work, held_bytes
from sparsepass.cost import FEATURES, CostModel, features, kind
from sparsepass.errors import PlanError
from sparsepass.layer import Layer
from sparsepass.profile import Rates, Transfer
from sparsepass.sparsity import Moments, Stats, weight_stats
from sparsepass.target import Target, block_of
from test_profile import profile_of

FREE = dict.fromkeys(FEATURES, 0.0) | {"samples": 9, "median_error": 0.1, "worst_error": 0.3}


def rates(**prices: float) -> Rates:
    return Rates.model_validate(FREE | prices)


def layer_of(
    channels: int = 32, filters: int = 32, size: int = 8, kernel: int = 3, groups: int = 1,
    axes: int = 2, kept: float = 1.0,
) -> Layer:  # fmt: skip
    rng = np.random.default_rng(0)
    dims = (filters, channels // groups, *(kernel,) * axes)
    return Layer(
        name="layer", op_type="Conv" if axes else "Gemm", batch=1, groups=groups,
        kernel=(kernel,) * axes, strides=(1,) * axes, dilations=(1,) * axes,
        pads=(kernel // 2,) * 2 * axes, input_spatial=(size,) * axes,
        weight=rng.standard_normal(dims, np.float32) * (rng.random(dims) < kept),
        bias=np.zeros(filters, np.float32),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (layer_of(), "spatial"),
        (layer_of(kernel=1), "pointwise"),
        (layer_of(channels=3), "first"),
        (layer_of(channels=8, kernel=1), "first-pointwise"),
        (layer_of(groups=2), "grouped"),
        (layer_of(groups=32), "depthwise"),
        (layer_of(channels=30, filters=30), "unblocked"),
        (layer_of(groups=4), "unblocked-groups"),
        (layer_of(axes=1), "unblocked"),
        (layer_of(axes=3, size=3), "unblocked"),
        (layer_of(axes=0), "product"),
    ],
)
def test_dense_layers_are_priced_by_the_kernel_that_runs_them(layer, expected):
    assert kind(DENSE, layer, 16) == expected


@pytest.mark.parametrize(("size", "expected"), [(1, "pointwise"), (3, "spatial")])
def test_custom_ops_do_not_care_for_the_layout_of_onnxruntime(size, expected):
    spmm = algorithm("spmm")
    assert spmm is not None

    assert kind(spmm, layer_of(channels=6, groups=2, kernel=size), 16) == expected


def test_a_time_is_the_sum_of_prices_times_counts():
    prices = rates(nodes=3, macs=2, moves=5, copied_bytes=7)
    model = CostModel(profile_of(rates={"dense": {"spatial": prices}}))
    work = Work(1e6, 0, 0, 0, nodes=2, idle_macs=1e6, moves=2e6, copied_bytes=1e6)

    # 2 nodes, 2 million multiply-adds (half of them idle), 2 million moves, a million bytes
    assert model.predict("dense", layer_of(), work) == pytest.approx(3 * 2 + 2 * 2 + 5 * 2 + 7)


def test_every_count_has_a_price():
    assert len(features(Work(1, 1, 1, 1))) == len(FEATURES)
    assert set(FEATURES) < set(Rates.model_fields)


def test_a_kind_without_prices_takes_those_of_the_kind_measured_most():
    many, few = rates(nodes=5, samples=50), rates(nodes=7, samples=6)
    model = CostModel(profile_of(rates={"dense": {"first": few, "pointwise": many}}))

    assert model.predict("dense", layer_of(), Work(0, 0, 0, 0)) == 5


def test_an_algorithm_without_prices_is_an_error_that_names_the_remedy():
    model = CostModel(profile_of())

    assert not model.knows("spmm")
    with pytest.raises(PlanError, match=r"spmm.*sparsepass calibrate"):
        model.predict("spmm", layer_of(), Work(0, 0, 0, 0))


def test_a_chain_costs_what_its_dense_layers_cost():
    layer = layer_of(filters=64)
    basis = np.random.default_rng(1).standard_normal((64, 64))
    stats = Stats(weight_stats(layer), output=Moments(np.ones(64), basis @ basis.T, 1000))
    row = algorithm("low-rank")
    assert row is not None
    model = CostModel(
        profile_of(rates={"dense": {"spatial": rates(macs=1e6), "pointwise": rates(nodes=1e9)}})
    )

    option = row.options(layer, stats, model.target)[0]

    rank = option.parameters["rank"]
    first = dense_work(replace(layer, weight=layer.weight[:rank]), model.target.block)
    assert model.price(row, layer, option) == pytest.approx(first.macs + first.idle_macs + 1e9)


def test_a_chain_beside_an_op_is_paid_besides_with_the_layout_changes_around_it():
    layer, row = layer_of(filters=64), algorithm("low-rank-sparse")
    assert row is not None
    first, last = layer_of(filters=8), layer_of(channels=8, filters=64, kernel=1)
    option = Option(Work(1e6, 0, 0, 0), chain=(first, last))
    dense = {"spatial": rates(nodes=1e3), "first-pointwise": rates(nodes=1e2)}
    model = CostModel(
        profile_of(
            rates={"dense": dense, "spmm": {"spatial": rates(macs=5)}},
            to_blocked=Transfer(fixed=2e4, bytes=0), from_blocked=Transfer(fixed=3e5, bytes=0),
        )
    )  # fmt: skip

    assert model.target.block == 8
    # Eight channels are a block: they are read as such.
    assert kind(DENSE, last, 8) == "pointwise"
    assert model.price(row, layer, option) == pytest.approx(5 + 2 * 1e3 + 2e4 + 3e5)


def test_what_a_chain_beside_an_op_holds_counts():
    layer, row = layer_of(filters=64), algorithm("low-rank-sparse")
    assert row is not None
    option = Option(Work(0, 0, 0, 100), {"rank": 8}, chain=(layer_of(filters=8),))
    stats, target = Stats(weight_stats(layer)), Target("avx2", 8)
    stats.once(("options", row.name, target), lambda: (option,))

    assert held_bytes(layer, stats, target, row.name, {"rank": 8}) == 100 + 4 * 8 * 32 * 9


def test_layout_changes_and_passes_are_priced_by_their_bytes():
    model = CostModel(
        profile_of(
            to_blocked=Transfer(fixed=1, bytes=10), from_blocked=Transfer(fixed=2, bytes=20),
            pass_over=Transfer(fixed=3, bytes=30),
            unblocked={"Resize": Transfer(fixed=4, bytes=40)},
        )
    )  # fmt: skip

    assert (model.to_blocked(1e6), model.from_blocked(1e6)) == (11, 22)
    assert (model.pass_over(1e6), model.unblocked("Resize", 1e6)) == (33, 44)
    assert model.unblocked("Relu", 1e6) == 0


def test_the_block_of_a_profile_goes_before_that_of_its_instruction_set():
    targets = [CostModel(profile_of(isa="avx2", block=block)).target for block in (None, 16)]

    assert targets == [Target("avx2", 8), Target("avx2", 16)]


def test_the_block_is_that_of_the_instruction_set():
    assert (block_of("avx512"), block_of("avx2"), block_of("baseline")) == (16, 8, 8)
