"""The main job: read, measure, choose, rewrite, prove."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
import onnx_ir as ir

from sparsepass.cost import CostModel
from sparsepass.errors import UsageError
from sparsepass.graph import layout_graph
from sparsepass.model import MOST_BYTES, save, to_bytes
from sparsepass.pictures import ImageTransform
from sparsepass.pipeline.assemble import analysis_of, machine_of, report_of, tool_name
from sparsepass.pipeline.measure import measure as measure_bids
from sparsepass.pipeline.prove import is_lossy, plain_run
from sparsepass.pipeline.search import Outcome, search
from sparsepass.pipeline.stages import Progress, Studied, silent, step
from sparsepass.pipeline.study import SampleSource, study
from sparsepass.plan import PLAN_KEY, Bid, Choice, Offer, Plan
from sparsepass.profile import MachineProfile, cpu_name, find
from sparsepass.report.schema import Analysis, ErrorBudget, Report, Selector
from sparsepass.runtime.library import instruction_set
from sparsepass.runtime.lowering import refuse_opset
from sparsepass.select import bid, choose, quality
from sparsepass.sensitivity import Response, responses

if TYPE_CHECKING:
    import torch

__all__ = ["Result", "analyze", "optimize"]

# Runs of the whole network per probed rank: the dearest part of a lossy plan.
RESPONSE_SAMPLES = 3


@dataclass(frozen=True)
class Result:
    """An optimized network, the plan behind it and the report about it."""

    model: ir.Model
    plan: Plan
    report: Report

    def save(self, path: str | Path) -> None:
        """Write the model, whole or not at all; raises UsageError where that is impossible."""
        save(self.model, path)


def optimize(
    model: "str | Path | bytes | onnx.ModelProto | ir.Model | torch.nn.Module",
    *,
    samples: SampleSource | None = None,
    image_transform: ImageTransform | None = None,
    threads: int = 1,
    max_error: float = 0.0,
    shapes: Mapping[str, Sequence[int]] | None = None,
    example_inputs: tuple[Any, ...] | None = None,
    plan: Plan | None = None,
    profile: MachineProfile | None = None,
    measure: bool = True,
    dry_run: bool = False,
    seed: int = 0,
    max_bytes: int = MOST_BYTES,
    progress: Progress = silent,
) -> Result:
    """Rewrite ``model`` so that every layer runs by the algorithm that its sparsity deserves.

    ``samples`` (see ``samples.load_samples``) give activation statistics and the proof; without
    them seeded noise stands in.  Lossy algorithms are offered only with ``max_error``, the allowed
    relative error of the outputs, and need samples.  ``shapes`` settles open input sizes for the
    plan.  ``plan`` replays an earlier one instead of choosing.  ``measure`` times the offers that could win
    inside the network; without it predictions of ``profile`` decide.  A dry run chooses and
    neither rewrites nor verifies: its ``model`` is the cleaned dense network.

    Raises ModelError for a model that cannot be used, UsageError for wrong arguments and PlanError
    for a plan that does not fit.
    """
    check_arguments(threads, max_error, samples)
    studied = study(
        model, samples=samples, image_transform=image_transform, shapes=shapes,
        example_inputs=example_inputs, moments=max_error > 0, threads=threads, seed=seed,
        progress=progress, max_bytes=max_bytes,
    )  # fmt: skip
    warnings: tuple[str, ...] = ()
    if profile is None:
        profile, warning = find(threads, instruction_set())
        warnings = (warning,) if warning else ()
    costs = CostModel(profile)
    bids = {
        layer.name: bid(
            layer,
            studied.stats[layer.name],
            costs,
            refuse=lambda row: refuse_opset(row, studied.original.opset_imports[""]),
        )
        for layer in studied.layers
    }
    if measure and not dry_run:
        bids = measure_bids(
            studied.prepared, studied.layers, studied.stats, bids, studied.held_out[0],
            threads=threads, progress=step(progress, "measuring layers"),
        )  # fmt: skip
    answers = output_responses(studied, bids, threads, progress) if max_error > 0 else {}
    edges = layout_graph(studied.prepared, shapes)

    def plan_for(budget: float) -> tuple[Choice, ...]:
        if plan is not None:
            return plan.choices
        return choose(studied.layers, bids, edges, costs, max_error=budget, responses=answers)

    machine = machine_of(cpu_name(), threads)
    selector = selector_of(bids) if measure and not dry_run else None
    command = " ".join(shlex.quote(part) for part in [Path(sys.argv[0]).name, *sys.argv[1:]])
    if dry_run:
        made = make_plan(studied, plan_for(max_error), machine.cpu, threads, max_error)
        report = report_of(
            studied, made, bids, machine=machine, outcome=None,
            budget=budget_of(made, bids, answers, max_error, None), selector=selector,
            command=command, warnings=warnings,
        )  # fmt: skip
        return Result(studied.prepared, made, report)
    original = plain_run(to_bytes(studied.original), threads)
    outcome = search(
        studied, original, plan_for, bids, threads=threads, max_error=max_error, progress=progress
    )
    made = make_plan(studied, outcome.candidate.choices, machine.cpu, threads, max_error)
    report = report_of(
        studied, made, bids, machine=machine, outcome=outcome,
        budget=budget_of(made, bids, answers, max_error, outcome), selector=selector,
        command=command, warnings=warnings,
    )  # fmt: skip
    sign(outcome.candidate.model, made)
    return Result(outcome.candidate.model, made, report)


def analyze(
    model: "str | Path | bytes | onnx.ModelProto | ir.Model | torch.nn.Module",
    *,
    samples: SampleSource | None = None,
    image_transform: ImageTransform | None = None,
    threads: int = 1,
    shapes: Mapping[str, Sequence[int]] | None = None,
    example_inputs: tuple[Any, ...] | None = None,
    seed: int = 0,
    max_bytes: int = MOST_BYTES,
    progress: Progress = silent,
) -> Analysis:
    """Measure where ``model`` is sparse, and change nothing; see ``optimize`` for the arguments."""
    check_arguments(threads, 0.0, samples)
    studied = study(
        model, samples=samples, image_transform=image_transform, shapes=shapes,
        example_inputs=example_inputs, moments=False, threads=threads, seed=seed,
        progress=progress, max_bytes=max_bytes,
    )  # fmt: skip
    return analysis_of(studied, machine_of(cpu_name(), threads))


def check_arguments(threads: int, max_error: float, samples: SampleSource | None) -> None:
    if threads < 1:
        raise UsageError(f"{threads} threads were asked for; at least 1 is needed")
    if not 0 <= max_error < 1:
        raise UsageError(
            f"a maximal error of {max_error} makes no sense; give one from 0 to below 1"
        )
    if max_error > 0 and samples is None:
        raise UsageError("a maximal error needs samples to be measured on; give --samples as well")


def output_responses(
    studied: Studied, bids: Mapping[str, tuple[Bid, ...]], threads: int, progress: Progress
) -> dict[str, Response]:
    """How the outputs answer to errors of the layers where a lossy offer could win."""
    hopeful = [layer for layer in studied.layers if lossy_could_win(bids[layer.name])]
    if not hopeful:
        return {}
    return responses(
        studied.prepared, hopeful, studied.stats, studied.held_out.take(RESPONSE_SAMPLES),
        progress=step(progress, "measuring sensitivity"), threads=threads,
    )  # fmt: skip


def lossy_could_win(bids: Sequence[Bid]) -> bool:
    offers = [bid for bid in bids if isinstance(bid, Offer)]
    exact = min(offer.microseconds for offer in offers if offer.error == 0)
    return any(offer.error > 0 and offer.microseconds < exact for offer in offers)


def selector_of(bids: Mapping[str, tuple[Bid, ...]]) -> Selector:
    share, regret, count = quality(bids)
    return Selector(layers=count, best_share=share, regret=regret)


def make_plan(
    studied: Studied, choices: Sequence[Choice], cpu: str, threads: int, max_error: float
) -> Plan:
    return Plan(
        tool=tool_name(), machine=cpu, threads=threads, max_error=max_error, choices=tuple(choices)
    )


def budget_of(
    plan: Plan,
    bids: Mapping[str, tuple[Bid, ...]],
    answers: Mapping[str, Response],
    max_error: float,
    outcome: Outcome | None,
) -> ErrorBudget | None:
    if max_error == 0:
        return None
    squares = 0.0
    for choice in filter(is_lossy, plan.choices):
        for offer in bids[choice.layer]:
            if isinstance(offer, Offer) and (offer.algorithm, offer.parameters) == (
                choice.algorithm,
                choice.parameters,
            ):
                answer = answers.get(choice.layer)
                squares += (answer.output_error(offer.error) if answer else offer.error) ** 2
    return ErrorBudget(
        max_error=max_error,
        predicted=squares**0.5,
        measured=outcome.output_error if outcome else None,
    )


def sign(model: ir.Model, plan: Plan) -> None:
    """Leave in the file who made it, and by which plan."""
    model.producer_name = "sparsepass"
    model.producer_version = plan.tool.removeprefix("sparsepass ")
    model.metadata_props[PLAN_KEY] = plan.model_dump_json()
