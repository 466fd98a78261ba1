"""From a torch module to an ONNX model, as users have modules: pruned, parametrized, training."""

import copy
import io
import logging
from collections.abc import Generator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib import import_module
from typing import Any, cast

import onnx

from sparsepass.errors import ModelError, UsageError

__all__ = ["export"]

# What torch raises on modules that it cannot copy or export: its own errors have these bases.
ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    MemoryError,
    NameError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)


def export(module: Any, label: str, example_inputs: tuple[Any, ...] | None) -> onnx.ModelProto:
    """Export a copy of ``module`` in evaluation mode on the CPU; the caller's stays as it is.

    Weights that a mask or a parametrization makes are computed in the graph, from constants.
    Raises UsageError without torch, a module or inputs, and ModelError where torch fails.
    """
    try:
        torch: Any = import_module("torch")
    except ImportError as error:
        raise UsageError(
            f"{label}: PyTorch is not installed; pip install 'sparsepass[torch]'"
        ) from error
    if not isinstance(module, torch.nn.Module):
        raise UsageError(
            f"{type(module).__name__} is no model; give a path, bytes, ONNX model or torch module"
        )
    if example_inputs is None:
        raise UsageError(f"{label}: give example_inputs=(tensor, ...), one per argument of forward")
    errors = (*ERRORS, torch.onnx.errors.OnnxExporterError)
    try:
        alone = copy.deepcopy(module, computed(module)).eval().cpu()
        inputs = torch.utils._pytree.tree_map_only(torch.Tensor, to_cpu, example_inputs)
        with quiet(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            program = torch.onnx.export(alone, inputs, dynamo=True, verbose=False)
        return cast(onnx.ModelProto, program.model_proto)
    except errors as error:
        raise ModelError(
            f"{label}: torch cannot export it ({cause(error)}); "
            "export it to ONNX yourself and give the file"
        ) from error


def computed(module: Any) -> dict[int, Any]:
    """A memo for deepcopy with the tensors that it refuses: those that others are computed into.

    Pruning and normalising of weights keep such a one on the module until its next forward.
    """
    torch: Any = import_module("torch")
    held: list[Any] = list(module.buffers())
    for part in module.modules():
        held.extend(part.__dict__.values())
    tensors = [value for value in held if isinstance(value, torch.Tensor) and not value.is_leaf]
    return {id(tensor): tensor.detach().clone() for tensor in tensors}


def to_cpu(tensor: Any) -> Any:
    return tensor.detach().cpu()


@contextmanager
def quiet() -> Generator[None]:
    """Keep torch from logging what it tries while it exports."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)


def cause(error: BaseException) -> str:
    """The first line of the cause that lies deepest."""
    while error.__cause__ is not None:
        error = error.__cause__
    line = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {line}" if line else type(error).__name__
