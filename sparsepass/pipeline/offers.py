"""All that a plan is chosen from: offers of every algorithm for every layer, priced or measured."""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from sparsepass.algorithms import DENSE, algorithm, held_bytes
from sparsepass.cost import CostModel
from sparsepass.errors import UsageError
from sparsepass.layer import Layer
from sparsepass.pipeline.emitted import refuse_emitted
from sparsepass.pipeline.measure import measure
from sparsepass.pipeline.measurements import Measurements, measurements_path
from sparsepass.pipeline.stages import Studied
from sparsepass.pipeline.turns import Turns
from sparsepass.plan import Answer, Choice, Offer, offered
from sparsepass.profile import cpu_name
from sparsepass.run import NM_SERIES, RunOptions
from sparsepass.runtime.replacements import refuse_opset
from sparsepass.selection import Limits, ask, choose
from sparsepass.sensitivity import Response, responses

__all__ = ["Offers", "collect_offers"]

Answers = Mapping[str, tuple[Answer, ...]]

# Runs of the whole network per probe: they take most of the time of a lossy plan.
RESPONSE_SAMPLES = 3
NO_TURNS = Turns({})


@dataclass(frozen=True)
class Offers:
    """What each algorithm answers for each layer, and what the choice among the offers depends on.

    ``responses`` say how the outputs of the network respond to the errors of lossy offers,
    ``turns`` are the times of the answers that were measured.
    """

    studied: Studied
    options: RunOptions
    costs: CostModel
    answers: Answers
    responses: Mapping[str, Response]
    turns: Turns = NO_TURNS

    def choose(self, max_error: float) -> tuple[Choice, ...]:
        """The plan of least time for an error budget; it names every layer."""
        studied = self.studied
        if not studied.layers:
            return ()
        done = self.options.step("choosing")
        limits = self.limits(max_error)
        choices = choose(studied.layers, self.answers, studied.layouts, self.costs, limits)
        done(1, 1)
        return choices

    def by_predictions(self) -> "Offers":
        """The same offers as if none had been measured."""
        return replace(
            self,
            answers={
                layer: tuple(
                    answer.model_copy(update={"measured": None})
                    if isinstance(answer, Offer)
                    else answer
                    for answer in answers
                )
                for layer, answers in self.answers.items()
            },
            turns=NO_TURNS,
        )

    def limits(self, max_error: float) -> Limits:
        """What a plan for an error budget has to keep to."""
        most = self.options.max_memory
        unlimited = Limits(max_error, self.responses)
        if most is None:
            return unlimited
        return replace(unlimited, max_bytes=most, weight_bytes=self.weight_bytes)

    def weight_bytes(self, layer: Layer, offer: Offer) -> float:
        """Bytes that the layer's weight would take in memory."""
        stats = self.studied.stats[layer.name]
        return held_bytes(layer, stats, self.studied.target, offer.algorithm, offer.parameters)

    def output_error(self, choice: Choice) -> float:
        """What a choice was expected to do to the outputs."""
        return self.error_of(choice.layer, self.offer(choice))

    def offer(self, choice: Choice) -> Offer:
        """The offer that was chosen; see ``refused`` for a replayed choice that is none."""
        return offered(choice, self.answers[choice.layer]) or self.refused(choice)

    def refused(self, choice: Choice) -> Offer:
        """What stands for a choice that nothing offers: its error, and the time of the dense layer.

        A replayed plan may have one where prices are missing or there was no time to measure it.
        """
        layer = next(layer for layer in self.studied.layers if layer.name == choice.layer)
        row, stats = algorithm(choice.algorithm), self.studied.stats[layer.name]
        options = row.known_options(layer, stats, self.studied.target) if row else ()
        error = next(o.error for o in options if dict(o.parameters) == choice.parameters)
        dense = next(a for a in self.answers[layer.name] if a.algorithm == DENSE.name)
        assert isinstance(dense, Offer)
        return dense.model_copy(
            update={
                "algorithm": choice.algorithm,
                "parameters": choice.parameters,
                "error": error,
            }
        )

    def predicted_error(self, choices: Sequence[Choice]) -> float:
        """What a plan is expected to do to the outputs: the squares of its errors add up."""
        return math.hypot(*map(self.output_error, choices))

    def error_of(self, layer: str, offer: Offer) -> float:
        """What an offer is expected to do to the outputs."""
        return self.limits(1.0).output_error(layer, offer)


def collect_offers(studied: Studied, costs: CostModel, options: RunOptions) -> Offers:
    """Ask every algorithm about every layer, and time those that could win if that is wanted."""
    opset = studied.prepared.opset
    progress = options.step("pricing layers")
    answers: dict[str, tuple[Answer, ...]] = {}
    for layer in studied.layers:
        answers[layer.name] = ask(
            layer,
            studied.stats[layer.name],
            studied.target,
            costs,
            refuse=lambda row: refuse_opset(row, opset) or refuse_emitted(row, options),
        )
        if options.emit == NM_SERIES:
            answers[layer.name] = by_nonzeros(studied, layer, answers[layer.name])
        progress(len(answers), len(studied.layers))
    turns = NO_TURNS
    if options.measured and answers:
        path = measurements_path(cpu_name(), studied.target.isa, options.threads)
        memory = Measurements.load(path)
        before = memory.model_copy(deep=True)
        answers, turns = measure(studied, answers, options, costs, memory)
        # Without a place to keep times the next run measures again, and that is all.
        with suppress(UsageError):
            memory.save_changes(path, before)
    found = output_responses(studied, answers, options) if options.lossy else {}
    return Offers(studied, options, costs, answers, found, turns)


def by_nonzeros(studied: Studied, layer: Layer, answers: Sequence[Answer]) -> tuple[Answer, ...]:
    """Offers as hardware for structured sparsity takes them: the kept share of the dense time."""
    dense = next(a for a in answers if isinstance(a, Offer) and a.algorithm == DENSE.name)
    return tuple(
        answer.model_copy(
            update={"predicted": dense.predicted * kept_share(studied, layer, answer)}
        )
        if isinstance(answer, Offer) and answer is not dense
        else answer
        for answer in answers
    )


def kept_share(studied: Studied, layer: Layer, offer: Offer) -> float:
    """The multiply-adds of an offer over those of the dense layer."""
    row, stats = algorithm(offer.algorithm), studied.stats[layer.name]
    options = row.known_options(layer, stats, studied.target) if row else ()
    return next(o.work.macs for o in options if dict(o.parameters) == offer.parameters) / layer.macs


def output_responses(
    studied: Studied, answers: Answers, options: RunOptions
) -> dict[str, Response]:
    """How the outputs respond to errors of the layers where a lossy offer could win."""
    hopeful = [
        layer for layer in studied.layers if options.pruning or lossy_could_win(answers[layer.name])
    ]
    if not hopeful:
        return {}
    samples = studied.held_out.take(RESPONSE_SAMPLES)
    model, stats = studied.prepared.model, studied.stats
    offered = {
        layer.name: {a.algorithm for a in answers[layer.name] if isinstance(a, Offer)}
        for layer in hopeful
    }
    return responses(model, hopeful, stats, studied.target, samples, options, offered)


def lossy_could_win(answers: Sequence[Answer]) -> bool:
    offers = [answer for answer in answers if isinstance(answer, Offer)]
    exact = min(offer.microseconds for offer in offers if offer.error == 0)
    return any(offer.error > 0 and offer.microseconds < exact for offer in offers)
