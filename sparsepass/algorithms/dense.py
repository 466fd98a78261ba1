"""The algorithm that changes nothing."""

from collections.abc import Mapping

from sparsepass.algorithms.row import Algorithm, Option
from sparsepass.algorithms.work import dense_work
from sparsepass.layer import Layer
from sparsepass.sparsity import Stats

__all__ = ["DENSE"]


def never(layer: Layer, stats: Stats) -> str | None:
    return None


def dense_options(layer: Layer, stats: Stats) -> tuple[Option, ...]:
    return (Option(dense_work(layer)),)


def keep(layer: Layer, stats: Stats, parameters: Mapping[str, int]) -> None:
    return None


DENSE = Algorithm("dense", "reference", never, dense_options, keep)
