"""Reports from what the stages found."""

import os
from collections.abc import Mapping
from importlib.metadata import version

import onnxruntime

from sparsepass.algorithms import ALGORITHMS, DENSE, Packed, algorithm, held_bytes
from sparsepass.layer import Epilogue, Layer
from sparsepass.pipeline.search import Outcome
from sparsepass.pipeline.stages import Studied
from sparsepass.plan import Bid, Choice, Offer, Plan
from sparsepass.report.schema import (
    Analysis,
    ErrorBudget,
    Latency,
    LayerAnalysis,
    LayerReport,
    LayerTime,
    Machine,
    ModelFile,
    NetworkTime,
    Report,
    Samples,
    Selector,
    SkippedNode,
    Tensor,
)
from sparsepass.runtime.library import instruction_set
from sparsepass.runtime.timing import Timing
from sparsepass.sparsity import Stats

__all__ = ["analysis_of", "latency", "machine_of", "report_of", "tool_name"]


def tool_name() -> str:
    """Name and version of this tool, as files carry it."""
    return f"sparsepass {version('sparsepass')}"


def machine_of(cpu: str, threads: int) -> Machine:
    """The machine this runs on."""
    return Machine(
        cpu=cpu,
        isa=instruction_set(),
        cores=os.cpu_count() or 1,
        onnxruntime=onnxruntime.__version__,
        threads=threads,
    )


def model_file(studied: Studied, after_bytes: int | None = None) -> ModelFile:
    return ModelFile(
        name=studied.name,
        digest=studied.digest,
        ir_version=studied.original.ir_version,
        opset=studied.original.opset_imports[""],
        before_bytes=studied.size,
        after_bytes=after_bytes,
        inputs=tuple(
            Tensor(name=spec.name, shape=spec.shape, element_type=str(spec.dtype))
            for spec in studied.inputs
        ),
    )


def samples_of(studied: Studied) -> Samples | None:
    if studied.calibration is None:
        return None
    return Samples(
        count=len(studied.calibration) + len(studied.held_out),
        source=studied.calibration.source,
        seed=studied.seed,
    )


def skipped_of(studied: Studied) -> tuple[SkippedNode, ...]:
    return tuple(
        SkippedNode(name=s.node, op_type=s.op_type, reason=s.reason) for s in studied.found.skipped
    )


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


def analysis_of(studied: Studied, machine: Machine) -> Analysis:
    """The report of ``sparsepass analyze``."""
    return Analysis(
        tool=tool_name(),
        model=model_file(studied),
        machine=machine,
        samples=samples_of(studied),
        passes=studied.passes,
        skipped=skipped_of(studied),
        layers=tuple(layer_analysis(studied, layer) for layer in studied.layers),
    )


def report_of(
    studied: Studied,
    plan: Plan,
    bids: Mapping[str, tuple[Bid, ...]],
    *,
    machine: Machine,
    outcome: Outcome | None,
    budget: ErrorBudget | None,
    selector: Selector | None,
    command: str,
    warnings: tuple[str, ...],
) -> Report:
    """The report of ``sparsepass optimize``; ``outcome`` is None for a dry run."""
    fates: Mapping[str, str] = outcome.fates if outcome else {}
    network = None
    if outcome:
        network = NetworkTime(
            before=latency(outcome.before),
            after=latency(outcome.after),
            threads=machine.threads,
            batch=studied.inputs[0].batch if studied.inputs else 1,
            command=command,
        )
    return Report(
        tool=tool_name(),
        model=model_file(studied, outcome.candidate.size if outcome else None),
        machine=machine,
        samples=samples_of(studied),
        passes=studied.passes,
        skipped=skipped_of(studied),
        warnings=warnings,
        layers=tuple(
            layer_report(studied, layer, plan, bids[layer.name], fates.get(layer.name, ""))
            for layer in studied.layers
        ),
        plan=plan,
        budget=budget,
        network=network,
        verification=outcome.proof.verification if outcome else None,
        selector=selector,
    )


def layer_report(
    studied: Studied, layer: Layer, plan: Plan, bids: tuple[Bid, ...], fate: str
) -> LayerReport:
    choice = plan.choice(layer.name) or Choice(layer=layer.name, algorithm=DENSE.name)
    stats = studied.stats[layer.name]
    return LayerReport(
        **dict(layer_analysis(studied, layer)),
        bids=bids,
        chosen=choice,
        dense=time_of(bids, DENSE.name, {}),
        now=time_of(bids, choice.algorithm, choice.parameters),
        dense_bytes=layer.weight.nbytes,
        packed_bytes=packed_bytes(studied, layer, choice),
        memory_bytes=round(held_bytes(layer, stats, choice.algorithm, choice.parameters)),
        workspace_bytes=workspace_bytes(layer, stats),
        paper_workspace_bytes=paper_workspace_bytes(layer, stats),
        epilogue=epilogue_text(layer.epilogue),
        fate=fate,
    )


def workspace_bytes(layer: Layer, stats: Stats) -> dict[str, int]:
    """What algorithms that take the layer hold of the input of one image."""
    return {
        row.name: round(row.workspace(layer, stats))
        for row in ALGORITHMS
        if row.workspace and row.refuse(layer, stats) is None
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


def time_of(bids: tuple[Bid, ...], name: str, parameters: dict[str, int]) -> LayerTime:
    offers = [bid for bid in bids if isinstance(bid, Offer)]
    for offer in offers:
        if offer.algorithm == name and offer.parameters == parameters:
            return LayerTime(predicted_us=offer.predicted, measured_us=offer.measured)
    return time_of(bids, DENSE.name, {})


def packed_bytes(studied: Studied, layer: Layer, choice: Choice) -> int:
    """Bytes of the layer's weight in the exported file."""
    row = algorithm(choice.algorithm)
    if row is None:
        return layer.weight.nbytes
    match row.pack(layer, studied.stats[layer.name], choice.parameters):
        case Packed() as packed:
            return sum(array.nbytes for _, array in packed.inputs)
        case None:
            return layer.weight.nbytes
        case factors:
            return sum(factor.weight.nbytes + factor.bias.nbytes for factor in factors)


def epilogue_text(epilogue: Epilogue) -> str:
    parts = ["Add"] if epilogue.residual else []
    return " + ".join([*parts, *([epilogue.activation] if epilogue.activation else [])])


def latency(timing: Timing) -> Latency:
    """A timing as reports hold it."""
    return Latency(
        median_ms=timing.median_ms, p10_ms=timing.p10_ms, p90_ms=timing.p90_ms, runs=timing.runs
    )
