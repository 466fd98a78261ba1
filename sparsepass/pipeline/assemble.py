"""Reports from what the stages found."""

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

import onnxruntime

from sparsepass.pipeline.assemble_layers import layer_analysis, layer_report
from sparsepass.pipeline.first_answer import first_answers_ms
from sparsepass.pipeline.held_weights import coded_bytes
from sparsepass.pipeline.offers import Offers
from sparsepass.pipeline.search import Outcome
from sparsepass.pipeline.stages import Prepared, Studied, Unproven
from sparsepass.plan import Plan
from sparsepass.profile import MachineProfile, cpu_name
from sparsepass.report.schema import (
    Analysis,
    ErrorBudget,
    Latency,
    LayerAnalysis,
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
from sparsepass.sparsity import with_spectrum
from sparsepass.tool import tool_name

__all__ = [
    "analysis_of", "latency", "machine_elsewhere", "machine_of", "model_file", "report_of",
    "samples_of", "skipped_of", "unproven_analysis", "unproven_report",
]  # fmt: skip


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
    """The model that was read, and the bytes of what was written."""
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
    """What calibrated, or None where nothing did."""
    if studied.calibration is None:
        return None
    return Samples(
        count=len(studied.calibration) + len(studied.held_out),
        source=studied.calibration.source,
        seed=options.seed,
    )


def skipped_of(prepared: Prepared) -> tuple[SkippedNode, ...]:
    """Nodes that look like layers and are none."""
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


def latency(timing: Timing) -> Latency:
    """A timing as reports hold it."""
    return Latency(
        median_ms=timing.median_ms, p10_ms=timing.p10_ms, p90_ms=timing.p90_ms, runs=timing.runs
    )
