"""Files: written whole or not at all, and read up to a limit."""

import errno
import os
import shutil
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sparsepass.errors import UsageError
from sparsepass.limits import MOST_DOCUMENT_BYTES

__all__ = [
    "check_target", "check_targets", "make_folder", "read_bytes", "read_document", "staged",
    "write_bytes", "write_text",
]  # fmt: skip

# Names in these folders stand for devices and open files, even where they look like plain ones.
DEVICES = (Path("/dev"), Path("/dev/fd"), Path("/proc"))


def read_bytes(path: Path, most: int) -> bytes:
    """Return what a file holds; raises OSError where it cannot be read or has over ``most`` bytes.

    Of what never ends, such as a device, no more are read.
    """
    with path.open("rb") as file:
        sized = os.fstat(file.fileno()).st_size
        content = b"" if sized > most else file.read(most + 1)
    if max(sized, len(content)) > most:
        raise OSError(errno.EFBIG, f"larger than {most} bytes")
    return content


def read_document(path: Path) -> bytes:
    """Return a plan, a profile, a report or labels as they are in the file; raises OSError."""
    return read_bytes(path, MOST_DOCUMENT_BYTES)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it; raises UsageError where that is impossible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; raises UsageError where that is impossible."""
    with staged(path) as folder:
        (folder / path.name).write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8 with plain line feeds; see ``write_bytes``."""
    write_bytes(path, text.encode())


@contextmanager
def staged(path: Path) -> Generator[Path]:
    """Give a folder beside ``path`` to write in; move its files to ``path``'s folder on success.

    They appear under their names when all are complete and on the disk; existing ones, or symbolic
    links, are replaced.  Raises UsageError where ``path`` cannot be written.
    """
    check_target(path)
    try:
        folder = Path(tempfile.mkdtemp(prefix=".sparsepass.", dir=path.parent))
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        yield folder
        # What goes with a file goes first: a model that is in place has its data in place.
        parts = sorted(folder.iterdir(), key=lambda part: part.name == path.name)
        for part in parts:
            synchronize(part)
        for part in parts:
            os.replace(part, path.parent / part.name)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_targets(targets: Sequence[Path], sources: Sequence[Path] = ()) -> None:
    """Check all that one run writes, before the work; see ``check_target``."""
    for target in targets:
        check_target(target, sources)
    places = [target.parent.resolve() / target.name for target in targets]
    for target, place in zip(targets, places, strict=True):
        if places.count(place) > 1:
            raise UsageError(f"{target}: is asked for twice; give each output a path of its own")


def check_target(target: Path, sources: Sequence[Path] = ()) -> None:
    """Raise UsageError where it is known before that ``target`` cannot be written.

    ``sources`` are files that it must not replace.
    """
    try:
        if target.is_file() and any(is_same(target, source) for source in sources):
            raise UsageError(f"{target}: is an input of this run; give another path")
        if target.is_dir():
            raise UsageError(f"{target}: is a folder; give a file name")
        if (target.exists() and not target.is_file()) or in_devices(target):
            raise UsageError(f"{target}: is a device or a pipe, no file; give a file name")
        if not target.parent.is_dir():
            raise UsageError(f"{target}: cannot be written, no such folder; choose another folder")
    except ValueError as error:
        raise UsageError(f"{str(target)!r}: no file can have this name; give another") from error
    except OSError as error:
        raise unwritable(target, error) from error
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise UsageError(f"{target}: its folder cannot be written; choose another folder")


def is_same(target: Path, source: Path) -> bool:
    """Tell whether a file that is there is ``source``; one that cannot be looked up is another."""
    try:
        return target.samefile(source)
    except (OSError, ValueError):
        return False


def in_devices(target: Path) -> bool:
    """Tell whether ``target`` is a name of the system's, such as /dev/stdout or /proc/self/fd/1."""
    folder = target.parent.resolve()
    return folder in DEVICES or folder.is_relative_to("/proc")


def synchronize(path: Path) -> None:
    """Wait until a file is on the disk: a rename may reach it before the content does."""
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def unwritable(path: Path, error: OSError) -> UsageError:
    return UsageError(
        f"{path}: cannot be written ({error.strerror}); free space or choose another folder"
    )
