"""The tensors of a model file: types, sizes, payloads, and files that they lie in."""

import math
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path, PurePath

import onnx
import onnx_ir as ir
from onnx import TensorProto

from sparsepass.errors import ModelError

__all__ = ["check_tensor", "element_count"]

MOST_AXES = 32


def element_count(dims: Iterable[int], what: str) -> int:
    """Return the product of ``dims``; raises ModelError, naming ``what``, where one is negative."""
    dims = list(dims)
    if any(dim < 0 for dim in dims):
        raise ModelError(f"{what} has a negative size {dims}; the file is damaged, export it again")
    return math.prod(dims)


def check_tensor(tensor: TensorProto, label: str, folder: Path | None, room: int) -> int:
    """Check one tensor and return its size in bytes, at most ``room``."""
    what = f"{label}: tensor {tensor.name!r}"
    if len(tensor.dims) > MOST_AXES:
        raise ModelError(f"{what} has {len(tensor.dims)} axes, NumPy takes {MOST_AXES}; reshape it")
    count = element_count(tensor.dims, what)
    try:
        kind = ir.DataType(tensor.data_type)
        width = 0 if kind == ir.DataType.STRING else kind.itemsize
    except (ValueError, TypeError):
        raise ModelError(
            f"{what} has unknown type {tensor.data_type}; export the model again"
        ) from None
    if count * Fraction(width) > room:
        raise ModelError(
            f"{what} of shape {list(tensor.dims)} goes over the size limit; raise --max-bytes"
        )
    nbytes = math.ceil(count * width)
    if tensor.data_location == TensorProto.EXTERNAL:
        check_external(tensor, what, folder, nbytes)
    elif tensor.HasField("raw_data"):
        expect(what, "bytes", len(tensor.raw_data), nbytes)
    else:
        field, length = typed_payload(kind, count)
        expect(what, "values", len(getattr(tensor, field)), length)
    return nbytes


def expect(what: str, unit: str, found: int, wanted: int) -> None:
    if found != wanted:
        raise ModelError(
            f"{what} holds {found} {unit} where its shape needs {wanted}; export the model again"
        )


def typed_payload(kind: ir.DataType, count: int) -> tuple[str, int]:
    """Return the field of TensorProto that holds values of ``kind``, and how many it needs."""
    field = onnx.helper.tensor_dtype_to_field(int(kind))
    if kind in (ir.DataType.COMPLEX64, ir.DataType.COMPLEX128):
        return field, 2 * count
    packed = kind != ir.DataType.STRING and kind.itemsize < 1
    return field, math.ceil(count * kind.itemsize) if packed else count


def check_external(tensor: TensorProto, what: str, folder: Path | None, nbytes: int) -> None:
    if folder is None:
        raise ModelError(f"{what} lies in another file; give the model as a path, not as bytes")
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    data = external_path(location, folder, what)
    try:
        offset = int(entries.get("offset", "0"))
        length = int(entries.get("length", str(nbytes)))
    except ValueError:
        raise ModelError(f"{what}: offset or length is no number; export the model again") from None
    expect(what, "bytes", length, nbytes)
    if offset < 0 or offset + length > data.stat().st_size:
        raise ModelError(f"{what} reaches past the end of {location}; copy the whole file again")


def external_path(location: str, folder: Path, what: str) -> Path:
    """Return the regular file inside ``folder`` that ``location`` names; raises ModelError."""
    parts = PurePath(location).parts
    if not parts or PurePath(location).is_absolute() or ".." in parts or "\0" in location:
        raise ModelError(
            f"{what}: external data {location!r} leaves the model's folder; move it into that"
        )
    data = folder / location
    steps = [folder.joinpath(*parts[: i + 1]) for i in range(len(parts))]
    if any(step.is_symlink() for step in steps):
        raise ModelError(
            f"{what}: external data {location!r} is a symbolic link; put the file itself there"
        )
    if not data.is_file():
        raise ModelError(f"{what}: external data {location!r} is missing; copy it beside the model")
    return data
