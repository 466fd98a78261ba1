"""What a report says of each layer."""

from collections.abc import Sequence

from sparsepass.algorithms import ALGORITHMS, DENSE, Beside, Factor, Packed, algorithm, held_bytes
from sparsepass.layer import Epilogue, Layer
from sparsepass.pipeline.offers import Offers
from sparsepass.pipeline.stages import Studied
from sparsepass.plan import Choice, Offer, Plan, is_lossy, offered
from sparsepass.report.schema import Bought, LayerAnalysis, LayerReport, LayerTime, LossyOption
from sparsepass.sparsity import Stats
from sparsepass.target import Target

__all__ = ["layer_analysis", "layer_report"]


def layer_analysis(studied: Studied, layer: Layer) -> LayerAnalysis:
    """A layer as it came."""
    stats = studied.stats[layer.name]
    return LayerAnalysis(
        name=layer.name,
        op_type=layer.op_type,
        shape=layer.shape_text,
        macs=layer.macs,
        weight=stats.weight,
        input=stats.input,
    )


def layer_report(
    offers: Offers, layer: Layer, plan: Plan, fate: str, coded: int | None
) -> LayerReport:
    """What is reported of a layer; ``coded`` are the bytes of its weight where bits are few."""
    studied, answers = offers.studied, offers.answers[layer.name]
    choice = plan.choice(layer.name) or Choice(layer=layer.name, algorithm=DENSE.name)
    stats = studied.stats[layer.name]
    return LayerReport(
        **dict(layer_analysis(studied, layer)),
        bids=answers,
        chosen=choice,
        dense=time_of(offers, Choice(layer=layer.name, algorithm=DENSE.name)),
        now=time_of(offers, choice),
        certainty=offers.turns.certainty(choice),
        dense_bytes=layer.weight.nbytes,
        packed_bytes=packed_bytes(studied, layer, choice) if coded is None else coded,
        memory_bytes=round(
            held_bytes(layer, stats, studied.target, choice.algorithm, choice.parameters)
        ),
        workspace_bytes=workspace_bytes(layer, stats, studied.target),
        paper_workspace_bytes=paper_workspace_bytes(layer, stats),
        epilogue=epilogue_text(layer.epilogue),
        fate=fate,
        bought=bought_of(offers, choice),
    )


def bought_of(offers: Offers, choice: Choice) -> Bought | None:
    """What a lossy choice takes, and the next offers in time and error; None for exact ones."""
    found = [answer for answer in offers.answers[choice.layer] if isinstance(answer, Offer)]
    taken = offered(choice, found)
    if taken is None or not is_lossy(choice):
        return None
    cheaper = [offer for offer in found if offer.error < taken.error]
    dearer = [offer for offer in found if offer.microseconds < taken.microseconds]

    def described(offer: Offer | None) -> LossyOption | None:
        return None if offer is None else lossy_option(offers, choice.layer, offer)

    return Bought(
        taken=lossy_option(offers, choice.layer, taken),
        cheaper=described(min(cheaper, key=lambda offer: offer.microseconds, default=None)),
        dearer=described(min(dearer, key=lambda offer: offer.error, default=None)),
    )


def lossy_option(offers: Offers, layer: str, offer: Offer) -> LossyOption:
    return LossyOption(
        algorithm=offer.algorithm,
        parameters=offer.parameters,
        microseconds=offer.microseconds,
        layer_error=offer.error,
        output_error=offers.error_of(layer, offer),
    )


def workspace_bytes(layer: Layer, stats: Stats, target: Target) -> dict[str, int]:
    """What algorithms that take the layer hold of the input of one image."""
    return {
        row.name: round(row.workspace(layer, stats, target))
        for row in ALGORITHMS
        if row.workspace and row.refuse(layer, stats, target) is None
    }


def paper_workspace_bytes(layer: Layer, stats: Stats) -> dict[str, int]:
    """The same by the paper's formulas, for the layers that it looks at."""
    if stats.input is None or len(layer.kernel) != 2 or layer.is_pointwise or layer.is_depthwise:
        return {}
    return {
        row.name: round(row.paper_workspace(layer, stats))
        for row in ALGORITHMS
        if row.paper_workspace
    }


def time_of(offers: Offers, choice: Choice) -> LayerTime:
    taken = offers.offer(choice)
    return LayerTime(predicted_us=taken.predicted, measured_us=taken.measured)


def packed_bytes(studied: Studied, layer: Layer, choice: Choice) -> int:
    """Bytes of the layer's weight in the exported file."""
    row = algorithm(choice.algorithm)
    if row is None:
        return layer.weight.nbytes
    match row.pack(layer, studied.stats[layer.name], choice.parameters):
        case Packed() as packed:
            return op_bytes(packed)
        case Beside() as both:
            return op_bytes(both.packed) + chain_bytes(both.chain)
        case None:
            return layer.weight.nbytes
        case factors:
            return chain_bytes(factors)


def op_bytes(packed: Packed) -> int:
    return sum(array.nbytes for _, array in packed.inputs)


def chain_bytes(chain: Sequence[Factor]) -> int:
    return sum(factor.weight.nbytes + factor.bias.nbytes for factor in chain)


def epilogue_text(epilogue: Epilogue) -> str:
    parts = ["Add"] if epilogue.residual else []
    return " + ".join([*parts, *([epilogue.activation] if epilogue.activation else [])])
