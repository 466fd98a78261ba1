"""Arrays in files, .npy and .npz: no header is believed before the file bears it out."""

import io
import math
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from sparsepass.errors import UsageError
from sparsepass.limits import MOST_ARCHIVE_BYTES

__all__ = ["load_archive", "load_array"]

AnyArray = NDArray[Any]

# More than NumPy's own limit for what it parses.
HEADER_BYTES = 1 << 16
# What NumPy, its parser of headers and the readers of archives raise on what makes no sense.
ERRORS = (
    EOFError,
    MemoryError,
    NotImplementedError,
    OSError,
    OverflowError,
    RecursionError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


def load_array(path: Path) -> AnyArray:
    """Map an .npy file; raises UsageError, in one line, where it is no array of plain values."""
    try:
        refuse_devices(path)
        with path.open("rb") as file:
            check_header(file.read(HEADER_BYTES), path.stat().st_size)
        return cast(AnyArray, np.load(path, mmap_mode="r", allow_pickle=False))
    except ERRORS as error:
        raise unreadable(path, error) from error


def load_archive(path: Path) -> dict[str, AnyArray]:
    """Read the arrays of an .npz file; raises UsageError as ``load_array`` does."""
    try:
        refuse_devices(path)
        with zipfile.ZipFile(path) as archive:
            check_members(archive)
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except ERRORS as error:
        raise unreadable(path, error) from error


def check_members(archive: zipfile.ZipFile) -> None:
    """Raise ValueError for members that are no arrays or larger than what they say or may be."""
    members = archive.infolist()
    total = sum(member.file_size for member in members)
    if total > MOST_ARCHIVE_BYTES:
        raise ValueError(f"{total:,} bytes when unpacked; give .npy files, which are mapped")
    for member in members:
        if not member.filename.endswith(".npy"):
            raise ValueError(f"{member.filename!r} in it is no array")
        with archive.open(member) as file:
            check_header(file.read(HEADER_BYTES), member.file_size)


def check_header(begin: bytes, size: int) -> None:
    """Raise ValueError unless a file of ``size`` bytes that begins so has what its header says."""
    if not begin:
        raise ValueError("it is empty")
    stream = io.BytesIO(begin)
    version = np.lib.format.read_magic(stream)
    # Versions 2 and 3 differ in the encoding of names, which arrays of plain values do not have.
    one, two = np.lib.format.read_array_header_1_0, np.lib.format.read_array_header_2_0
    shape, _, dtype = (one if version == (1, 0) else two)(stream)
    if any(type(length) is not int or length < 0 for length in shape):
        raise ValueError(f"shape is not valid: {shape}")
    if dtype.hasobject or not dtype.itemsize:
        raise ValueError(f"{dtype} is no type of plain values")
    claimed, held = math.prod(shape) * dtype.itemsize, size - stream.tell()
    if claimed > held:
        raise ValueError(f"its header claims {claimed:,} bytes and {held:,} follow")


def refuse_devices(path: Path) -> None:
    if path.exists() and not path.is_file():
        raise ValueError("it is a device or a pipe")


def unreadable(path: Path, error: Exception) -> UsageError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return UsageError(f"{path}: cannot be read ({reason}); write it with numpy")
