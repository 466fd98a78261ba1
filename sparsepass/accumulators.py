"""Running sums of what samples show about one layer: an accumulator for each statistic."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsepass.errors import ModelError
from sparsepass.layer import Layer
from sparsepass.sparsity import ActivationStats, Moments

__all__ = ["POSITIONS", "InputZeros", "OutputMoments"]

# Output positions of one image that enter the moments.  Neighbours are alike: more positions of the
# same image cost time and add little, more images add more.
POSITIONS = 1024

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
            if not np.isfinite(exact).all():
                raise ModelError(
                    f"{self.layer.name}: its output has NaN or infinite values; mend the samples"
                )
            self.positions += exact.shape[1]
            self.total += exact.sum(axis=1)
            self.products += exact @ exact.T

    def result(self) -> Moments | None:
        """The moments of all positions, or None where there were none."""
        if not self.positions:
            return None
        mean = self.total / self.positions
        return Moments(mean, self.products / self.positions - np.outer(mean, mean), self.positions)


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
