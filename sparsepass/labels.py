"""Labels: which class each picture or array shows, from the folders it lies in or from a file."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsepass.arrays import load_array
from sparsepass.errors import UsageError
from sparsepass.files import read_document

__all__ = ["LabelSource", "folder_labels", "read_labels"]

LabelSource = str | Path | Sequence[int] | NDArray[Any]
"""A file or numbers; see ``read_labels``."""

Labels = tuple[int, ...]
TEXT = (".txt", ".csv", ".tsv")
# A line: a number, or the name of a file and a number.
LINE = re.compile(r"(?:(?P<name>.*?)[\s,;]+)?(?P<label>[+-]?\d{1,9})")


def folder_labels(folder: Path, files: Sequence[Path]) -> Labels | None:
    """The classes of ``files`` by the folders of ``folder`` that they lie in.

    Names of folders that are numbers are the classes; others count in alphabetical order.  None
    where a file lies in none, or there is one folder only.
    """
    parts = [path.relative_to(folder).parts for path in files]
    names = sorted({part[0] for part in parts})
    if len(names) < 2 or any(len(part) < 2 for part in parts):
        return None
    numbered = all(re.fullmatch(r"\d{1,9}", name) for name in names)
    numbers = {name: int(name) if numbered else place for place, name in enumerate(names)}
    return tuple(numbers[part[0]] for part in parts)


def read_labels(
    source: LabelSource, entries: int, files: Sequence[Path] = (), folder: Path | None = None
) -> Labels:
    """The class number, from 0, of each of ``entries`` pictures or arrays, in their order.

    ``source`` holds one number each: a sequence, an .npy file, or a .txt, .csv or .tsv file with
    one a line.  In lines with a name before the number the order is free and others may be there
    too; ``files`` are what they name, by the path in ``folder`` or the file name alone.

    Raises UsageError, in one line, for labels that are no numbers, too few or too many.
    """
    if not isinstance(source, str | Path):
        return checked("labels", np.asarray(source), entries)
    path = Path(source)
    if path.suffix == ".npy":
        return checked(str(path), load_array(path), entries)
    if path.suffix.lower() not in TEXT:
        raise UsageError(f"{path}: no labels; give an .npy, a .txt, a .csv or a .tsv file")
    lines = read_lines(path)
    if not any(name for name, _ in lines):
        return checked(str(path), np.array([label for _, label in lines], np.int64), entries)
    if folder is None:
        raise UsageError(f"{path}: names files, but the samples are arrays; give numbers only")
    return by_name(path, lines, files, folder)


def checked(source: str, labels: NDArray[Any], entries: int) -> Labels:
    flat = labels.reshape(-1)
    if flat.size and flat.dtype.kind not in "iu":
        raise UsageError(f"{source}: {labels.dtype} values are no class numbers; give integers")
    if labels.ndim == 0 or len(labels) != flat.size or flat.size != entries:
        raise UsageError(
            f"{source}: {flat.size} labels for {entries} samples; give one for each, in order"
        )
    if flat.size and flat.min() < 0:
        raise UsageError(f"{source}: label {flat.min()} is below 0; classes count from 0")
    return tuple(int(label) for label in flat)


def read_lines(path: Path) -> list[tuple[str, int]]:
    """Names, empty where there are none, and labels; the first line of a table may be its head."""
    try:
        # With or without the mark that some editors put in front.
        lines = read_document(path).decode("utf-8-sig").splitlines()
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be read ({error.strerror}); give a file with one label a line"
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: cannot be read as text; give one label a line") from error
    found: list[tuple[str, int]] = []
    for number, line in enumerate(lines, start=1):
        match = LINE.fullmatch(line.strip())
        if match:
            found.append(((match["name"] or "").strip(), int(match["label"])))
        elif line.strip() and (number > 1 or path.suffix.lower() == ".txt"):
            raise UsageError(
                f"{path}: line {number}: {line.strip()[:40]!r} does not end in a class number"
            )
    return found


def by_name(
    path: Path, lines: Sequence[tuple[str, int]], files: Sequence[Path], folder: Path
) -> Labels:
    labels: dict[str, int] = {}
    for name, label in lines:
        if labels.setdefault(name, label) != label:
            raise UsageError(f"{path}: {name!r} has the labels {labels[name]} and {label}")
    found: list[int] = []
    for file in files:
        label = labels.get(file.relative_to(folder).as_posix(), labels.get(file.name))
        if label is None:
            raise UsageError(f"{path}: has no label for {file}; add a line for it")
        found.append(label)
    return checked(str(path), np.array(found, np.int64), len(files))
