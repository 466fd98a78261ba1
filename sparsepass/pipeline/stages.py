"""What the stages of a run hand to each other, and how they tell how far they are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import onnx_ir as ir

from sparsepass.calibration import Progress as Steps
from sparsepass.graph import Layers
from sparsepass.layer import Layer
from sparsepass.report.schema import PassRun
from sparsepass.samples import InputSpec, Samples
from sparsepass.sparsity import Stats

__all__ = ["Progress", "Steps", "Studied", "silent", "step"]


class Progress(Protocol):
    """Told what is going on: a stage, and how many of its steps are done."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Called at the start (0 done) and after each step."""
        ...


def silent(stage: str, done: int, total: int) -> None:
    """A Progress that tells nobody."""


def step(progress: Progress, stage: str) -> Steps:
    """The callback of one stage; the stage is announced at once."""
    progress(stage, 0, 1)
    return lambda done, total: progress(stage, done, total)


@dataclass(frozen=True)
class Studied:
    """A network that was read, cleaned and measured; ``held_out`` samples were not calibrated on.

    ``digest`` is the SHA-256 of the file of ``original``, which has ``size`` bytes.
    """

    original: ir.Model
    prepared: ir.Model
    name: str
    digest: str
    size: int
    passes: tuple[PassRun, ...]
    found: Layers
    inputs: tuple[InputSpec, ...]
    stats: Mapping[str, Stats]
    calibration: Samples | None
    held_out: Samples
    seed: int

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers in topological order."""
        return self.found.layers
