"""Offers and refusals, and the plan as the least time of a whole graph."""

import itertools
import math
from dataclasses import replace

import networkx as nx
import numpy as np
import pytest

from sparsepass.algorithms import ALGORITHMS, DENSE
from sparsepass.cost import CostModel
from sparsepass.errors import PlanError
from sparsepass.layer import Epilogue, Layer
from sparsepass.plan import Offer, Refusal
from sparsepass.profile import Transfer
from sparsepass.selection import Limits, ask, choose, quality
from sparsepass.sensitivity import Response
from sparsepass.sparsity import Stats, weight_stats
from test_cost import layer_of, rates
from test_profile import profile_of

# Rows that stand for "runs in NCHW" and "runs where the dense layer would".
CUSTOM = next(row.name for row in ALGORITHMS if row.op)
CHAIN = next(row.name for row in ALGORITHMS if row.prices and not row.op)

# A change of layout costs 1 microsecond per million bytes; predictions are exact but for 5 %.
COSTS = CostModel(
    profile_of(
        isa="avx512",
        rates={
            row.name: {"spatial": rates(macs=1)} for row in ALGORITHMS if not row.prices
        },
        median_error=0.05,
        to_blocked=Transfer(fixed=0, bytes=1), from_blocked=Transfer(fixed=0, bytes=1),
        pass_over=Transfer(fixed=0, bytes=1), unblocked={"Resize": Transfer(fixed=0, bytes=1)},
    )
)  # fmt: skip


def named(name: str, **changes) -> Layer:
    return replace(layer_of(), name=name, **changes)


def dense(time: float, **known) -> Offer:
    return Offer(algorithm=DENSE.name, predicted=time, **known)


def custom(time: float, **known) -> Offer:
    return Offer(algorithm=CUSTOM, predicted=time, **known)


def chain(time: float, error: float, rank: int = 8) -> Offer:
    return Offer(algorithm=CHAIN, predicted=time, error=error, parameters={"rank": rank})


def graph_of(edges: str, size: float = 1e6, **kinds: str) -> "nx.DiGraph[str]":
    """A layout graph from ``a>b b>c``; nodes are layers but for ``in``, ``out`` and ``kinds``.

    A kind may have an operator: ``transparent Resize``.
    """
    graph = nx.DiGraph()
    for edge in edges.split():
        source, reader = edge.split(">")
        graph.add_edge(source, reader, value=source, bytes=size)
    for name in graph:
        given = kinds.get(name, "nchw" if name in ("in", "out") else "layer")
        what, _, operator = given.partition(" ")
        blocked = what != "nchw"
        graph.nodes[name].update(
            kind=what, op_type=operator, reads_blocked=blocked, writes_blocked=blocked
        )
    return graph


def algorithms(choices) -> dict[str, str]:
    return {choice.layer: choice.algorithm for choice in choices}


# --- offers and refusals -------------------------------------------------------------------------


def test_every_algorithm_bids_or_says_why_not():
    layer = layer_of(kept=0.3)

    answers = ask(layer, Stats(weight_stats(layer)), COSTS.target, COSTS)

    assert list(dict.fromkeys(b.algorithm for b in answers)) == [row.name for row in ALGORITHMS]
    assert answers[0].kind == "offer"


def test_the_caller_may_refuse_too():
    layer = layer_of(kept=0.3)

    answers = ask(
        layer, Stats(weight_stats(layer)), COSTS.target, COSTS,
        lambda row: "opset too old" if row.name == CUSTOM else None,
    )  # fmt: skip

    assert Refusal(algorithm=CUSTOM, reason="opset too old") in answers


def test_what_the_caller_refuses_is_not_asked():
    layer = layer_of(axes=0)

    answers = ask(layer, Stats(weight_stats(layer)), COSTS.target, COSTS, lambda row: "not here")

    assert {answer.reason for answer in answers if isinstance(answer, Refusal)} == {"not here"}


def test_an_algorithm_that_was_not_measured_is_refused():
    layer = layer_of(kept=0.3)
    costs = CostModel(profile_of())

    answers = ask(layer, Stats(weight_stats(layer)), costs.target, costs)

    refused = next(b for b in answers if b.algorithm == CUSTOM)
    assert isinstance(refused, Refusal)


# --- one layer -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("gain", "winner"), [(0.04, DENSE.name), (0.06, CUSTOM)])
def test_a_predicted_gain_has_to_exceed_five_percent(gain, winner):
    answers = {"a": [dense(100), custom(100 * (1 - gain))]}

    choices = choose([named("a")], answers, graph_of("in>a a>out", size=0), COSTS)

    assert algorithms(choices) == {"a": winner}


