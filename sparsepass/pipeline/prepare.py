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
    UntileBatch,
)
from sparsepass.report.schema import PassRun

__all__ = ["prepare", "prepare_exactly"]


def prepare(model: ir.Model) -> tuple[PassRun, ...]:
    """Clean ``model`` in place; outputs stay the same to rounding."""
    sequence = (
        UntileBatch(),
        InlineFunctions(),
        ConstantInputs(),
        NameNodes(),
        RemoveUnused(),
        FoldConstants(),
        FoldPad(),
        FoldBatchNorm(),
        FoldScale(),
        CompactChannels(),
        ConvolveBatchNorm(),
        RemoveUnused(),
    )
    return tuple(PassRun(name=step.name, modified=step(model).modified) for step in sequence)


def prepare_exactly(model: ir.Model) -> tuple[PassRun, ...]:
    """Clean ``model`` in place by what cannot change outputs, nor which inputs it takes."""
    sequence = (UntileBatch(), InlineFunctions(), NameNodes(), RemoveUnused())
    return tuple(PassRun(name=step.name, modified=step(model).modified) for step in sequence)
