"""Running sums of what samples show about one layer: an accumulator for each statistic."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsepass.errors import ModelError
from sparsepass.layer import Layer
from sparsepass.patches import PATCHES, TOGETHER, patches_of
from sparsepass.sparsity import ActivationStats, Moments, Patches

__all__ = ["POSITIONS", "InputMoments", "InputZeros", "OutputMoments"]

# Output positions of one image that enter the moments.  Neighbours are alike: more positions of the
# same image cost time and add little, more images add more.
POSITIONS = 1024

# Patches that are held as they are, and of one image at most.
DRAWN, DRAWN_OF_ONE = 1024, 16

# CPS groups 4 vertically adjacent rows; one with 3 or 4 non-zeros is worth a mask.
GROUP = 4
DENSE_GROUP = 3


@dataclass
class InputZeros:
    """The zeros of a layer's input, a share for each image."""

    layer: Layer
    zeros: list[float] = field(default_factory=list[float])
    dead: list[float] = field(default_factory=list[float])
    dense: list[float] = field(default_factory=list[float])
    empty: list[float] = field(default_factory=list[float])

    def add(self, values: NDArray[Any]) -> None:
        """Count the zeros of a batch of inputs."""
        masks: NDArray[np.bool_] = as_maps(values, bool(self.layer.kernel)) != 0
        for image in masks:
            groups = group_counts(image)
            self.zeros.append(1 - share(image))
            self.dead.append(1 - share(np.logical_or.reduce(image, axis=(1, 2))))
            self.dense.append(share(groups >= DENSE_GROUP))
            self.empty.append(share(groups == 0))

    def result(self) -> ActivationStats:
        """The statistics of all images."""
        zeros = np.asarray(self.zeros)
        low, high = np.percentile(zeros, (10, 90))
        return ActivationStats(
            zeros_mean=float(zeros.mean()),
            zeros_p10=float(low),
            zeros_p90=float(high),
            dead_channels=float(np.mean(self.dead)),
            dense_groups=float(np.mean(self.dense)),
            empty_groups=float(np.mean(self.empty)),
            samples=len(zeros),
        )


class OutputMoments:
    """The moments of a layer's output, over positions of each image that are drawn with ``seed``.

    It holds 8 filters^2 bytes.
    """

    def __init__(self, layer: Layer, seed: int) -> None:
        self.layer = layer
        self.rng = np.random.default_rng(seed)
        self.positions = 0
        self.total = np.zeros(layer.filters)
        self.products = np.zeros((layer.filters, layer.filters))

    def add(self, values: NDArray[Any]) -> None:
        """Add the positions of a batch, (filters,) each, to the sums; raises ModelError on NaN."""
        for image in values.reshape(len(values), self.layer.filters, -1):
            columns = image.shape[1]
            if columns > POSITIONS:
                image = image[:, self.rng.choice(columns, POSITIONS, replace=False)]
            exact = image.astype(np.float64)
            check_finite(exact, self.layer, "output")
            self.positions += exact.shape[1]
            self.total += exact.sum(axis=1)
            self.products += exact @ exact.T

    def result(self) -> Moments | None:
        """The moments of all positions, or None where there were none."""
        if not self.positions:
            return None
        mean = self.total / self.positions
        return Moments(mean, self.products / self.positions - np.outer(mean, mean), self.positions)


class InputMoments:
    """Moments of a layer's input patches, at ``most`` positions of each image, drawn by ``seed``.

    It holds 8 groups taps^2 bytes, 4 groups taps for each of ``DRAWN`` patches, and 4 groups taps^2
    more for a moment.  Products of ``TOGETHER`` positions are summed in float32, at twice the speed
    of float64: their rounding is some 1e-6 of the largest moment.  The rest is summed in float64.
    """

    def __init__(self, layer: Layer, seed: int, most: int = PATCHES) -> None:
        self.layer, self.most = layer, most
        self.rng = np.random.default_rng(seed)
        self.positions = 0
        taps = layer.taps
        self.total = np.zeros((layer.groups, taps))
        self.products = np.zeros((layer.groups, taps, taps))
        self.waiting: list[NDArray[np.float32]] = []
        self.drawn: list[NDArray[np.float32]] = []

    def add(self, values: NDArray[Any]) -> None:
        """Add patches of a batch of inputs to the sums; raises ModelError on NaN."""
        for columns in patches_of(values, self.layer, self.rng, self.most):
            check_finite(columns, self.layer, "input")
            self.waiting.append(columns)
            if DRAWN_OF_ONE * len(self.drawn) < DRAWN:
                every = self.rng.permutation(columns.shape[-1])
                self.drawn.append(columns[..., every[:DRAWN_OF_ONE]])
            if sum(part.shape[-1] for part in self.waiting) >= TOGETHER:
                self.sum_up()

    def sum_up(self) -> None:
        """Add the patches that wait."""
        if not self.waiting:
            return
        columns = np.concatenate(self.waiting, axis=-1)
        self.waiting.clear()
        self.positions += columns.shape[-1]
        self.total += columns.sum(axis=-1, dtype=np.float64)
        self.products += columns @ columns.swapaxes(-1, -2)

    def result(self) -> Patches | None:
        """The moments of all positions, or None where there were none."""
        self.sum_up()
        if not self.positions:
            return None
        mean = self.total / self.positions
        covariance = np.empty(self.products.shape, np.float32)
        for group, (products, means) in enumerate(zip(self.products, mean, strict=True)):
            covariance[group] = products / self.positions - np.outer(means, means)
        return Patches(mean, covariance, self.positions, np.concatenate(self.drawn, axis=-1))


def check_finite(values: NDArray[Any], layer: Layer, end: str) -> None:
    if not np.isfinite(values).all():
        raise ModelError(f"{layer.name}: its {end} has NaN or infinite values; mend the samples")


def share(mask: NDArray[np.bool_]) -> float:
    return float(np.count_nonzero(mask)) / max(mask.size, 1)


def as_maps(values: NDArray[Any], has_kernel: bool) -> NDArray[Any]:
    """Values as (images, channels, rows, columns); a product's last axis is its channels."""
    if not has_kernel:
        values = np.moveaxis(np.atleast_2d(values), -1, 1)
    rows = values.shape[2] if values.ndim > 2 else 1
    return values.reshape(*values.shape[:2], rows, -1)


def group_counts(image: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Non-zeros of each group of 4 rows of a column; the last group may be short."""
    channels, rows, columns = image.shape
    counts = np.zeros((channels, -(-rows // GROUP), columns), np.uint8)
    for row in range(min(GROUP, rows)):
        part = image[:, row::GROUP]
        counts[:, : part.shape[1]] += part
    return counts
