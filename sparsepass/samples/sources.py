"""Where samples come from: a file, a folder, arrays, or nowhere."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from sparsepass.arrays import load_archive, load_array
from sparsepass.errors import UsageError
from sparsepass.labels import LabelSource, read_labels
from sparsepass.pictures import ImageTransform
from sparsepass.samples.arrays import from_arrays
from sparsepass.samples.feeds import AnyArray, Samples
from sparsepass.samples.folders import ARCHIVE, ARRAY, from_folder
from sparsepass.samples.inputs import InputSpec, only

__all__ = ["SampleSource", "load_samples", "open_source"]

SampleSource = str | Path | AnyArray | Mapping[str, AnyArray]
"""A file, a folder or arrays; see ``load_samples``."""


def load_samples(
    source: SampleSource,
    inputs: Sequence[InputSpec],
    *,
    limit: int | None = None,
    transform: ImageTransform | None = None,
    labels: LabelSource | None = None,
    seed: int = 0,
) -> Samples:
    """Samples for a network with ``inputs``.

    ``source`` is an .npy or .npz file, a folder of pictures (searched deep) or of .npy files, one
    array, or a mapping from input name to array.  Arrays hold samples along the first axis, in
    runs of the input's batch.  The samples are shuffled with ``seed`` and cut to ``limit``.
    ``labels`` are read by ``read_labels``; without them the folders of a folder are the classes.

    Raises UsageError, in one line, for a source that cannot be read, has no samples or does not fit
    the inputs; what is inside a file of a folder is checked when that sample is read.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"{limit} samples were asked for; at least 1 is needed")
    samples = open_source(source, inputs, transform or ImageTransform())
    if labels is not None:
        read = read_labels(labels, samples.entries, samples.files, samples.folder)
        samples = replace(samples, labels=read)
    shuffled = np.random.default_rng(seed).permutation(len(samples))[:limit]
    return replace(samples, order=tuple(int(index) for index in shuffled))


def open_source(
    source: SampleSource,
    inputs: Sequence[InputSpec],
    transform: ImageTransform,
) -> Samples:
    """Samples in the order of the source, see ``load_samples``."""
    if isinstance(source, Mapping):
        return from_arrays("samples", source, inputs)
    if isinstance(source, np.ndarray):
        return from_arrays("samples", {only(inputs, "an array").name: source}, inputs)
    path = Path(source)
    if path.is_dir():
        return from_folder(path, inputs, transform)
    if path.suffix not in (ARRAY, ARCHIVE):
        raise UsageError(f"{path}: not samples; give a folder of pictures, an .npy or an .npz file")
    loaded = load_array(path) if path.suffix == ARRAY else load_archive(path)
    if not isinstance(loaded, np.ndarray) and len(inputs) == len(loaded) == 1:
        (loaded,) = loaded.values()
    if isinstance(loaded, np.ndarray):
        loaded = {only(inputs, str(path)).name: loaded}
    return from_arrays(str(path), loaded, inputs)
