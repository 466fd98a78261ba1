"""What the stages of a run hand to each other, besides its options."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import onnx_ir as ir

from sparsepass.graph import Batch, Layers, batch_of, layout_graph
from sparsepass.layer import Layer
from sparsepass.model import to_bytes
from sparsepass.report.schema import PassRun
from sparsepass.samples import InputSpec, Samples
from sparsepass.shapes import Inferred
from sparsepass.sparsity import Stats
from sparsepass.target import Target

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["Prepared", "Studied", "Unproven"]


@dataclass(frozen=True)
class Prepared:
    """A network that was read and cleaned, and all that is known of it without running it.

    ``content`` is the file of ``original``, ``model`` what ``passes`` made of it, the clean dense
    network.  ``known`` and ``found`` belong to ``model``.  There are no ``inputs`` where no input
    can be made up.
    """

    name: str
    original: ir.Model
    content: bytes
    model: ir.Model
    passes: tuple[PassRun, ...]
    inputs: tuple[InputSpec, ...]
    known: Inferred
    found: Layers

    @property
    def digest(self) -> str:
        """The SHA-256 of the original's file, to tell whether two runs saw the same model."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def opset(self) -> int:
        """The version of the standard operators."""
        return self.original.opset_imports[""]

    @cached_property
    def clean_content(self) -> bytes:
        """The file of the clean network."""
        return to_bytes(self.model)

    @cached_property
    def batch(self) -> Batch | str:
        """What the network does to the images of a batch, or why it does not keep them apart."""
        return batch_of(self.model)


@dataclass(frozen=True)
class Unproven:
    """A network that no outputs can be compared for, and the ``reason``.

    Only passes that are exact by construction made ``prepared``.
    """

    prepared: Prepared
    reason: str


@dataclass(frozen=True)
class Studied:
    """A prepared network that was measured; ``held_out`` samples were not calibrated on.

    ``target`` is where it will run, ``warnings`` what the user should know of the samples.
    """

    prepared: Prepared
    stats: Mapping[str, Stats]
    calibration: Samples | None
    held_out: Samples
    target: Target
    warnings: tuple[str, ...] = ()

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers in topological order."""
        return self.prepared.found.layers

    @cached_property
    def layouts(self) -> "nx.DiGraph[str]":
        """The layouts between layers, see ``graph.layout_graph``."""
        prepared = self.prepared
        return layout_graph(prepared.model, self.layers, prepared.known, block=self.target.block)
