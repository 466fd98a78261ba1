"""A network whose weights get zeros: the offers that do so, the network they make, its report."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import onnx_ir as ir

from sparsepass.algorithms import DENSE
from sparsepass.layer import Array, Layer
from sparsepass.model import to_bytes
from sparsepass.network import plain_session, runner
from sparsepass.passes import SetWeights
from sparsepass.pipeline.assemble import (
    machine_elsewhere,
    machine_of,
    model_file,
    samples_of,
    skipped_of,
    tool_name,
)
from sparsepass.pipeline.densities import dense_time, time_of
from sparsepass.pipeline.fit import FittedPlans, approximated
from sparsepass.pipeline.offers import Offers
from sparsepass.pipeline.prepare import weight_names
from sparsepass.pipeline.trials import Verified
from sparsepass.plan import Answer, Choice
from sparsepass.profile import cpu_name
from sparsepass.reconstruction import Weights
from sparsepass.report.schema import PrunedLayer, PruneReport
from sparsepass.verify import compare

__all__ = ["Pruning"]


@dataclass(frozen=True)
class Pruning:
    """Where pruned networks are made, and compared with the original on held-out samples.

    ``offers`` leave the outputs of a layer as they are, or set ``zeros`` in its weight.  ``fitted``
    are weights that were fitted together for the zeros of a plan.
    """

    offers: Offers
    fitted: FittedPlans = field(default_factory=FittedPlans)

    @classmethod
    def of(cls, offers: Offers) -> Self:
        """The offers among ``offers`` that count here."""
        kept = {
            layer.name: tuple(a for a in offers.answers[layer.name] if counts(layer, a))
            for layer in offers.studied.layers
        }
        return cls(replace(offers, answers=kept))

    def weights(self, choices: Sequence[Choice]) -> dict[str, tuple[Array, Array]]:
        """Weight and bias of every layer, with the zeros of ``choices`` and fitted to them."""
        studied = self.offers.studied
        taken = {c.layer: c for c in choices if "zeros" in c.parameters}
        found = {layer.name: (layer.weight, layer.bias) for layer in studied.layers}
        for layer in studied.layers:
            choice = taken.get(layer.name)
            if choice and (stand_in := approximated(studied, layer, choice)):
                found[layer.name] = stand_in
        return {**found, **self.weights_for(tuple(taken.values()))}

    def weights_for(self, choices: Sequence[Choice]) -> Weights:
        """The weights of layers with zeros, fitted again together, see ``FittedPlans``."""
        return self.fitted.weights(self.offers.studied, choices, self.offers.options)

    def model(self, choices: Sequence[Choice]) -> ir.Model:
        """The original graph with other weights, but for normalisations that were folded."""
        prepared = self.offers.studied.prepared
        model = prepared.model.clone()
        SetWeights(self.weights(choices), weight_names(prepared.original))(model)
        return model

    def verify(self, choices: Sequence[Choice]) -> Verified:
        """Compare outputs with those of the original."""
        studied, options = self.offers.studied, self.offers.options
        before, after = (
            runner(plain_session(content, threads=options.threads))
            for content in (studied.prepared.content, to_bytes(self.model(choices)))
        )
        found = compare(before, after, studied.held_out, options.step("comparing outputs"))
        return Verified(found.within(options.max_error or math.inf), found.relative)

    def report(self, choices: Sequence[Choice], warning: str | None) -> PruneReport:
        """What ``choices`` did."""
        offers = self.offers
        studied, options = offers.studied, offers.options
        weights = {name: weight for name, (weight, _) in self.weights(choices).items()}
        size = sum(weight.size for weight in weights.values())
        kept = sum(int(np.count_nonzero(weight)) for weight in weights.values())
        return PruneReport(
            tool=tool_name(),
            model=model_file(studied.prepared, len(to_bytes(self.model(choices)))),
            machine=(
                machine_elsewhere(offers.costs.profile)
                if options.elsewhere
                else machine_of(cpu_name(), options.threads, options.isa)
            ),
            samples=samples_of(studied, options),
            passes=studied.prepared.passes,
            skipped=skipped_of(studied.prepared),
            warnings=tuple(filter(None, [warning, *studied.warnings])),
            layers=tuple(
                pruned_layer(offers, layer, choice, weights[layer.name])
                for layer, choice in zip(studied.layers, choices, strict=True)
            ),
            pattern=options.pattern,
            sparsity=1 - kept / size if size else 0.0,
            predicted_speedup=dense_time(offers) / time_of(offers, choices) if choices else 1.0,
            predicted_error=offers.predicted_error(choices),
            verification=self.verify(choices).verification,
        )


def counts(layer: Layer, answer: Answer) -> bool:
    """Whether an answer is exact, or sets zeros; the bias of a MatMul has no place in its node."""
    if answer.kind == "refusal" or not answer.error:
        return True
    return "zeros" in answer.parameters and layer.op_type != "MatMul"


def pruned_layer(offers: Offers, layer: Layer, choice: Choice, weight: Array) -> PrunedLayer:
    offer = offers.offer(choice)
    return PrunedLayer(
        name=layer.name,
        shape=layer.shape_text,
        zeros_before=1 - offers.studied.stats[layer.name].weight.density,
        zeros=1 - float(np.count_nonzero(weight)) / weight.size,
        layer_error=offer.error,
        output_error=offers.error_of(layer.name, offer),
        dense_us=offers.offer(Choice(layer=layer.name, algorithm=DENSE.name)).microseconds,
        now_us=offer.microseconds,
    )
