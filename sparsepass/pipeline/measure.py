"""Measured times for the offers that could win, taken inside the network."""

from collections.abc import Mapping

from sparsepass.algorithms import DENSE, algorithm
from sparsepass.model import to_bytes
from sparsepass.pipeline.rewrite import rewrite
from sparsepass.pipeline.stages import Studied
from sparsepass.plan import Answer, Choice, Offer
from sparsepass.run import RunOptions
from sparsepass.runtime.node_times import layer_times, names_of_layers

__all__ = ["measure"]

Answers = Mapping[str, tuple[Answer, ...]]
Parameters = tuple[tuple[str, int], ...]
NO_PARAMETERS: Parameters = ()

# An offer is measured where its prediction, which may be off by this factor, could still win.
DOUBT = 2.0


def measure(
    studied: Studied, answers: Answers, options: RunOptions
) -> dict[str, tuple[Answer, ...]]:
    """Return ``answers`` with ``measured`` filled in for the dense offers and those that could win.

    Every layer that an algorithm could win is given to it at once, in one network for each of its
    settings: a few sessions measure all.
    """
    prepared, feed, threads = studied.prepared, studied.held_out[0], options.threads
    names = names_of_layers(prepared.model, studied.layers, prepared.known.shapes)
    settings = hopeful_settings(answers)
    progress = options.step("measuring layers")
    dense = layer_times(prepared.clean_content, names, feed, threads=threads, custom_ops=False)
    times = {(name, DENSE.name, NO_PARAMETERS): us for name, us in dense.items()}
    progress(1, 1 + len(settings))
    for done, (row, parameters) in enumerate(settings, start=2):
        chosen = [
            Choice(layer=name, algorithm=row, parameters=dict(parameters))
            for name in settings[row, parameters]
        ]
        content = to_bytes(rewrite(studied, chosen, fused=False))
        found = layer_times(content, names, feed, threads=threads, custom_ops=True, isa=options.isa)
        times |= {(c.layer, row, parameters): found[c.layer] for c in chosen if c.layer in found}
        progress(done, 1 + len(settings))
    return {
        name: tuple(with_time(name, answer, times) for answer in layer_answers)
        for name, layer_answers in answers.items()
    }


def hopeful_settings(answers: Answers) -> dict[tuple[str, Parameters], list[str]]:
    """Each algorithm that lowers to a custom op, with parameters, and the layers it could win."""
    found: dict[tuple[str, Parameters], list[str]] = {}
    for name, layer_answers in answers.items():
        offers = [answer for answer in layer_answers if isinstance(answer, Offer)]
        dense = next(offer.predicted for offer in offers if offer.algorithm == DENSE.name)
        for offer in offers:
            row = algorithm(offer.algorithm)
            if row is not None and row.op and offer.predicted < DOUBT * dense:
                found.setdefault((offer.algorithm, fixed(offer)), []).append(name)
    return found


def fixed(offer: Offer) -> Parameters:
    return tuple(sorted(offer.parameters.items()))


def with_time(
    layer: str, answer: Answer, times: Mapping[tuple[str, str, Parameters], float]
) -> Answer:
    if not isinstance(answer, Offer):
        return answer
    measured = times.get((layer, answer.algorithm, fixed(answer)))
    return answer if measured is None else answer.model_copy(update={"measured": measured})
