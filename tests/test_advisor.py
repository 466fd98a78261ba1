"""Advice on small networks, with prices that can be worked out by hand."""

import itertools
import time
from dataclasses import replace

import networkx as nx
import numpy as np
import pytest
from test_choice import graph_of

from sparsepass.advisor import CURVE, FIRST, advise
from sparsepass.algorithms import DENSE
from sparsepass.cost import CostModel
from sparsepass.layer import Layer
from sparsepass.profile import Transfer
from sparsepass.sparsity import ActivationStats, Stats, weight_stats
from sparsepass.what_if import Network
from test_cost import layer_of, rates
from test_profile import profile_of

SPARSE, ENCODED = "spmm", "cpo"
# A multiply-add of a sparse kernel costs twice a dense one: it wins from half of the zeros on.
PRICES = {
    DENSE.name: {"spatial": rates(macs=1000, median_error=0)},
    SPARSE: {"spatial": rates(macs=2000, median_error=0)},
    ENCODED: {"spatial": rates(macs=1000, median_error=0)},
}


def network_of(
    *layers: Layer, change: float = 0.0, input_zeros: float | None = None, prices=PRICES
) -> Network:
    costs = CostModel(
        profile_of(
            isa="avx512", rates=prices, median_error=0.05,
            to_blocked=Transfer(fixed=change, bytes=0),
            from_blocked=Transfer(fixed=change, bytes=0),
        )
    )  # fmt: skip
    names = ["in", *(layer.name for layer in layers), "out"]
    edges = " ".join(f"{a}>{b}" for a, b in itertools.pairwise(names))
    known = None if input_zeros is None else zeros_of(input_zeros)
    return Network(
        layers=layers,
        stats={layer.name: Stats(weight_stats(layer), known) for layer in layers},
        layouts=graph_of(edges),
        target=costs.target,
        costs=costs,
    )


def zeros_of(share: float) -> ActivationStats:
    return ActivationStats(
        zeros_mean=share, zeros_p10=share, zeros_p90=share, dead_channels=0.0,
        dense_groups=0.0, empty_groups=0.0, samples=1,
    )  # fmt: skip


def layer(name: str, kept: float = 1.0, filters: int = 64, size: int = 32) -> Layer:
    return replace(layer_of(64, filters, size=size, kept=kept), name=name)


def test_a_layer_pays_from_where_the_sparse_kernel_wins_by_the_margin():
    advice = advise(network_of(layer("a"), layer("b")), 1)

    found = advice.layer("b")

    # Half of the work at twice the price, five percent of margin, idle lanes at the edges.
    assert found.pays_from == pytest.approx(0.53, abs=0.03)
    assert found.enough_at == pytest.approx(0.955, abs=0.03)


def test_savings_are_of_the_sparse_kernel_over_the_dense_one():
    network = network_of(layer("a"), layer("b"))
    dense = network.layers[1].macs / 1e6 * 1000

    savings = advise(network, 1).layer("b").savings_us

    assert savings["90%"] == pytest.approx(0.8 * dense, rel=0.05)
    assert savings["2:4"] == 0
    assert savings["1:4"] == pytest.approx(0.5 * dense, rel=0.1)
    assert list(savings) == ["70%", "80%", "90%", "2:4", "1:4", "1x4 at 80%"]


def test_layout_changes_are_counted():
    change = 1000.0
    free, dear = (
        advise(network_of(layer("a"), layer("b"), layer("c"), change=c), 1).layer("b")
        for c in (0.0, change)
    )

    # A sparse layer between two dense ones brings a change before it and one behind.
    assert dear.savings_us["90%"] == pytest.approx(free.savings_us["90%"] - 2 * change, rel=1e-6)
    assert dear.pays_from > free.pays_from


def test_what_is_pruned_already_saves_nothing():
    advice = advise(network_of(layer("a", kept=0.1), layer("b", kept=0.1)), 1)

    found = advice.layer("b")

    assert found.savings_us["70%"] == found.savings_us["80%"] == found.savings_us["2:4"] == 0
    assert found.algorithm == SPARSE
    assert found.pays_from == pytest.approx(0.53, abs=0.03)


def test_a_layer_that_nothing_helps_says_so():
    advice = advise(network_of(layer("a"), replace(layer_of(32, groups=32), name="b")), 1)

    assert advice.layer("b").pays_from is None
    assert set(advice.layer("b").savings_us.values()) == {0.0}
    assert advice.layer("b").worth_more == "neither"


@pytest.mark.parametrize(
    ("kept", "input_zeros", "expected"),
    [(1.0, None, "neither"), (0.1, None, "weights"), (0.1, 0.5, "weights"), (0.8, 0.9, "input")],
)
def test_zeros_of_input_and_weight_are_told_apart(kept, input_zeros, expected):
    advice = advise(network_of(layer("a", kept), layer("b", kept), input_zeros=input_zeros), 1)

    assert advice.layer("b").worth_more == expected


def test_first_come_the_layers_that_save_most_but_not_the_first_of_the_network():
    layers = [layer("a", filters=64, size=40), *(layer(f"l{i}", size=32 - i) for i in range(12))]

    advice = advise(network_of(*layers), 1)

    assert [found.layer for found in advice.first] == [f"l{i}" for i in range(FIRST)]
    times = [advice.now_us, *(found.network_us for found in advice.first)]
    saved = [found.saves_us for found in advice.first]
    assert [a - b for a, b in itertools.pairwise(times)] == pytest.approx(saved)


def test_the_curve_rises_and_batches_are_their_own():
    advice = advise(network_of(layer("a"), layer("b")), 1)

    assert [curve.batch for curve in advice.curves] == [1, 16]
    for curve in advice.curves:
        speedups = [point.speedup for point in curve.points]
        assert speedups == sorted(speedups)
        assert [point.zeros for point in curve.points] == [zeros / 100 for zeros in CURVE]
    one, many = (curve.dense_us for curve in advice.curves)
    assert many == pytest.approx(16 * one, rel=0.01)


def test_the_batch_of_the_plan_does_not_change_the_curves():
    once = network_of(layer("a"), layer("b"))
    twice = once.at_batch(2)

    one, two = (advise(n, b) for n, b in ((once, 1), (twice, 2)))

    assert two.curves == one.curves
    assert two.dense_us == pytest.approx(2 * one.dense_us, rel=0.01)


def test_images_that_may_go_one_by_one_do_where_that_is_faster():
    # Input bytes of a large batch cost more than 16 times those of one image.
    network = network_of(layer("a"), layer("b"))

    together, apart = (advise(network, 1, apart=a).curves[1].points for a in (False, True))

    assert all(a.network_us <= t.network_us for a, t in zip(apart, together, strict=True))


def test_two_runs_give_the_same_advice():
    network = network_of(layer("a", kept=0.5), layer("b"))

    assert advise(network, 1) == advise(network, 1)


def test_a_layer_of_fifty_advised_in_time():
    layers = [layer(f"l{i}", size=16) for i in range(50)]
    started = time.process_time()

    advise(network_of(*layers), 1)

    # A hundred times what it takes: only a loop over plans for every question takes longer.
    assert time.process_time() - started < 100


def test_layers_below_others_are_not_the_first():
    network = network_of(layer("a"), layer("b"))
    graph = network.layouts
    nx.set_node_attributes(graph, {"in": ""}, "op_type")

    advice = advise(replace(network, layouts=graph), 1)

    assert "a" not in [found.layer for found in advice.first]
    assert np.isfinite(advice.now_us)
