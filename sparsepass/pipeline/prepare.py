"""The clean dense network that everything else starts from: a literal sequence of passes."""

from collections.abc import Sequence

import onnx_ir as ir

from sparsepass.passes import (
    CompactChannels,
    ConstantInputs,
    ConvolveBatchNorm,
    FoldBatchNorm,
    FoldConstants,
    FoldPad,
    FoldScale,
    InlineFunctions,
    NameNodes,
    RemoveUnused,
    UntileBatch,
)
from sparsepass.report.schema import PassRun

__all__ = ["prepare", "weight_names"]


NAMING = (UntileBatch(), InlineFunctions(), ConstantInputs(), NameNodes())


def prepare(model: ir.Model, *, keep_layers: bool = False) -> tuple[PassRun, ...]:
    """Clean ``model`` in place; outputs stay the same to rounding.

    With ``keep_layers`` normalisations that fold are all that goes: layers keep their channels.
    """
    if keep_layers:
        return run(
            (*NAMING, RemoveUnused(), FoldConstants(), FoldBatchNorm(), RemoveUnused()), model
        )
    sequence = (
        *NAMING,
        RemoveUnused(),
        FoldConstants(),
        FoldPad(),
        FoldBatchNorm(),
        FoldScale(),
        CompactChannels(),
        ConvolveBatchNorm(),
        RemoveUnused(),
    )
    return run(sequence, model)


def weight_names(model: ir.Model) -> dict[str, str]:
    """The name of the weight that each node of ``model`` reads, by the name that ``prepare`` gives."""
    copy = model.clone()
    run(NAMING, copy)
    return {
        node.name or "": node.inputs[1].name or ""
        for node in copy.graph
        if len(node.inputs) > 1 and node.inputs[1] is not None
    }


def run(sequence: Sequence[ir.passes.InPlacePass], model: ir.Model) -> tuple[PassRun, ...]:
    return tuple(PassRun(name=step.name, modified=step(model).modified) for step in sequence)
