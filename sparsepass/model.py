"""Reading a model from whatever the caller has, and writing one without leaving half a file."""

import copy
import logging
import os
import shutil
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError
from onnx_ir.passes.common import CheckerPass, TopologicalSortPass

from sparsepass.checks import check_convolutions, check_proto
from sparsepass.densify import make_dense
from sparsepass.errors import ModelError, UsageError
from sparsepass.shapes import check_shapes
from sparsepass.spelling import spell_alike

if TYPE_CHECKING:
    import torch

__all__ = ["MOST_BYTES", "load", "save", "to_bytes"]

logger = logging.getLogger(__name__)

MOST_BYTES = 16 << 30
LARGEST_PROTOBUF = (1 << 31) - 1
# What a file of the largest size still needs for everything that is not weight data.
STRUCTURE_ROOM = 64 << 20
SMALL_BYTES = 1 << 16
FUNCTIONS_IR = 8
NODE_METADATA_IR = 10
# What onnx_ir and protobuf raise on a proto that is well formed and makes no sense.
IR_ERRORS = (ir.serde.SerdeError, ir.passes.PassError, ValueError)


def load(
    source: "str | Path | bytes | onnx.ModelProto | ir.Model | torch.nn.Module",
    *,
    shapes: Mapping[str, Sequence[int]] | None = None,
    example_inputs: tuple[Any, ...] | None = None,
    max_bytes: int = MOST_BYTES,
) -> ir.Model:
    """Return ``source`` as a model of its own, checked and sorted; ``source`` is not changed.

    ``shapes`` maps inputs to the sizes the plan is made for: they are checked here, and the model
    keeps its open sizes.  ``example_inputs`` go with a ``torch.nn.Module``.  Sparse initializers
    are made dense, and other spellings become one, see ``spelling``.  IR version and opset stay
    those of the source.

    Raises ModelError for a file that cannot be used and UsageError for wrong arguments.
    """
    label = label_of(source)
    folder = Path(source).parent if isinstance(source, str | Path) else None
    proto = to_proto(source, label, example_inputs, max_bytes)
    try:
        check_proto(proto, label, folder, max_bytes)
        spell_alike(proto)
        make_dense(proto, label, folder, max_bytes)
        model = ir.serde.from_proto(proto)
        cast(Any, ir.external_data).set_base_dir(model.graph, folder or "")
        take_in_small_tensors(model)
        TopologicalSortPass()(model)
        CheckerPass()(declared(model))
        check_convolutions(model.graph, label)
    except UnicodeDecodeError as error:
        raise ModelError(f"{label}: a name is not UTF-8; export the model again") from error
    except (*IR_ERRORS, onnx.checker.ValidationError) as error:
        raise ModelError(f"{label}: {first_line(error)}; export the model again") from error
    check_shapes(model, shapes)
    return model


def save(model: ir.Model, path: str | Path) -> None:
    """Write ``model`` to ``path``, whole or not at all.

    The file appears under its name only when it is complete; an existing file, or a symbolic link,
    is replaced.  Above 2 GiB the weights go into ``<name>.data`` beside it.  Raises UsageError
    where the folder cannot be written.
    """
    path = Path(path)
    ready = with_ir_version(model)
    data = f"{path.name}.data" if weight_bytes(model) > LARGEST_PROTOBUF - STRUCTURE_ROOM else None
    with staged(path) as folder:
        if data is None:
            (folder / path.name).write_bytes(to_bytes(ready))
        else:
            cast(Any, ir).save(ready, folder / path.name, format="protobuf", external_data=data)


def to_bytes(model: ir.Model) -> bytes:
    """Return ``model`` as one self-contained ONNX file; raises ModelError above 2 GiB."""
    if weight_bytes(model) > LARGEST_PROTOBUF - STRUCTURE_ROOM:
        raise ModelError(
            f"{model.graph.name or 'model'}: larger than 2 GiB; save it to a file instead"
        )
    return self_contained(with_ir_version(model)).SerializeToString()


# --- reading -------------------------------------------------------------------------------------


def label_of(source: object) -> str:
    if isinstance(source, str | Path):
        return str(source)
    if isinstance(source, bytes):
        return "model given as bytes"
    if isinstance(source, onnx.ModelProto):
        return f"model {source.graph.name!r}"
    if isinstance(source, ir.Model):
        return f"model {source.graph.name or ''!r}"
    return f"torch module {type(source).__name__}"


