"""Samples as a sequence of feeds, read when they are asked for."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sparsepass.errors import UsageError

__all__ = ["AnyArray", "Feed", "Samples"]

AnyArray = NDArray[Any]
Feed = dict[str, AnyArray]


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
