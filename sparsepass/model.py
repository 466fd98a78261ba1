"""Reading a model from whatever the caller has, and writing one without leaving half a file."""

import copy
import errno
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError
from onnx_ir.passes.common import CheckerPass, TopologicalSortPass

from sparsepass.checks import all_tensors, check_convolutions, check_proto
from sparsepass.densify import make_dense
from sparsepass.errors import ModelError
from sparsepass.files import read_bytes, staged, write_bytes
from sparsepass.limits import MOST_BYTES
from sparsepass.shapes import check_shapes
from sparsepass.spelling import spell_alike
from sparsepass.torch_export import export_module

if TYPE_CHECKING:
    import torch

__all__ = ["external_files", "load", "save", "to_bytes"]

logger = logging.getLogger(__name__)

LARGEST_PROTOBUF = (1 << 31) - 1
# What a file of the largest size still needs for everything that is not weight data.
STRUCTURE_ROOM = 64 << 20
SMALL_BYTES = 1 << 16
FUNCTIONS_IR = 8
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


def external_files(path: Path) -> tuple[Path, ...]:
    """The files beside the model at ``path`` that hold its weights; none where it is no model."""
    try:
        proto = parse(read(path, str(path), LARGEST_PROTOBUF), str(path))
    except ModelError:
        return ()
    places = {
        entry.value
        for tensor in all_tensors(proto)
        for entry in tensor.external_data
        if entry.key == "location"
    }
    return tuple(path.parent / place for place in sorted(places))


def save(model: ir.Model, path: str | Path) -> None:
    """Write ``model`` to ``path``, whole or not at all.

    The file appears under its name only when it is complete; an existing file, or a symbolic link,
    is replaced.  Above 2 GiB the weights go into ``<name>.data`` beside it.  Raises UsageError
    where the folder cannot be written.
    """
    path = Path(path)
    if weight_bytes(model) <= LARGEST_PROTOBUF - STRUCTURE_ROOM:
        write_bytes(path, to_bytes(model))
        return
    # Never over weights that are there: what is replaced needs its own until it is.
    data = free_file(path.with_name(f"{path.name}.data"))
    before = set(external_files(path)) - sources_of(model)
    with staged(path) as folder:
        ready = with_ir_version(model)
        cast(Any, ir).save(ready, folder / path.name, format="protobuf", external_data=data.name)
    for old in before:
        if old.name.startswith(f"{path.name}.") and old.suffix == ".data":
            old.unlink(missing_ok=True)


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
    return export_module(source, label, example_inputs)


def read(path: Path, label: str, max_bytes: int) -> bytes:
    try:
        return read_bytes(path, min(max_bytes, LARGEST_PROTOBUF))
    except OSError as error:
        remedy = "use external data" if error.errno == errno.EFBIG else "give an .onnx file"
        raise ModelError(f"{label}: cannot be read ({error.strerror}); {remedy}") from error
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
    for graph in inside.graphs():
        for value in graph.initializers.values():
            tensor = value.const_value
            if isinstance(tensor, ir.ExternalTensor):
                # Still mapped, and by others as well: onnx_ir would close the file under them.
                value.const_value = ir.tensor(tensor.numpy(), tensor.dtype, tensor.name)
    ir.external_data.load_to_model(inside)
    return ir.to_proto(inside)


def declared(model: ir.Model) -> ir.Model:
    """A copy that declares what the checker of onnx asks for and ONNX Runtime infers.

    That is a name of the graph, and types and sizes of its inputs and outputs.
    """
    try:
        copy = model.clone()
    except RuntimeError as error:
        # What onnx-ir raises while it copies quotes the graph.
        raise ValueError("a graph gives back a value that is not its own") from error
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
    """Return ``model`` with an IR version that knows functions, where it has some.

    Metadata of nodes came with IR 10, which ONNX Runtime 1.17 refuses; whoever does not know the
    metadata passes over it.
    """
    if not model.functions or model.ir_version >= FUNCTIONS_IR:
        return model
    raised = model.clone()
    raised.ir_version = FUNCTIONS_IR
    return raised


def free_file(path: Path) -> Path:
    """``path``, or one like it where a file is there."""
    free, count = path, 1
    while free.exists():
        count += 1
        free = path.with_stem(f"{path.stem}.{count}")
    return free


def sources_of(model: ir.Model) -> set[Path]:
    """The files that weights of ``model`` are read from."""
    tensors = (v.const_value for g in model.graphs() for v in g.initializers.values())
    return {Path(tensor.path) for tensor in tensors if isinstance(tensor, ir.ExternalTensor)}


def weight_bytes(model: ir.Model) -> int:
    return sum(
        value.const_value.nbytes
        for graph in model.graphs()
        for value in graph.initializers.values()
        if value.const_value is not None
    )
