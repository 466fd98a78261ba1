"""Random inputs, where nobody gave samples."""

import math
from collections.abc import Sequence

import numpy as np

from sparsepass.consumers import Values
from sparsepass.samples.feeds import AnyArray, Feed, Samples
from sparsepass.samples.inputs import InputSpec

__all__ = ["random_samples"]


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
