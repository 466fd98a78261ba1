"""How many zeros each layer gets: the least error for so many in all, or for so much time saved."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sparsepass.algorithms import DENSE
from sparsepass.errors import UsageError
from sparsepass.pipeline.offers import Offers
from sparsepass.plan import Choice, Offer

__all__ = ["dense_time", "fastest_reaching", "sparsest", "time_of"]

# Steps of a bisection, of a ratio that spans twenty decades or of a budget.
STEPS = 60
BUDGET_STEPS = 12


@dataclass(frozen=True)
class Setting:
    """One density of one layer: zero weights, and the square of what it does to the outputs."""

    choice: Choice
    zeros: float
    cost: float


def sparsest(offers: Offers, sparsity: float) -> tuple[Choice, ...]:
    """The settings of least squared error whose share of zeros is at least ``sparsity``.

    A price on each weight that stays makes the layers independent; the price is bisected.  Between
    two prices the plan errs on the side of more zeros, by less than a step of one layer.
    """
    layers = [settings(offers, layer.name) for layer in offers.studied.layers]
    wanted = sparsity * sum(layer.weight.size for layer in offers.studied.layers)
    most = sum(max(s.zeros for s in layer) for layer in layers)
    if wanted > most:
        size = sum(layer.weight.size for layer in offers.studied.layers)
        raise UsageError(f"at most {most / size:.3f} of the weights can be zero; ask for less")
    low, high = 1e-20, 1e20
    for _ in range(STEPS):
        price = float(np.sqrt(low * high))
        low, high = (low, price) if zeros_at(layers, price) >= wanted else (price, high)
    return fewest([cheapest(layer, high) for layer in layers], layers, wanted)


def settings(offers: Offers, layer: str) -> list[Setting]:
    """What a layer may become; the first is as it is."""
    found = next(one for one in offers.studied.layers if one.name == layer)
    had = found.weight.size - np.count_nonzero(found.weight)
    listed = [Setting(Choice(layer=layer, algorithm=DENSE.name), float(had), 0.0)]
    for answer in offers.answers[layer]:
        if isinstance(answer, Offer) and "zeros" in answer.parameters:
            choice = Choice(
                layer=layer, algorithm=answer.algorithm, parameters=dict(answer.parameters)
            )
            zeros = answer.parameters["zeros"] / 100 * found.weight.size
            listed.append(Setting(choice, zeros, offers.error_of(layer, answer) ** 2))
    return listed


def cheapest(layer: Sequence[Setting], price: float) -> Setting:
    """The setting of least error at a price for each weight that is not zero."""
    return min(layer, key=lambda s: s.cost - price * s.zeros)


def zeros_at(layers: Sequence[Sequence[Setting]], price: float) -> float:
    return sum(cheapest(layer, price).zeros for layer in layers)


def fewest(
    taken: list[Setting], layers: Sequence[Sequence[Setting]], wanted: float
) -> tuple[Choice, ...]:
    """Give back zeros that are not needed, those of most error first."""
    spare = sum(setting.zeros for setting in taken) - wanted
    for place in sorted(range(len(taken)), key=lambda i: -taken[i].cost):
        allowed = [s for s in layers[place] if 0 <= taken[place].zeros - s.zeros <= spare]
        better = min(allowed, key=lambda s: s.cost)
        spare -= taken[place].zeros - better.zeros
        taken[place] = better
    return tuple(setting.choice for setting in taken)


def fastest_reaching(offers: Offers, speedup: float) -> tuple[Choice, ...]:
    """The plan of least error budget whose predicted time is that much less than before."""
    before, high = dense_time(offers), offers.choose(1.0)
    if (most := before / time_of(offers, high)) < speedup:
        raise UsageError(f"the predicted speed-up is at most {most:.3g}; ask for less")
    budgets = (1e-4, 1.0)
    for _ in range(BUDGET_STEPS):
        middle = float(np.sqrt(budgets[0] * budgets[1]))
        plan = offers.choose(middle)
        if before / time_of(offers, plan) >= speedup:
            high, budgets = plan, (budgets[0], middle)
        else:
            budgets = (middle, budgets[1])
    return high


def dense_time(offers: Offers) -> float:
    """Microseconds of all layers left dense."""
    names = (layer.name for layer in offers.studied.layers)
    return time_of(offers, [Choice(layer=name, algorithm=DENSE.name) for name in names])


def time_of(offers: Offers, choices: Sequence[Choice]) -> float:
    """Microseconds of all layers, as far as is known."""
    return sum(offers.offer(choice).microseconds for choice in choices)
