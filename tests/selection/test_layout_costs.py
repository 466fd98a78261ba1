"""Prices of given plans, against the integer programme and against their own definition."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from test_choice import COSTS, CUSTOM, algorithms, custom, dense, graph_of, named

from sparsepass.algorithms import DENSE
from sparsepass.layer import Epilogue
from sparsepass.selection import EXACT, LayoutCosts, choose, priced_offers

GRAPHS = {
    "chain": (graph_of("in>a a>b b>c c>d d>out"), ()),
    "resize between": (graph_of("in>a a>up up>b b>c c>d d>out", up="transparent Resize"), ()),
    "diamond": (
        graph_of("in>a a>b b>add a>c c>add add>d d>out", add="transparent Add"), ("b",),
    ),
    "one reader in NCHW": (graph_of("in>a a>b a>soft b>c c>d soft>out d>out", soft="nchw"), ()),
    "a blocked pool": (graph_of("in>a a>pool pool>b b>c c>d d>out", pool="blocked MaxPool"), ()),
}  # fmt: skip


def layers_of(residuals: tuple[str, ...]):
    return [
        named(name, epilogue=Epilogue(residual=True)) if name in residuals else named(name)
        for name in "abcd"
    ]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", GRAPHS)
def test_the_least_of_all_plans_is_what_the_integer_programme_finds(name, seed):
    graph, residuals = GRAPHS[name]
    rng = np.random.default_rng(seed)
    layers = layers_of(residuals)
    answers = {layer.name: [dense(10.0), custom(float(rng.uniform(7.0, 10.5)))] for layer in layers}
    prices = {
        layer.name: [c.price for c in priced_offers(layer, answers[layer.name], COSTS, EXACT)]
        for layer in layers
        if len(priced_offers(layer, answers[layer.name], COSTS, EXACT)) == 2
    }
    around = LayoutCosts(graph, layers, COSTS)

    def cost(lowered: dict[str, bool]) -> float:
        own = sum(prices[n][low] if n in prices else 10.0 for n, low in lowered.items())
        return own + around.total(around.sides([n for n, low in lowered.items() if low]))

    plans = [dict(zip("abcd", p, strict=True)) for p in product((False, True), repeat=4)]
    possible = [p for p in plans if all(n in prices for n, low in p.items() if low)]

    best = min(possible, key=cost)

    found = algorithms(choose(layers, answers, graph, COSTS))
    assert cost({n: a == CUSTOM for n, a in found.items()}) == pytest.approx(cost(best))
    assert set(found.values()) <= {DENSE.name, CUSTOM}


@pytest.mark.parametrize("name", GRAPHS)
def test_a_flip_is_the_difference_of_two_totals(name):
    graph, residuals = GRAPHS[name]
    around = LayoutCosts(graph, layers_of(residuals), COSTS)

    for lowered in product((False, True), repeat=4):
        names = frozenset(n for n, low in zip("abcd", lowered, strict=True) if low)
        sides = around.sides(names)
        for layer in "abcd":
            other = around.sides(names ^ {layer})
            assert around.flipped(layer, sides) == other
            assert around.flip(layer, sides) == pytest.approx(
                around.total(other) - around.total(sides)
            )


def test_the_rest_is_what_belongs_to_no_layer():
    graph = graph_of(
        "in>a a>relu relu>soft soft>flat flat>b b>out",
        relu="transparent Relu", soft="nchw Softmax", flat="nchw Reshape",
    )  # fmt: skip
    layers = [replace(named("a"), epilogue=Epilogue(activation="Relu")), named("b")]

    rest = LayoutCosts(graph, layers, COSTS).rest()

    # The softmax reads and writes a million bytes.
    assert rest == pytest.approx(COSTS.pass_over(2e6))
