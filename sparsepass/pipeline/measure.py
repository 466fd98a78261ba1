"""Measured times for the offers that could win, taken inside the network."""

import math
import time
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

import numpy as np

from sparsepass.algorithms import DENSE, algorithm
from sparsepass.cost import CostModel
from sparsepass.layer import Layer
from sparsepass.model import to_bytes
from sparsepass.pipeline.measurements import Measurements
from sparsepass.pipeline.rewrite import rewrite
from sparsepass.pipeline.stages import Studied
from sparsepass.pipeline.turns import Key, Turns, key_of
from sparsepass.plan import Answer, Choice, Offer, Refusal, is_custom
from sparsepass.run import RunOptions
from sparsepass.runtime.node_times import layer_times, names_of_layers
from sparsepass.runtime.timing import low

__all__ = ["measure"]

Answers = Mapping[str, tuple[Answer, ...]]

# An offer is measured where it could win: a prediction may be off by so many times its median
# error, and by this factor at least.
MEDIANS = 3.0
LEAST_DOUBT = 1.25
# Networks that are timed in the same turns: as many as have weights of so many bytes in all.
HELD_BYTES = 500_000_000
# The best two offers of a layer are timed against each other again where they are this close, this
# often at most.
CLOSE = 1.15
MOST_ROUNDS = 3
# What was measured before goes with what is new where dense layers take as long, up to this factor:
# neighbours slow down one algorithm more than another.
SAME_PACE = 1.15

UNMEASURED = "not measured in time, and without a price of this machine: run sparsepass calibrate"