@pytest.mark.parametrize(("error", "winner"), [(0.1, CUSTOM), (0.3, DENSE.name)])
def test_a_profile_that_errs_more_asks_for_a_larger_gain(error, winner):
    prices = {"spatial": rates(macs=1)}
    costs = CostModel(profile_of(rates={DENSE.name: prices, CUSTOM: prices}, median_error=error))

    choices = choose(
        [named("a")], {"a": [dense(100), custom(80)]}, graph_of("in>a a>out", size=0), costs
    )

    assert algorithms(choices) == {"a": winner}


@pytest.mark.parametrize(
    ("measured", "winner"), [(99, DENSE.name), (97, CUSTOM), (101, DENSE.name)]
)
def test_measured_times_count_where_they_are_known(measured, winner):
    answers = {"a": [dense(200, measured=100), custom(50, measured=measured)]}

    choices = choose([named("a")], answers, graph_of("in>a a>out", size=0), COSTS)

    assert algorithms(choices) == {"a": winner}


def test_equal_offers_go_to_the_earlier_row():
    twins = [chain(50, 0.0, rank=16), chain(50, 0.0, rank=8)]

    (choice,) = choose(
        [named("a")], {"a": [dense(100), *twins]}, graph_of("in>a a>out", size=0), COSTS
    )

    assert choice.parameters == {"rank": 16}


def test_a_layer_without_a_dense_offer_is_an_error():
    with pytest.raises(PlanError, match="a: no dense offer"):
        choose([named("a")], {"a": [custom(1)]}, graph_of("in>a a>out"), COSTS)


# --- layouts -------------------------------------------------------------------------------------


def test_changes_of_layout_keep_a_layer_dense_that_alone_would_change():
    answers = {"a": [dense(10)], "b": [dense(10), custom(8.5)], "c": [dense(10)]}
    layers = [named(name) for name in "abc"]

    choices = choose(layers, answers, graph_of("in>a a>b b>c c>out"), COSTS)

    assert algorithms(choices) == dict.fromkeys("abc", DENSE.name)
    assert "layout changes" in choices[1].reason


def test_a_slower_offer_wins_where_it_saves_changes_of_layout():
    answers = {
        "a": [dense(10), custom(2)],
        "b": [dense(2), custom(2.5)],
        "c": [dense(10), custom(2)],
    }
    layers = [named(name) for name in "abc"]

    choices = choose(layers, answers, graph_of("in>a a>b b>c c>out"), COSTS)

    assert algorithms(choices) == dict.fromkeys("abc", CUSTOM)
    assert "saves layout changes" in choices[1].reason


def test_a_change_is_paid_once_for_all_readers():
    readers = [f"r{i}" for i in range(6)]
    answers = {name: [dense(10), custom(9.2)] for name in readers} | {"a": [dense(10)]}
    graph = graph_of(" ".join(["in>a", *(f"a>{r} {r}>out" for r in readers)]))

    choices = choose([named(name) for name in ("a", *readers)], answers, graph, COSTS)

    # Each gains 0.8 less the margin of 0.5; six together pay for one change, and NCHW is wanted
    # at the end: dense readers pay there.
    assert set(algorithms(choices).values()) == {DENSE.name, CUSTOM}


def test_a_node_that_follows_its_inputs_changes_nothing():
    answers = {"a": [dense(10), custom(5)], "b": [dense(10), custom(5)]}
    graph = graph_of("in>a a>relu relu>b b>out", relu="transparent")

    choices = choose([named("a"), named("b")], answers, graph, COSTS)

    assert set(algorithms(choices).values()) == {CUSTOM}


def test_an_operator_that_is_slow_in_nchw_keeps_its_neighbours_dense():
    answers = {"a": [dense(10), custom(8)], "b": [dense(10), custom(8)]}
    edges = "first>a a>up up>b b>last"

    fast, slow = (
        choose(
            [named("a"), named("b")], answers,
            graph_of(edges, up=up, first="blocked", last="blocked"),
            COSTS,
        )
        for up in ("transparent Relu", "transparent Resize")
    )  # fmt: skip

    assert set(algorithms(fast).values()) == {CUSTOM}
    assert set(algorithms(slow).values()) == {DENSE.name}


