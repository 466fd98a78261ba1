"""Measured times for the offers that could win, taken inside the network."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

import numpy as np

from sparsepass.algorithms import DENSE, algorithm
from sparsepass.model import to_bytes
from sparsepass.pipeline.rewrite import rewrite
from sparsepass.pipeline.stages import Studied
from sparsepass.pipeline.turns import Key, Turns, key_of, low
from sparsepass.plan import Answer, Choice, Offer, Refusal
from sparsepass.run import RunOptions
from sparsepass.runtime.node_times import layer_times, names_of_layers

__all__ = ["measure"]

Answers = Mapping[str, tuple[Answer, ...]]

# An offer is measured where its prediction, which may be off by this factor, could still win.
DOUBT = 2.0
# Prices of another machine may be off by any factor.  The offers that they speak against are
# measured for so long, cheapest first: all of them in networks of up to about 200 ms.
DOUBTED_SECONDS = 20.0
# Networks that are timed in the same turns: as many as have weights of so many bytes in all.
HELD_BYTES = 500_000_000
# The best two offers of a layer are timed against each other once more where they are this close.
CLOSE = 1.15

UNMEASURED = "not measured in time, and without a price of this machine: run sparsepass calibrate"


def measure(
    studied: Studied,
    answers: Answers,
    options: RunOptions,
    *,
    trusted: bool,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[dict[str, tuple[Answer, ...]], Turns]:
    """Return ``answers`` with ``measured`` filled in for the dense offers and those that could win.

    Networks measure one offer of every layer each, in turn with the clean dense one: the first has
    the cheapest offers, the next those that come second, and so on.  ``trusted`` says that prices
    are of this machine.  Otherwise every offer of a custom op could win, and what there is no time
    to measure is refused, since its price says nothing here.  Of the settings of one algorithm a
    few are measured, and the times of the others lie between.
    """
    hopeful, doubted = ranked(answers)
    prepared = studied.prepared
    names = names_of_layers(prepared.model, studied.layers, prepared.known.shapes)
    race = Race(studied, options, names)
    progress = options.step("measuring layers")
    networks = by_rank(hopeful)
    at_once = max(1, HELD_BYTES // (1 + len(prepared.clean_content)))
    for first in range(0, len(networks) or 1, at_once):
        race.run(*networks[first : first + at_once])
        progress(first + 1, 1 + len(networks))
    if not trusted:
        race.run_within(DOUBTED_SECONDS, by_rank(doubted), clock)
    turns = Turns(race.times)
    if close := by_rank(close_calls(name, answers[name], turns) for name in answers):
        race.run(*close)
    progress(1, 1)
    return {
        name: tuple(
            with_time(answer, time_of(name, answer, layer_answers, turns), trusted=trusted)
            for answer in layer_answers
        )
        for name, layer_answers in answers.items()
    }, turns


@dataclass
class Race:
    """The clean network and rewritten ones in turn, and the ``times`` of what layers had there.

    The speed of a machine drifts from one run to the next: all times are scaled so that the dense
    layers take as long as in the first.
    """

    studied: Studied
    options: RunOptions
    names: Mapping[str, str]
    times: dict[Key, list[float]] = field(default_factory=dict[Key, list[float]])
    pace: float = 0.0

    def run(self, *networks: Sequence[Choice]) -> None:
        """Time what each of ``networks`` chooses, and all layers dense."""
        rewritten = [rewrite(self.studied, choices, fused=False) for choices in networks]
        dense, *found = layer_times(
            [self.studied.prepared.clean_content, *map(to_bytes, rewritten)],
            self.names,
            self.studied.held_out[0],
            threads=self.options.threads,
            isa=self.options.isa,
        )
        taken = sum(map(low, dense.values()))
        self.pace = self.pace or taken
        scale = self.pace / taken if taken else 1.0
        self.add([Choice(layer=name, algorithm=DENSE.name) for name in dense], dense, scale)
        for choices, times in zip(networks, found, strict=True):
            self.add(choices, times, scale)

    def add(
        self, choices: Sequence[Choice], found: Mapping[str, Sequence[float]], scale: float
    ) -> None:
        """Keep the times of the layers in one network."""
        for choice in choices:
            times = [scale * us for us in found.get(choice.layer, ())]
            if times:
                self.times.setdefault(key_of(choice.layer, choice), []).extend(times)

    def run_within(
        self, seconds: float, networks: Sequence[Sequence[Choice]], clock: Callable[[], float]
    ) -> None:
        """Run one network after the other while there is time for one like the last."""
        started, last = clock(), 0.0
        for choices in networks:
            begun = clock()
            if begun + last > started + seconds:
                return
            self.run(choices)
            last = clock() - begun


def ranked(answers: Answers) -> tuple[list[list[Choice]], list[list[Choice]]]:
    """The custom ops of each layer that its prices let win, and those that they do not.

    Cheapest first.
    """
    hopeful: list[list[Choice]] = []
    doubted: list[list[Choice]] = []
    for name, layer_answers in answers.items():
        offers = [answer for answer in layer_answers if isinstance(answer, Offer)]
        dense = next(offer.predicted for offer in offers if offer.algorithm == DENSE.name)
        custom = sorted(filter(is_custom, offers), key=lambda offer: offer.predicted)
        likely = [offer for offer in custom if offer.predicted < DOUBT * dense]
        rest = [offer for offer in custom if offer.predicted >= DOUBT * dense]
        hopeful.append([choice(name, offer) for offer in with_few_settings(likely)])
        doubted.append([choice(name, offer) for offer in with_few_settings(rest)])
    return hopeful, doubted


def with_few_settings(ranked: Sequence[Offer]) -> list[Offer]:
    """Of every algorithm the cheapest, the middle and the dearest setting of a few or many."""
    settings: dict[str, list[Offer]] = {}
    for offer in ranked:
        settings.setdefault(offer.algorithm, []).append(offer)
    few = {
        name: [found[i] for i in sorted({0, len(found) // 2, len(found) - 1})]
        for name, found in settings.items()
    }
    return [offer for offer in ranked if offer in few[offer.algorithm]]


def close_calls(name: str, answers: Sequence[Answer], turns: Turns) -> list[Choice]:
    """The custom ops among the best two offers of a layer, where these are close."""
    measured = [
        (us, offer)
        for offer in answers
        if isinstance(offer, Offer) and (us := turns.microseconds(key_of(name, offer)))
    ]
    best = sorted(measured, key=lambda entry: entry[0])[:2]
    if len(best) < 2 or best[1][0] > CLOSE * best[0][0]:
        return []
    return [choice(name, offer) for _, offer in best if is_custom(offer)]


def by_rank(ranked: Iterable[Sequence[Choice]]) -> list[tuple[Choice, ...]]:
    """Turn choices of each layer, best first, into networks: all that come first, second, ..."""
    return [tuple(filter(None, rank)) for rank in zip_longest(*ranked)]


def is_custom(offer: Offer) -> bool:
    row = algorithm(offer.algorithm)
    return row is not None and bool(row.op)


def choice(layer: str, offer: Offer) -> Choice:
    return Choice(layer=layer, algorithm=offer.algorithm, parameters=offer.parameters)


def time_of(layer: str, answer: Answer, answers: Sequence[Answer], turns: Turns) -> float | None:
    """The measured time of an offer, or what its prediction and its neighbours' times say."""
    if not isinstance(answer, Offer):
        return None
    measured = turns.microseconds(key_of(layer, answer))
    return between(layer, answer, answers, turns) if measured is None else measured


def between(layer: str, offer: Offer, answers: Sequence[Answer], turns: Turns) -> float | None:
    """The time of a custom op by that of its other settings, where two of them were measured."""
    ratios = sorted(
        (other.predicted, us / other.predicted)
        for other in answers
        if isinstance(other, Offer)
        and other.algorithm == offer.algorithm
        and other.predicted > 0
        and (us := turns.microseconds(key_of(layer, other)))
    )
    if len(ratios) < 2 or not is_custom(offer):
        return None
    predicted = [price for price, _ in ratios]
    slowness = [ratio for _, ratio in ratios]
    return offer.predicted * float(np.interp(offer.predicted, predicted, slowness))


def with_time(answer: Answer, measured: float | None, *, trusted: bool) -> Answer:
    if not isinstance(answer, Offer):
        return answer
    if measured is None and not trusted and is_custom(answer):
        return Refusal(algorithm=answer.algorithm, reason=UNMEASURED)
    return answer if measured is None else answer.model_copy(update={"measured": measured})
