"""The clean dense network that everything else starts from: a literal sequence of passes."""

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
    TransposeGemm,
    UntileBatch,
)
from sparsepass.report.schema import PassRun

__all__ = ["prepare", "prepare_exactly", "weight_names"]


NAMING = (UntileBatch(), InlineFunctions(), ConstantInputs(), NameNodes())


def prepare(model: ir.Model, *, keep_layers: bool = False) -> tuple[PassRun, ...]:
    """Clean ``model`` in place; outputs stay the same to rounding.

    With ``keep_layers`` normalisations that fold are all that goes: layers keep their channels.
    """
    cleaning = (
        *NAMING,
        RemoveUnused(),
        FoldConstants(),
        TransposeGemm(),
        FoldPad(),
        FoldBatchNorm(),
        FoldScale(),
        CompactChannels(),
        ConvolveBatchNorm(),
        RemoveUnused(),
    )
    keeping = (*NAMING, RemoveUnused(), FoldConstants(), FoldBatchNorm(), RemoveUnused())
    sequence = keeping if keep_layers else cleaning
    return tuple(PassRun(name=step.name, modified=step(model).modified) for step in sequence)


def prepare_exactly(model: ir.Model) -> tuple[PassRun, ...]:
    """Clean ``model`` in place by what cannot change outputs, nor which inputs it takes."""
    sequence = (UntileBatch(), InlineFunctions(), NameNodes(), RemoveUnused())
    return tuple(PassRun(name=step.name, modified=step(model).modified) for step in sequence)


def weight_names(model: ir.Model) -> dict[str, str]:
    """The weights that nodes of ``model`` read, by the names that nodes have in ``prepare``."""
    copy = model.clone()
    for step in NAMING:
        step(copy)
    return {
        node.name or "": weight.name or ""
        for node in copy.graph
        if len(node.inputs) > 1 and (weight := node.inputs[1]) is not None
    }