@pytest.mark.parametrize(
    ("pair", "time", "expected"),
    [
        (None, 4.8, DENSE.name),
        # 2 for the dense one, and 3 for the Concat, which reads and writes 3 million bytes.
        (("a", "b"), 4.8, CUSTOM),
        (("a", "b"), 5.0, DENSE.name),
    ],
)
def test_two_layers_share_an_op_where_that_saves_more_than_it_costs(pair, time, expected):
    graph = graph_of("in>a in>b a>c b>c c>out", c="nchw Concat")
    graph.nodes["c"]["pair"] = pair
    for name in ("a", "b"):
        graph.nodes[name].update(reads_blocked=False, writes_blocked=False)
    # The margin is a twentieth of the dense time.
    answers = {"a": [dense(8), custom(7)], "b": [dense(2), custom(time)]}

    choices = choose([named("a"), named("b")], answers, graph, COSTS)

    assert algorithms(choices) == {"a": CUSTOM, "b": expected}


def total(picked, layers, graph, margins) -> float:
    """Price of one assignment, computed forward through the graph."""
    blocked = {name: picked[name].algorithm != CUSTOM for name in picked}
    writes, reads = {}, {}
    time = sum(
        picked[name].predicted + (0 if picked[name].algorithm == DENSE.name else margins[name])
        for name in picked
    )
    for name in nx.topological_sort(graph):
        data = graph.nodes[name]
        if data["kind"] == "transparent":
            reads[name] = writes[name] = all(writes[p] for p in graph.predecessors(name))
            if not writes[name] and data["op_type"] == "Resize":
                ends = [*graph.predecessors(name), name]
                time += sum(graph.nodes[end]["size"] for end in ends) / 1e6
        else:
            own = blocked.get(name, data["kind"] == "blocked")
            reads[name] = own and data["reads_blocked"]
            writes[name] = own and data["writes_blocked"]
    for name in graph:
        wanted = {reads[reader] for reader in graph.successors(name)}
        time += len(wanted - {writes[name]}) * graph.nodes[name]["size"] / 1e6
    for layer in layers:
        if layer.epilogue.residual and writes[layer.name]:
            (addition,) = graph.successors(layer.name)
            if not writes[addition]:
                ends = [*graph.predecessors(addition), addition]
                time += sum(graph.nodes[end]["size"] for end in ends) / 1e6
    for name, pair in graph.nodes(data="pair"):
        if pair and all(picked[layer].algorithm == CUSTOM for layer in pair):
            ends = [*graph.predecessors(name), name]
            time -= sum(graph.nodes[end]["size"] for end in ends) / 1e6
    return time


def random_problem(seed: int):
    """A random network: layers, transparent nodes of one or two inputs, pools, other operators."""
    rng = np.random.default_rng(seed)
    graph = nx.DiGraph()
    layers, answers = [], {}
    graph.add_node("in", kind="nchw", op_type="", reads_blocked=False, writes_blocked=False)
    made = ["in"]

    def add(name: str, kind: str, inputs, operator: str = "") -> None:
        reads = kind != "nchw" and (kind != "layer" or bool(rng.random() < 0.85))
        graph.add_node(
            name, kind=kind, op_type=operator, reads_blocked=reads,
            writes_blocked=kind != "nchw" and (kind != "layer" or bool(rng.random() < 0.9)),
        )  # fmt: skip
        graph.add_edges_from((source, name) for source in inputs)
        made.append(name)

    for index in range(int(rng.integers(2, 6))):
        name = f"layer{index}"
        add(name, "layer", [made[int(rng.integers(max(0, len(made) - 3), len(made)))]])
        residual = bool(rng.random() < 0.3) and len(made) > 2
        layers.append(named(name, epilogue=Epilogue(residual=residual)))
        time = float(rng.uniform(1, 6))
        answers[name] = [dense(time)]
        if rng.random() < 0.8:
            answers[name].append(custom(time * float(rng.uniform(0.3, 1.2))))
        for rank in range(int(rng.integers(0, 3))):
            error = float(rng.uniform(0.01, 0.2))
            answers[name].append(chain(time * float(rng.uniform(0.2, 1)), error, rank))
        if residual:
            add(f"add{index}", "transparent", [name, made[-2]], "Add")
            # Nothing else reads what an Add is fused into.
            made.remove(name)
        elif rng.random() < 0.5:
            kind, operator = [("transparent", "Resize"), ("blocked", "MaxPool"), ("nchw", "LRN")][
                int(rng.integers(3))
            ]
            add(f"other{index}", kind, [name], operator)
        elif rng.random() < 0.5 and len(made) > 2:
            add(f"concat{index}", "transparent", [name, made[-3]], "Concat")
            if made[-3] in answers:
                graph.nodes[made[-1]]["pair"] = (made[-3], name)
    add("out", "nchw", [name for name in made if not list(graph.successors(name))])
    for name in graph:
        graph.nodes[name]["size"] = float(rng.uniform(0, 2e6))
        for reader in graph.successors(name):
            graph.edges[name, reader].update(value=name, bytes=graph.nodes[name]["size"])
    return layers, answers, graph


