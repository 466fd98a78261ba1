"""Samples from arrays in memory or in files."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from sparsepass.errors import UsageError
from sparsepass.samples.feeds import AnyArray, Feed, Samples
from sparsepass.samples.inputs import InputSpec, shape_text

__all__ = ["checked", "from_arrays", "unfit"]


def from_arrays(
    source: str, arrays: Mapping[str, AnyArray], inputs: Sequence[InputSpec]
) -> Samples:
    """Samples along the first axis of ``arrays``; raises UsageError where they do not fit."""
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
    """What is to be raised where ``array`` cannot be fed to an input."""
    return UsageError(
        f"{source}: {array.dtype} {shape_text(array.shape)} does not fit input '{spec.name}', "
        f"{spec.dtype} {shape_text(spec.shape)}; convert or reshape it"
    )