def measure(
    studied: Studied,
    answers: Answers,
    options: RunOptions,
    costs: CostModel,
    memory: Measurements,
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[dict[str, tuple[Answer, ...]], Turns]:
    """Return ``answers`` with ``measured`` filled in for the dense offers and those that could win.

    Networks measure one offer of every layer each, in turn with the clean dense one: the first has
    the cheapest offers, the next those that come second, and so on, for about as long as
    ``options`` say.  What is in ``memory`` is not measured again, unless the machine is faster or
    slower now than it was then; what is new is added to it.
    Offers that trusted prices leave no chance are not measured.  Prices that are not trusted rule
    nothing out, and what there is no time to measure then is refused.
    Of the settings of one algorithm a few are measured, and the times of the others lie between.
    """
    prepared = studied.prepared
    names = names_of_layers(prepared.model, studied.layers, prepared.known.shapes)
    known = memory.known(studied, answers)
    race = Race(studied, options, names, dense_times(known))
    wanted = [hopeful(layer, answers[layer.name], costs, known) for layer in studied.layers]
    deadline = Deadline(clock, options.measure_seconds)
    progress = options.step("measuring layers")
    networks = by_rank(wanted)
    if not networks and len(race.pace) < len(answers):
        networks = [()]
    at_once = max(1, HELD_BYTES // (1 + len(prepared.clean_content)))
    for first in range(0, len(networks), at_once):
        if deadline.passes():
            break
        race.run(*networks[first : first + at_once])
        if known and not race.keeps_pace:
            memory.forget(studied, answers)
            return measure(studied, answers, options, costs, memory, clock=clock)
        progress(min(first + at_once, len(networks)), 1 + len(networks))
    for _ in range(MOST_ROUNDS):
        turns = Turns({**known, **race.times})
        close = by_rank(close_calls(name, answers[name], turns, race.times) for name in answers)
        if not close or deadline.passes():
            break
        race.run(*close)
    progress(1, 1)
    memory.add(studied, race.times)
    turns = Turns(memory.known(studied, answers))
    return {
        name: tuple(
            with_time(answer, time_of(name, answer, layer_answers, turns), trusted=costs.trusted)
            for answer in layer_answers
        )
        for name, layer_answers in answers.items()
    }, turns


@dataclass
class Deadline:
    """Tells whether there is no time for another step like the last."""

    clock: Callable[[], float]
    seconds: float

    def __post_init__(self) -> None:
        self.started = self.last = self.clock()
        self.steps = 0

    def passes(self) -> bool:
        """Called before each step; the first may always be done."""
        now = self.clock()
        taken, self.last = now - self.last, now
        self.steps += 1
        return self.steps > 1 and now + taken > self.started + self.seconds


@dataclass
class Race:
    """The clean network and rewritten ones in turn, and the ``times`` of what layers had there.

    The speed of a machine drifts from one run to the next: all times are scaled so that the dense
    layers take as long as in the first.  ``pace`` has what each took there, in an earlier run if
    one measured it, and ``drift`` the last scale.
    """

    studied: Studied
    options: RunOptions
    names: Mapping[str, str]
    pace: dict[str, float]
    drift: float = 1.0
    times: dict[Key, list[float]] = field(default_factory=dict[Key, list[float]])

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
        self.drift = self.scale({name: low(times) for name, times in dense.items()})
        self.add([Choice(layer=name, algorithm=DENSE.name) for name in dense], dense, self.drift)
        for choices, times in zip(networks, found, strict=True):
            self.add(choices, times, self.drift)

    @property
    def keeps_pace(self) -> bool:
        """Whether the machine was about as fast in the last run as in the first."""
        return 1 / SAME_PACE <= self.drift <= SAME_PACE

    def add(
        self, choices: Sequence[Choice], found: Mapping[str, Sequence[float]], scale: float
    ) -> None:
        """Keep the times of the layers in one network."""
        for choice in choices:
            times = [scale * us for us in found.get(choice.layer, ())]
            if times:
                self.times.setdefault(key_of(choice.layer, choice), []).extend(times)

    def scale(self, dense: Mapping[str, float]) -> float:
        """What times of a run have to be multiplied by whose dense layers took ``dense``."""
        common = [name for name in dense if name in self.pace]
        taken = sum(dense[name] for name in common)
        scale = sum(self.pace[name] for name in common) / taken if taken else 1.0
        self.pace = {name: scale * us for name, us in dense.items()} | self.pace
        return scale


def dense_times(known: Mapping[Key, Sequence[float]]) -> dict[str, float]:
    """The times of the dense layers among ``known``."""
    return {key[0]: low(times) for key, times in known.items() if key[1] == DENSE.name}


def hopeful(
    layer: Layer, answers: Sequence[Answer], costs: CostModel, known: Container[Key]
) -> list[Choice]:
    """The custom ops that could win and whose time is not ``known``, cheapest prediction first."""
    offers = [answer for answer in answers if isinstance(answer, Offer)]
    doubts = [doubt_of(layer, offer, costs) for offer in offers]
    longest = min(d * offer.predicted for d, offer in zip(doubts, offers, strict=True))
    custom = [
        offer
        for d, offer in zip(doubts, offers, strict=True)
        if is_custom(offer) and offer.predicted <= d * longest
    ]
    ranked = sorted(custom, key=lambda offer: offer.predicted)
    return [
        choice(layer.name, offer)
        for offer in with_few_settings(ranked)
        if key_of(layer.name, offer) not in known
    ]


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


def doubt_of(layer: Layer, offer: Offer, costs: CostModel) -> float:
    """The factor by which the prediction of an offer may be off, either way."""
    row = algorithm(offer.algorithm)
    if not costs.trusted or row is None:
        return math.inf
    return max(LEAST_DOUBT, 1 + MEDIANS * costs.error(row.priced_as, layer))


def close_calls(
    name: str, answers: Sequence[Answer], turns: Turns, new: Container[Key]
) -> list[Choice]:
    """The custom ops among the best two offers of a layer, where these are close and one is new."""
    measured = [
        (us, offer)
        for offer in answers
        if isinstance(offer, Offer) and (us := turns.microseconds(key_of(name, offer)))
    ]
    best = sorted(measured, key=lambda entry: entry[0])[:2]
    if len(best) < 2 or best[1][0] > CLOSE * best[0][0]:
        return []
    if not any(key_of(name, offer) in new for _, offer in best):
        return []
    return [choice(name, offer) for _, offer in best if is_custom(offer)]


def by_rank(ranked: Iterable[Sequence[Choice]]) -> list[tuple[Choice, ...]]:
    """Turn choices of each layer, best first, into networks: all that come first, second, ..."""
    return [tuple(filter(None, rank)) for rank in zip_longest(*ranked)]


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
