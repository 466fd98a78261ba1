"""What a row of the table of algorithms is made of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sparsepass.layer import Array, Layer
from sparsepass.sparsity import Stats

__all__ = ["Algorithm", "Factor", "Lowering", "Numerics", "Option", "Packed", "Work"]

Numerics = Literal["reference", "rounding", "bounded", "lossy"]


class Lowering(Enum):
    """How a layer of the graph becomes the algorithm."""

    KEEP = "left to ONNX Runtime"
    CUSTOM_OP = "custom op"
    CONV_CHAIN = "chain of plain Conv"


@dataclass(frozen=True)
class Work:
    """What an algorithm does to a layer, counted, not timed.

    ``macs`` are useful multiply-adds, ``idle_macs`` those that vector lanes do for nothing at the
    edges of the map; ``moves`` are loads, stores and turns of the inner loop around them, in
    vectors of ``LANES``.  Bytes are what has to move once, ``copied_bytes`` what is rearranged
    before; ``nodes`` is how many nodes of the graph do it.
    """

    macs: float
    input_bytes: float
    output_bytes: float
    weight_bytes: float
    nodes: int = 1
    idle_macs: float = 0.0
    moves: float = 0.0
    copied_bytes: float = 0.0


@dataclass(frozen=True)
class Option:
    """One setting of an algorithm for one layer: its work and its relative output error.

    ``chain`` holds the dense layers that it becomes, where it becomes several; only the shapes of
    their weights count.
    """

    work: Work
    parameters: Mapping[str, int] = field(default_factory=dict[str, int])
    error: float = 0.0
    chain: tuple[Layer, ...] = ()


@dataclass(frozen=True)
class Packed:
    """What a custom op needs besides its input and bias: constant inputs and attributes."""

    inputs: tuple[tuple[str, NDArray[np.float32] | NDArray[np.int32]], ...]
    attributes: Mapping[str, tuple[int, ...]] = field(default_factory=dict[str, tuple[int, ...]])


@dataclass(frozen=True)
class Factor:
    """One convolution of a chain; ``spatial`` ones take the layer's stride, padding, dilation."""

    weight: Array
    bias: Array
    spatial: bool


@dataclass(frozen=True)
class Algorithm:
    """One way to compute a convolution.

    ``refuse`` returns the reason a layer is out of reach, or None.  ``options`` lists the settings
    worth pricing, with counted work; turning counts into time is the cost model's business.
    ``pack`` prepares the weight: a ``Packed`` for a custom op, factors for a chain, None for KEEP.
    """

    name: str
    numerics: Numerics
    lowering: Lowering
    refuse: Callable[[Layer, Stats], str | None]
    options: Callable[[Layer, Stats], tuple[Option, ...]]
    pack: Callable[[Layer, Stats, Mapping[str, int]], Packed | tuple[Factor, ...] | None]
    op: str = ""
    source: str = ""
