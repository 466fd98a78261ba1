"""What an engineer asks before touching a network: what would pruning it be worth, and where?

All of it is predicted, in seconds, from the cost model; nothing is run.  Weights are pruned by
magnitude, within each layer.  What a single layer saves is counted in its place: the other layers
keep their algorithms, and layout changes that come or go are counted.  What several layers save
together is the difference of two plans of the integer programme.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import cast

import networkx as nx

from sparsepass.advice import Advice, Curve, CurvePoint, FirstLayer, LayerAdvice
from sparsepass.algorithms import DENSE
from sparsepass.layer import Layer
from sparsepass.plan import Answer, Offer
from sparsepass.pruning import Ranking, density, rank
from sparsepass.run import Steps
from sparsepass.what_if import Answers, Network, Pick, Planned

__all__ = ["advise"]

# Percent of zeros: of the curve, and those that each layer is asked for.
CURVE = (0, 10, 20, 30, 40, 50, 60, 70, 80, 85, 90, 95, 98)
ASKED = (70, 80, 90)
MOST_ZEROS = 98
# What the layers to prune first are pruned to, and how many they are.
TARGET_ZEROS, FIRST = 90, 10
BATCHES = (1, 16)
# Pruning on is worth it while a layer has more than this share of its dense time to lose.
LITTLE = 0.05


def advise(
    network: Network,
    batch: int,
    *,
    apart: bool = False,
    seed: int = 0,
    progress: Steps = lambda done, total: None,
) -> Advice:
    """Advise on a network whose layers are those of ``batch`` images.

    ``apart`` says that the images of a batch may go through it one by one, which is then taken
    where it is faster.
    """
    now = {layer.name: network.answers(layer) for layer in network.layers}
    plan = network.plan(now)
    kept = first_layers(network)
    sizes = {size: network.at_batch(size / batch) for size in BATCHES}
    tables: dict[tuple[int, int], dict[str, Sequence[Answer]]] = {
        (size, zeros): {} for size in BATCHES for zeros in CURVE
    }
    advices: list[LayerAdvice] = []
    pruned: dict[str, Sequence[Answer]] = {}
    for position, layer in enumerate(network.layers):
        ranking = rank(layer.weight, seed)
        advices.append(advice_on(network, layer, ranking, now[layer.name], plan))
        pruned[layer.name] = network.answers(layer, ranking.mask(TARGET_ZEROS))
        for zeros in CURVE:
            mask = None if layer.name in kept else ranking.mask(zeros)
            for size, other in sizes.items():
                found = other.answers(other.layers[position], mask)
                tables[size, zeros][layer.name] = found
        progress(position + 1, len(network.layers))
    return Advice(
        profile=str(network.costs.profile),
        dense_us=network.dense(now).microseconds,
        now_us=plan.microseconds,
        rest_us=network.layout_costs.rest(),
        layers=tuple(advices),
        first=tuple(prune_first(network, now, pruned, plan, kept)),
        kept=tuple(layer.name for layer in network.layers if layer.name in kept),
        curves=curves_of(sizes, tables, apart),
    )


def first_layers(network: Network) -> frozenset[str]:
    """Layers that no other comes before: pruning these harms most, and is rarely done."""
    below: set[str] = set()
    first: set[str] = set()
    names = {layer.name for layer in network.layers}
    for name in cast(Iterable[str], nx.topological_sort(network.layouts)):
        above = list(network.layouts.predecessors(name))
        if any(source in below or source in names for source in above):
            below.add(name)
        elif name in names:
            first.add(name)
    return frozenset(first)


def advice_on(
    network: Network, layer: Layer, ranking: Ranking, now: Sequence[Answer], plan: Planned
) -> LayerAdvice:
    """All that is asked of one layer."""
    has = 1 - network.stats[layer.name].weight.density

    def pick_at(zeros: int) -> Pick:
        return network.pick(layer, network.answers(layer, ranking.mask(zeros)), plan)

    unpruned = pick_at(0)
    dense = dense_us(now)
    before = network.pick(layer, now, plan).microseconds
    best = pick_at(MOST_ZEROS)
    pays_from = enough_at = None
    if best.offer.algorithm != unpruned.offer.algorithm:
        pays_from = bisect(0, lambda z: pick_at(z).offer.algorithm != unpruned.offer.algorithm)
        least = best.microseconds + LITTLE * dense
        enough_at = bisect(pays_from, lambda z: pick_at(z).microseconds <= least)
    savings = {
        f"{zeros}%": 0.0 if has >= zeros / 100 else before - pick_at(zeros).microseconds
        for zeros in ASKED
    }
    masks = {
        "2:4": ranking.n_of_m(2), "1:4": ranking.n_of_m(1), "1x4 at 80%": ranking.tap_blocks(80),
    }  # fmt: skip
    for pattern, mask in masks.items():
        sparser = density(mask) < 1 - has
        found = network.pick(layer, network.answers(layer, mask), plan) if sparser else None
        savings[pattern] = before - found.microseconds if found else 0.0
    weights, inputs = worth_of_zeros(network, layer, ranking)
    return LayerAdvice(
        layer=layer.name,
        algorithm=plan.offers[layer.name].algorithm,
        now_us=plan.offers[layer.name].microseconds,
        pays_from=None if pays_from is None else pays_from / 100,
        enough_at=None if enough_at is None else enough_at / 100,
        savings_us={name: max(0.0, saved) for name, saved in savings.items()},
        weight_zeros_us=weights,
        input_zeros_us=inputs,
    )


def worth_of_zeros(network: Network, layer: Layer, ranking: Ranking) -> tuple[float, float | None]:
    """What the zeros of the weight and of the input save now, each without the other."""
    full = ranking.mask(0)
    none = least_us(network.answers(layer, full, with_input=False))
    weights = none - least_us(network.answers(layer, with_input=False))
    if network.stats[layer.name].input is None:
        return max(0.0, weights), None
    return max(0.0, weights), max(0.0, none - least_us(network.answers(layer, full)))


def bisect(low: int, holds: Callable[[int], bool]) -> int:
    """The least percentage from ``low`` on where ``holds`` is true; it is at ``MOST_ZEROS``."""
    high = MOST_ZEROS
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return high


def prune_first(
    network: Network, now: Answers, pruned: Answers, plan: Planned, kept: frozenset[str]
) -> Iterable[FirstLayer]:
    """The layers that save most, one after the other, each with a plan of its own."""
    answers = dict(now)
    has = {name: 1 - stats.weight.density for name, stats in network.stats.items()}
    waiting = [
        layer
        for layer in network.layers
        if layer.name not in kept and has[layer.name] < TARGET_ZEROS / 100
    ]
    for _ in range(FIRST):
        gains = {layer.name: gain_of(network, layer, answers, pruned, plan) for layer in waiting}
        best = max(waiting, key=lambda layer: gains[layer.name], default=None)
        if best is None or gains[best.name][1] <= 0:
            return
        waiting.remove(best)
        answers[best.name] = pruned[best.name]
        after = network.plan(answers)
        saves = plan.microseconds - after.microseconds
        yield FirstLayer(best.name, TARGET_ZEROS / 100, saves, after.microseconds)
        plan = after


def gain_of(
    network: Network, layer: Layer, answers: Answers, pruned: Answers, plan: Planned
) -> tuple[float, float]:
    """What pruning a layer saves in its place, and in the layer alone.

    The latter decides where nothing is saved until its neighbours are pruned too.
    """
    name = layer.name
    before = network.pick(layer, answers[name], plan).microseconds
    after = network.pick(layer, pruned[name], plan).microseconds
    return before - after, least_us(answers[name]) - least_us(pruned[name])


def curves_of(
    sizes: dict[int, Network],
    tables: dict[tuple[int, int], dict[str, Sequence[Answer]]],
    apart: bool,
) -> tuple[Curve, ...]:
    """Plans of the whole network for each batch and share of zeros."""
    times = {
        (size, zeros): sizes[size].plan(answers).microseconds
        for (size, zeros), answers in tables.items()
    }
    curves: list[Curve] = []
    for size, network in sizes.items():
        dense = network.dense(tables[size, 0]).microseconds
        points: list[CurvePoint] = []
        for zeros in CURVE:
            one_by_one = size * times[1, zeros] if apart else times[size, zeros]
            time = min(times[size, zeros], one_by_one)
            points.append(CurvePoint(zeros / 100, time, dense / time if time else 1.0))
        curves.append(Curve(size, dense, tuple(points)))
    return tuple(curves)


def dense_us(answers: Iterable[Answer]) -> float:
    found = (a for a in answers if isinstance(a, Offer) and a.algorithm == DENSE.name)
    return next(found).microseconds


def least_us(answers: Iterable[Answer]) -> float:
    """The time of the fastest exact offer."""
    return min(a.microseconds for a in answers if isinstance(a, Offer) and a.error == 0)
