"""Samples: what the network is run on to measure activations and to verify outputs.

A sample is one feed of the network, a dict from input name to array.  Images are decoded when a
sample is asked for, arrays on disk are mapped, so a set of samples takes no memory of its own.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from sparsepass.arrays import load_archive, load_array
from sparsepass.consumers import Values, values_for
from sparsepass.errors import UsageError
from sparsepass.labels import LabelSource, folder_labels, read_labels
from sparsepass.limits import memory_bytes
from sparsepass.pictures import SUFFIXES, ImageTransform
from sparsepass.shapes import input_shapes, open_sizes

__all__ = [
    "Feed",
    "InputSpec",
    "SampleSource",
    "Samples",
    "inputs_of",
    "is_sample_of",
    "load_samples",
    "random_samples",
    "refuse_input",
]

AnyArray = NDArray[Any]
Feed = dict[str, AnyArray]
# Suffixes of what NumPy writes.
ARRAY, ARCHIVE = ".npy", ".npz"
SampleSource = str | Path | AnyArray | Mapping[str, AnyArray]
"""A file, a folder or arrays; see ``load_samples``."""


@dataclass(frozen=True)
class InputSpec:
    """One input of a network, with the sizes that the plan is made for.

    ``values`` is what noise for it is drawn from; None where any number will do.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    values: Values | None = None

    @property
    def batch(self) -> int:
        """Entries along the first axis that one run takes."""
        return self.shape[0] if self.shape else 1


def inputs_of(
    model: ir.Model, shapes: Mapping[str, Sequence[int]] | None = None
) -> tuple[InputSpec, ...]:
    """The inputs of ``model`` that a caller has to feed; ``shapes`` settles open sizes.

    Raises UsageError for an input that is no tensor of known type and sizes; see ``input_shapes``.
    """
    settled = input_shapes(model, shapes)
    fed = [value for value in model.graph.inputs if value.name not in model.graph.initializers]
    return tuple(input_spec(value, settled.get(value.name or "")) for value in fed)


def refuse_input(value: ir.Value) -> str | None:
    """Why nothing can be made up for an input, or None; its sizes may be open."""
    dtype = value.dtype if isinstance(value.type, ir.TensorType) else None
    numbers = None if dtype in (None, ir.DataType.STRING) else np.dtype(dtype.numpy())
    # Types that other packages add to NumPy, such as bfloat16, cannot be handed to ONNX Runtime.
    if numbers is None or numbers.kind not in "fiub" or numbers.isbuiltin != 1:
        return f"input '{value.name}' is no tensor of numbers that NumPy has"
    return None


def input_spec(value: ir.Value, shape: tuple[int, ...] | None) -> InputSpec:
    reason = refuse_input(value)
    if reason or value.dtype is None or shape is None:
        raise UsageError(reason or open_sizes(value))
    dtype = np.dtype(value.dtype.numpy())
    taken, memory = math.prod(shape) * dtype.itemsize, memory_bytes()
    if memory is not None and taken > memory:
        raise UsageError(
            f"input '{value.name}' of {shape_text(shape)} takes {taken:,} bytes, and this machine "
            f"has {memory:,}; give smaller sizes with --shape"
        )
    return InputSpec(value.name or "", dtype, shape, values_for(value))


@dataclass(frozen=True)
class Samples:
    """A sequence of feeds, read on demand.  ``source`` says for people where they come from.

    ``labels`` are the classes of what ``entries`` hold, pictures or rows of arrays, of which each
    feed takes as many as its batch; None where they are not known.  ``files`` are the entries that
    are files, in ``folder``.  The last ``repeats`` feeds show images of the others once more.
    """

    source: str
    read: Callable[[int], Feed]
    order: tuple[int, ...]
    labels: tuple[int, ...] | None = None
    batch: int = 1
    entries: int = 0
    files: tuple[Path, ...] = ()
    folder: Path | None = None
    repeats: int = 0

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, position: int) -> Feed:
        """Read a sample; raises UsageError where it does not fit the network's inputs."""
        return self.read(self.order[position])

    def __iter__(self) -> Iterator[Feed]:
        return (self.read(index) for index in self.order)

    def labels_of(self, position: int) -> NDArray[np.int64] | None:
        """The classes that a sample shows, one an image, or None where they are not known."""
        if self.labels is None or self.is_repeat(position):
            return None
        first = self.order[position] * self.batch
        return np.asarray(self.labels[first : first + self.batch], np.int64)

    def is_repeat(self, position: int) -> bool:
        """Whether a sample shows nothing new."""
        return position >= len(self) - self.repeats

    def take(self, count: int) -> Self:
        """The first ``count`` samples, or all where there are fewer."""
        return replace(self, order=self.order[:count])

    def last(self, count: int) -> Self:
        """The last ``count`` samples, or all where there are fewer."""
        return replace(self, order=self.order[-count:], repeats=min(count, self.repeats))

    def split(self, fraction: float, most: int | None = None) -> tuple[Self, Self]:
        """A calibration part of about ``fraction`` of the samples and the held-out rest.

        The first has at most ``most`` samples, both at least one; raises UsageError where there is
        only one.
        """
        if len(self) < 2:
            raise UsageError(f"{self.source}: one sample cannot be split; give at least 2 samples")
        wanted = round(fraction * len(self))
        cut = min(max(wanted if most is None else min(wanted, most), 1), len(self) - 1)
        return replace(self, order=self.order[:cut]), replace(self, order=self.order[cut:])


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


