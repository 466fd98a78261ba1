"""Samples from a folder of pictures or arrays."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from sparsepass.arrays import load_array
from sparsepass.errors import UsageError
from sparsepass.labels import folder_labels
from sparsepass.pictures import SUFFIXES, ImageTransform
from sparsepass.samples.arrays import checked
from sparsepass.samples.feeds import AnyArray, Feed, Samples
from sparsepass.samples.inputs import InputSpec, only, shape_text

__all__ = ["ARCHIVE", "ARRAY", "from_folder", "is_sample_of"]

# Suffixes of what NumPy writes.
ARRAY, ARCHIVE = ".npy", ".npz"


def is_sample_of(folder: Path, path: Path) -> bool:
    """Whether a file would be read as a sample, a picture or an array, of ``folder``."""
    known = path.suffix.lower() in SUFFIXES or path.suffix == ARRAY
    return known and path.resolve().is_relative_to(folder.resolve())


def from_folder(folder: Path, inputs: Sequence[InputSpec], transform: ImageTransform) -> Samples:
    """A sample for each file below ``folder``; raises UsageError where there is none."""
    spec = only(inputs, str(folder))
    files = files_in(folder)
    pictures = [path for path in files if path.suffix.lower() in SUFFIXES]
    arrays = [path for path in files if path.suffix == ARRAY]
    if pictures and arrays:
        raise UsageError(f"{folder}: has pictures and .npy files; give a folder with one kind")
    chosen = pictures or arrays
    count = len(chosen) // spec.batch
    if not count:
        raise UsageError(
            f"{folder}: has {len(chosen)} pictures or .npy files; give at least {spec.batch}"
        )
    open_one = picture_reader(folder, spec, transform) if pictures else array_file_reader(spec)

    def read(index: int) -> Feed:
        batch = chosen[index * spec.batch : (index + 1) * spec.batch]
        return {spec.name: np.concatenate([open_one(path) for path in batch])}

    return Samples(
        str(folder),
        read,
        tuple(range(count)),
        labels=folder_labels(folder, chosen),
        batch=spec.batch,
        entries=len(chosen),
        files=tuple(chosen),
        folder=folder,
    )


def files_in(folder: Path) -> list[Path]:
    """All files in a folder and those below; raises UsageError where one cannot be looked into."""
    try:
        return sorted(path for path in folder.rglob("*") if path.is_file())
    except OSError as error:
        where = error.filename or folder
        raise UsageError(
            f"{where}: cannot be read ({error.strerror}); give a folder of pictures or .npy files"
        ) from error


def array_file_reader(spec: InputSpec) -> Callable[[Path], AnyArray]:
    """One sample a file, with or without its axis of length 1 for the batch."""
    one = replace(spec, shape=(1, *spec.shape[1:]))

    def read(path: Path) -> AnyArray:
        array = load_array(path)
        batched = array[None] if array.ndim == len(one.shape) - 1 else array
        return checked(str(path), batched, one)

    return read


def picture_reader(
    folder: Path, spec: InputSpec, transform: ImageTransform
) -> Callable[[Path], AnyArray]:
    channels = transform.channels
    if len(spec.shape) != 4 or spec.dtype.kind != "f" or channels not in spec.shape[1::2]:
        raise UsageError(
            f"{folder}: {channels}-channel pictures do not fit input '{spec.name}', {spec.dtype} "
            f"{shape_text(spec.shape)}; change the order with --image-transform or give an .npz"
        )
    if max(len(transform.mean), len(transform.std)) > channels:
        raise UsageError(
            f"{folder}: gray pictures need one mean and std; "
            f"write --image-transform 'order=gray;mean=0;std=1'"
        )
    channels_last = spec.shape[1] != channels
    height, width = spec.shape[1:3] if channels_last else spec.shape[2:4]

    def read(path: Path) -> AnyArray:
        planes = transform.read(path, height, width)
        image = planes.transpose(1, 2, 0) if channels_last else planes
        return np.ascontiguousarray(image[None], spec.dtype)

    return read
