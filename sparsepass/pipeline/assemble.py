"""Reports from what the stages found."""

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnxruntime

from sparsepass.algorithms import ALGORITHMS, DENSE, Beside, Factor, Packed, algorithm, held_bytes
from sparsepass.layer import Epilogue, Layer
from sparsepass.pipeline.first_answer import first_answers_ms
from sparsepass.pipeline.offers import Offers
from sparsepass.pipeline.quantize import coded_bytes
from sparsepass.pipeline.search import Outcome
from sparsepass.pipeline.stages import Prepared, Studied, Unproven
from sparsepass.plan import Choice, Offer, Plan, is_lossy, offered
from sparsepass.profile import MachineProfile, cpu_name
from sparsepass.report.schema import (
    Analysis,
    Bought,
    ErrorBudget,
    Latency,
    LayerAnalysis,
    LayerReport,
    LayerTime,
    LossyOption,
    Machine,
    ModelFile,
    NetworkTime,
    ParetoPoint,
    Report,
    Samples,
    Selector,
    SkippedNode,
    Tensor,
)
from sparsepass.run import RunOptions
from sparsepass.runtime.library import instruction_set
from sparsepass.runtime.timing import Timing
from sparsepass.selection import quality
from sparsepass.sparsity import Stats, with_spectrum
from sparsepass.target import Target
from sparsepass.tool import tool_name

__all__ = ["analysis_of", "latency", "machine_elsewhere", "machine_of", "report_of"]


def machine_of(cpu: str, threads: int, isa: str | None = None) -> Machine:
    """The machine this runs on; ``isa`` is what our kernels were told to use."""
    return Machine(
        cpu=cpu,
        isa=instruction_set(isa),
        cores=os.cpu_count() or 1,
        onnxruntime=onnxruntime.__version__,
        threads=threads,
    )


def machine_elsewhere(profile: MachineProfile) -> Machine:
    """The machine that a profile is of."""
    return Machine(
        cpu=profile.cpu,
        isa=profile.isa,
        cores=None,
        onnxruntime=profile.onnxruntime,
        threads=profile.threads,
    )


def analysis_of(
    studied: Studied, options: RunOptions, elsewhere: MachineProfile | None = None
) -> Analysis:
    """The report of ``sparsepass analyze``; the spectra of the weights take most of its time."""
    done = options.step("decomposing weights")
    layers: list[LayerAnalysis] = []
    for layer in studied.layers:
        found = layer_analysis(studied, layer)
        weight = with_spectrum(found.weight, layer)
        layers.append(found.model_copy(update={"weight": weight}))
        done(len(layers), len(studied.layers))
    return Analysis(
        tool=tool_name(),
        model=model_file(studied.prepared),
        machine=(
            machine_elsewhere(elsewhere)
            if elsewhere
            else machine_of(cpu_name(), options.threads, options.isa)
        ),
        samples=samples_of(studied, options),
        passes=studied.prepared.passes,
        skipped=skipped_of(studied.prepared),
        layers=tuple(layers),
    )


def unproven_analysis(unproven: Unproven, options: RunOptions) -> Analysis:
    """The report of ``sparsepass analyze`` about a network whose layers stay as they are."""
    prepared = unproven.prepared
    return Analysis(
        tool=tool_name(),
        model=model_file(prepared),
        machine=machine_of(cpu_name(), options.threads, options.isa),
        passes=prepared.passes,
        skipped=skipped_of(prepared),
        layers=(),
    )


def unproven_report(
    unproven: Unproven, plan: Plan, options: RunOptions, warnings: tuple[str, ...]
) -> Report:
    """The report of ``sparsepass optimize`` about such a network."""
    prepared = unproven.prepared
    return Report(
        tool=tool_name(),
        model=model_file(prepared, len(prepared.clean_content)),
        machine=machine_of(plan.machine, plan.threads, options.isa),
        passes=prepared.passes,
        skipped=skipped_of(prepared),
        warnings=warnings,
        layers=(),
        plan=plan,
    )