@pytest.mark.parametrize("seed", range(40))
def test_the_plan_is_the_best_of_all_plans(seed):
    layers, answers, graph = random_problem(seed)
    max_error = (0.0, 0.1, 0.2)[seed % 3]
    limit = 2.0 * len(layers) if seed % 2 else math.inf
    margins = {name: 0.05 * offers[0].predicted for name, offers in answers.items()}
    # Memory in numbers that make some plans too large.
    size = {DENSE.name: 2.0, CUSTOM: 1.0, CHAIN: 3.0}
    limits = Limits(
        max_error,
        max_bytes=None if limit == math.inf else limit,
        weight_bytes=lambda layer, offer: size[offer.algorithm],
    )

    choices = choose(layers, answers, graph, COSTS, limits)

    best = min(
        total(picked, layers, graph, margins)
        for offers in itertools.product(*answers.values())
        if math.hypot(*(o.error for o in offers)) <= max_error + 1e-12
        and sum(size[o.algorithm] for o in offers) <= limit
        for picked in [dict(zip(answers, offers, strict=True))]
    )
    picked = {
        c.layer: next(
            o
            for o in answers[c.layer]
            if (o.algorithm, o.parameters) == (c.algorithm, c.parameters)
        )
        for c in choices
    }
    assert math.hypot(*(o.error for o in picked.values())) <= max_error + 1e-9
    # Less than the tie-break of every layer.
    assert total(picked, layers, graph, margins) == pytest.approx(best, abs=1e-3 * len(layers))


# --- budgets -------------------------------------------------------------------------------------


def test_without_a_budget_nothing_lossy_is_chosen():
    (choice,) = choose(
        [named("a")], {"a": [dense(100), chain(1, 0.001)]}, graph_of("in>a a>out"), COSTS
    )

    assert choice.algorithm == DENSE.name
    assert "error budget" in choice.reason


def test_the_budget_goes_where_it_gains_most():
    answers = {"a": [dense(100), chain(50, 0.08)], "b": [dense(100), chain(20, 0.08)]}

    choices = choose(
        [named("a"), named("b")], answers, graph_of("in>a a>b b>out"), COSTS, Limits(max_error=0.1)
    )

    assert algorithms(choices) == {"a": DENSE.name, "b": CHAIN}


def test_responses_say_what_an_error_does_to_the_outputs():
    answers = {"a": [dense(100), chain(50, 0.5)]}
    drowned = {"a": Response(((0.5, 0.01),))}

    (choice,) = choose(
        [named("a")], answers, graph_of("in>a a>out"), COSTS, Limits(0.1, responses=drowned)
    )

    assert choice.algorithm == CHAIN


def test_a_memory_limit_that_nothing_fits_is_an_error():
    limits = Limits(max_bytes=10, weight_bytes=lambda layer, offer: 11)

    with pytest.raises(PlanError, match="memory limit"):
        choose([named("a")], {"a": [dense(1)]}, graph_of("in>a a>out"), COSTS, limits)


# --- size and quality ----------------------------------------------------------------------------


def test_a_network_of_many_layers_and_ranks_is_solved():
    rng = np.random.default_rng(0)
    names = [f"l{i}" for i in range(155)]
    answers = {}
    for name in names:
        time = float(rng.uniform(50, 500))
        ranks = [chain(time * (0.2 + 0.02 * r), 0.3 / (1 + r), r) for r in range(30)]
        answers[name] = [dense(time), custom(time * float(rng.uniform(0.4, 1.1))), *ranks]
    edges = " ".join(f"{a}>{b}" for a, b in itertools.pairwise(["in", *names, "out"]))

    choices = choose(
        [named(name) for name in names],
        answers,
        graph_of(edges, size=2e7),
        COSTS,
        Limits(max_error=0.05),
    )

    error = math.hypot(*(0.3 / (1 + c.parameters["rank"]) for c in choices if c.parameters))
    assert error <= 0.05 + 1e-9


def test_quality_compares_predictions_with_measurements():
    answers = {
        "right": [dense(10, measured=10), custom(5, measured=6)],
        "wrong": [dense(10, measured=10), custom(9, measured=12)],
        "unknown": [dense(10), custom(9, measured=1)],
    }

    found = quality(answers)

    # 6 + 12 instead of 6 + 10
    assert found == (0.5, pytest.approx(18 / 16 - 1), 2)


def test_quality_without_measurements_is_perfect():
    assert quality({"a": [dense(10), custom(9)]}) == (1.0, 0.0, 0)
