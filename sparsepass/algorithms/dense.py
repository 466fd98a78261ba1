"""The algorithm that changes nothing."""

from collections.abc import Mapping

from sparsepass.algorithms.row import Algorithm, Option
from sparsepass.algorithms.work import dense_work
from sparsepass.layer import Layer
from sparsepass.sparsity import Stats
from sparsepass.target import Target

__all__ = ["DENSE"]


def never(layer: Layer, stats: Stats, target: Target) -> str | None:
    return None


def dense_options(layer: Layer, stats: Stats, target: Target) -> tuple[Option, ...]:
    return (Option(dense_work(layer, target.block)),)


def keep(layer: Layer, stats: Stats, parameters: Mapping[str, int]) -> None:
    return None


DENSE = Algorithm("dense", "reference", never, dense_options, keep)