def random_samples(inputs: Sequence[InputSpec], *, seed: int = 0, count: int = 8) -> Samples:
    """``count`` samples of noise: standard normal floats, all byte values, else zeros and ones.

    What an operator takes no other numbers for (indices, sizes, axes) is drawn from those.
    """

    def read(index: int) -> Feed:
        rng = np.random.default_rng((seed, index))
        return {spec.name: noise(spec, rng) for spec in inputs}

    return Samples(f"random numbers, seed {seed}", read, tuple(range(count)))


def noise(spec: InputSpec, rng: np.random.Generator) -> AnyArray:
    if spec.values is not None and spec.dtype.kind != "b":
        return np.asarray(drawn(spec.values, spec.shape, rng), spec.dtype)
    if spec.dtype.kind == "f":
        return np.asarray(rng.standard_normal(spec.shape), spec.dtype)
    if spec.dtype.kind == "b":
        return np.asarray(rng.random(spec.shape) < 0.5)
    high = min(np.iinfo(spec.dtype).max, 255) if spec.dtype.itemsize == 1 else 1
    return np.asarray(rng.integers(0, high, spec.shape, endpoint=True), spec.dtype)


def drawn(values: Values, shape: tuple[int, ...], rng: np.random.Generator) -> AnyArray:
    if values.counting:
        return np.arange(math.prod(shape)).reshape(shape)
    return rng.integers(values.low, values.high, shape, endpoint=True)


def open_source(
    source: SampleSource,
    inputs: Sequence[InputSpec],
    transform: ImageTransform,
) -> Samples:
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


def only(inputs: Sequence[InputSpec], source: str) -> InputSpec:
    if len(inputs) != 1:
        names = ", ".join(spec.name for spec in inputs)
        raise UsageError(f"{source}: the model has {len(inputs)} inputs; give an .npz with {names}")
    return inputs[0]


def from_arrays(
    source: str, arrays: Mapping[str, AnyArray], inputs: Sequence[InputSpec]
) -> Samples:
    names = {spec.name for spec in inputs}
    if names != set(arrays):
        raise UsageError(
            f"{source}: has arrays {', '.join(sorted(arrays)) or 'of no name'}; give one for each "
            f"of the model's inputs {', '.join(sorted(names))}"
        )
    readers = {spec.name: array_reader(source, arrays[spec.name], spec) for spec in inputs}
    counts = {name: count for name, (count, _) in readers.items()}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise UsageError(f"{source}: unequal numbers of samples ({listed}); give as many of each")

    def read(index: int) -> Feed:
        return {name: one(index) for name, (_, one) in readers.items()}

    count = min(counts.values(), default=0)
    batch = inputs[0].batch if inputs else 1
    return Samples(source, read, tuple(range(count)), batch=batch, entries=count * batch)


def array_reader(
    source: str, array: AnyArray, spec: InputSpec
) -> tuple[int, Callable[[int], AnyArray]]:
    """How many samples an array holds, and how to read one."""
    batch = spec.batch
    if array.ndim != len(spec.shape) or array.ndim == 0:
        raise unfit(source, array, spec)
    count, left = divmod(len(array), batch)
    if left or not count:
        raise UsageError(
            f"{source}: input '{spec.name}' has {len(array)} entries along its first axis; "
            f"give a multiple of {batch}, at least one"
        )
    checked(source, array[:batch], spec, finite=False)

    def read(index: int) -> AnyArray:
        part = array[index * batch : (index + 1) * batch]
        return checked(f"{source} (sample {index})", part, spec)

    return count, read


def checked(source: str, array: AnyArray, spec: InputSpec, *, finite: bool = True) -> AnyArray:
    """``array`` as the input wants it, or UsageError.  Floats may change width, kinds may not."""
    if array.shape != spec.shape or array.dtype.kind != spec.dtype.kind:
        raise unfit(source, array, spec)
    if finite and array.dtype.kind == "f" and not np.isfinite(array).all():
        raise UsageError(f"{source}: input '{spec.name}' has NaN or infinite values; remove them")
    return np.ascontiguousarray(array, spec.dtype)


def unfit(source: str, array: AnyArray, spec: InputSpec) -> UsageError:
    return UsageError(
        f"{source}: {array.dtype} {shape_text(array.shape)} does not fit input '{spec.name}', "
        f"{spec.dtype} {shape_text(spec.shape)}; convert or reshape it"
    )


def shape_text(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "scalar"


def is_sample_of(folder: Path, path: Path) -> bool:
    """Whether a file would be read as a sample, a picture or an array, of ``folder``."""
    known = path.suffix.lower() in SUFFIXES or path.suffix == ARRAY
    return known and path.resolve().is_relative_to(folder.resolve())


def from_folder(folder: Path, inputs: Sequence[InputSpec], transform: ImageTransform) -> Samples:
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