def report_of(
    offers: Offers,
    plan: Plan,
    outcome: Outcome | None,
    warnings: tuple[str, ...],
    pareto: tuple[ParetoPoint, ...] = (),
) -> Report:
    """The report of ``sparsepass optimize``; ``outcome`` is None for a dry run."""
    studied, options = offers.studied, offers.options
    fates: Mapping[str, str] = outcome.fates if outcome else {}
    coded = (
        coded_bytes(outcome.candidate.model, studied.layers) if outcome and plan.weight_bits else {}
    )
    return Report(
        tool=tool_name(),
        model=model_file(studied.prepared, outcome.candidate.size if outcome else None),
        machine=(
            machine_elsewhere(offers.costs.profile)
            if options.elsewhere
            else machine_of(plan.machine, plan.threads, options.isa)
        ),
        samples=samples_of(studied, options),
        passes=studied.prepared.passes,
        skipped=skipped_of(studied.prepared),
        warnings=warnings,
        layers=tuple(
            layer_report(offers, layer, plan, fates.get(layer.name, ""), coded.get(layer.name))
            for layer in studied.layers
        ),
        plan=plan,
        budget=budget_of(offers, plan, outcome),
        network=network_time(studied, outcome, options) if outcome else None,
        verification=outcome.verified.verification if outcome else None,
        selector=selector_of(offers) if options.measured else None,
        pareto=pareto,
    )


def model_file(prepared: Prepared, after_bytes: int | None = None) -> ModelFile:
    return ModelFile(
        name=prepared.name,
        digest=prepared.digest,
        ir_version=prepared.original.ir_version,
        opset=prepared.opset,
        before_bytes=len(prepared.content),
        after_bytes=after_bytes,
        inputs=tuple(
            Tensor(name=spec.name, shape=spec.shape, element_type=str(spec.dtype))
            for spec in prepared.inputs
        ),
    )


def samples_of(studied: Studied, options: RunOptions) -> Samples | None:
    if studied.calibration is None:
        return None
    return Samples(
        count=len(studied.calibration) + len(studied.held_out),
        source=studied.calibration.source,
        seed=options.seed,
    )


def skipped_of(prepared: Prepared) -> tuple[SkippedNode, ...]:
    skipped = prepared.found.skipped
    return tuple(SkippedNode(name=s.node, op_type=s.op_type, reason=s.reason) for s in skipped)


def budget_of(offers: Offers, plan: Plan, outcome: Outcome | None) -> ErrorBudget | None:
    options = offers.options
    if not options.bounded:
        return None
    return ErrorBudget(
        max_error=options.max_error,
        predicted=offers.predicted_error(plan.choices),
        measured=outcome.verified.relative if outcome else None,
        max_drop_points=options.max_drop,
        planned=outcome.fitted.budget if outcome and outcome.fitted else None,
    )


def network_time(studied: Studied, outcome: Outcome, options: RunOptions) -> NetworkTime | None:
    if outcome.before is None or outcome.after is None:
        return None
    inputs = studied.prepared.inputs
    first_before_ms, first_after_ms = first_answers_ms(studied, outcome.candidate, options)
    return NetworkTime(
        before=latency(outcome.before),
        after=latency(outcome.after),
        first_before_ms=first_before_ms,
        first_after_ms=first_after_ms,
        threads=options.threads,
        batch=inputs[0].batch if inputs else 1,
        command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    )


def selector_of(offers: Offers) -> Selector:
    share, regret, count = quality(offers.answers)
    return Selector(layers=count, best_share=share, regret=regret)


def layer_analysis(studied: Studied, layer: Layer) -> LayerAnalysis:
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


def latency(timing: Timing) -> Latency:
    """A timing as reports hold it."""
    return Latency(
        median_ms=timing.median_ms, p10_ms=timing.p10_ms, p90_ms=timing.p90_ms, runs=timing.runs
    )