def to_proto(
    source: object, label: str, example_inputs: tuple[Any, ...] | None, max_bytes: int
) -> onnx.ModelProto:
    if isinstance(source, str | Path):
        return parse(read(Path(source), label, max_bytes), label)
    if isinstance(source, bytes):
        return parse(source, label)
    if isinstance(source, onnx.ModelProto):
        return copy.deepcopy(source)
    if isinstance(source, ir.Model):
        return self_contained(source)
    return export_torch(source, label, example_inputs)


def read(path: Path, label: str, max_bytes: int) -> bytes:
    try:
        size = path.stat().st_size
        if size > min(max_bytes, LARGEST_PROTOBUF):
            raise ModelError(
                f"{label}: larger than {min(max_bytes, LARGEST_PROTOBUF)} bytes; use external data"
            )
        return path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"{label}: cannot be read ({error.strerror}); give an .onnx file"
        ) from error
    except ValueError as error:
        raise ModelError(f"{label!r}: no file can have this name; give an .onnx file") from error


def parse(content: bytes, label: str) -> onnx.ModelProto:
    if not content:
        raise ModelError(f"{label}: is empty; export or copy the model again")
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(content)
    except (DecodeError, UnicodeDecodeError) as error:
        raise ModelError(
            f"{label}: not an ONNX model, or truncated; export or copy it again"
        ) from error
    return proto


def self_contained(model: ir.Model) -> onnx.ModelProto:
    """Serialize a copy of ``model`` with external data taken in."""
    inside = model.clone()
    ir.external_data.load_to_model(inside)
    return ir.to_proto(inside)


def export_torch(
    module: object, label: str, example_inputs: tuple[Any, ...] | None
) -> onnx.ModelProto:
    try:
        import torch
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
    # Exported from a copy in evaluation mode: the caller's module keeps its mode.
    program = cast(Any, torch.onnx).export(
        copy.deepcopy(module).eval(), example_inputs, dynamo=True, verbose=False
    )
    return cast(onnx.ModelProto, program.model_proto)


def declared(model: ir.Model) -> ir.Model:
    """A copy that declares what the checker of onnx asks for and ONNX Runtime infers.

    That is a name of the graph, and types and sizes of its inputs and outputs.
    """
    copy = model.clone()
    copy.graph.name = copy.graph.name or "graph"
    for value in (*copy.graph.inputs, *copy.graph.outputs):
        value.type = value.type or ir.TensorType(ir.DataType.FLOAT)
        value.shape = value.shape or ir.Shape(())
    return copy


def take_in_small_tensors(model: ir.Model) -> None:
    """Read small constants from external data now, large ones stay mapped until they are used.

    onnx_ir hands small constants to onnx for checking and shape inference, without their folder.
    """
    for graph in model.graphs():
        for value in graph.initializers.values():
            tensor = value.const_value
            if isinstance(tensor, ir.ExternalTensor) and tensor.nbytes <= SMALL_BYTES:
                value.const_value = ir.tensor(tensor.numpy().copy(), tensor.dtype, tensor.name)


def first_line(error: BaseException) -> str:
    """Return one line of the cause that lies deepest."""
    while error.__cause__ is not None:
        error = error.__cause__
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


# --- writing -------------------------------------------------------------------------------------


def with_ir_version(model: ir.Model) -> ir.Model:
    """Return ``model`` with an IR version that knows what it uses: functions, node metadata."""
    needed = [model.ir_version]
    if model.functions:
        needed.append(FUNCTIONS_IR)
    if any(node.metadata_props for node in model.graph.all_nodes()):
        needed.append(NODE_METADATA_IR)
    if max(needed) == model.ir_version:
        return model
    raised = model.clone()
    raised.ir_version = max(needed)
    return raised


def weight_bytes(model: ir.Model) -> int:
    return sum(
        value.const_value.nbytes
        for graph in model.graphs()
        for value in graph.initializers.values()
        if value.const_value is not None
    )


@contextmanager
def staged(path: Path) -> Generator[Path]:
    """Give a folder beside ``path`` to write in; move its files to ``path``'s folder on success."""
    if path.is_dir():
        raise UsageError(f"{path}: is a folder; give a file name")
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be written ({error.strerror}); choose another folder"
        ) from error
    try:
        yield folder
        # The data file goes first: a model that is in place has its data in place.
        for part in sorted(folder.iterdir(), key=lambda part: part.name == path.name):
            os.replace(part, path.parent / part.name)
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be written ({error.strerror}); free space or choose another folder"
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
