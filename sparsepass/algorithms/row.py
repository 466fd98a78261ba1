"""What a row of the table of algorithms is made of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sparsepass.layer import Array, Layer
from sparsepass.sparsity import Statistic, Stats
from sparsepass.target import Target

__all__ = [
    "Algorithm", "Attribute", "Beside", "Constant", "Cut", "Factor", "Largest", "Numerics",
    "Option", "Packed", "Payload", "Term", "Threshold", "Work",
]  # fmt: skip

Numerics = Literal["reference", "rounding", "bounded", "lossy"]
Constant = NDArray[np.float32] | NDArray[np.int32]
Attribute = float | tuple[int, ...] | NDArray[np.int64] | NDArray[np.float32]


@dataclass(frozen=True)
class Work:
    """What an algorithm does to a layer, counted, not timed.

    ``macs`` are useful multiply-adds, ``idle_macs`` those that vector lanes do for nothing at the
    edges of the feature map; ``moves`` are loads, stores and iterations of the inner loop, in
    vectors of the target.  Bytes are what has to move once, ``copied_bytes`` what is rearranged
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

    A setting with the parameter ``zeros`` sets that percentage of the weights to zero, and
    ``approximate`` gives the weight: what ``sparsepass prune`` writes.

    ``chain`` holds the dense layers that it becomes, where it becomes several; only the shapes of
    their weights count.  Where the algorithm has an op, they run beside it and ``work`` is that of
    the op alone.
    """

    work: Work
    parameters: Mapping[str, int] = field(default_factory=dict[str, int])
    error: float = 0.0
    chain: tuple[Layer, ...] = ()


@dataclass(frozen=True)
class Threshold:
    """What is not ``above`` becomes zero; for inputs that are not negative."""

    above: float


@dataclass(frozen=True)
class Largest:
    """The ``kept`` of largest magnitude of every ``block`` channels of a pixel are not zero."""

    kept: int
    block: int


Cut = Threshold | Largest
"""Which values of a layer's input become zero when it runs."""


@dataclass(frozen=True)
class Packed:
    """What a custom op needs besides its input: constants by name, in its order, then the bias.

    ``attributes`` are those of the op's own, besides the convolution's and the epilogue's; an op
    may have no use for some of them in some opsets.  With a ``cut`` the op reads an input whose
    small values are zero.
    """

    inputs: tuple[tuple[str, Constant], ...]
    bias: Array
    attributes: Mapping[str, Attribute] = field(default_factory=dict[str, Attribute])
    cut: Cut | None = None


@dataclass(frozen=True)
class Factor:
    """One convolution of a chain; ``spatial`` ones take the layer's stride, padding, dilation.

    They do on the ``axes`` given, by default on all, and have a kernel of 1 on the others.
    """

    weight: Array
    bias: Array
    spatial: bool
    axes: tuple[int, ...] | None = None

    def covers(self, axis: int) -> bool:
        """Whether the layer's kernel on this spatial axis is this factor's."""
        return self.spatial and (self.axes is None or axis in self.axes)


@dataclass(frozen=True)
class Term:
    """A weight: ``kept`` of ``block`` neighbouring input channels of a filter and tap at most."""

    weight: Array
    kept: int
    block: int

    @property
    def pattern(self) -> str:
        """``2:4``."""
        return f"{self.kept}:{self.block}"


@dataclass(frozen=True)
class Beside:
    """A chain and an op that read one input; the op adds what the chain makes."""

    chain: tuple[Factor, ...]
    packed: Packed


Payload = Packed | tuple[Factor, ...] | Beside | None
"""What a layer becomes: a custom op, a chain of plain convolutions, both, or what it was."""


def kernel_by_size(layer: Layer) -> str:
    """Layers of kernel 1 need no neighbours; a product runs as one of these."""
    return "pointwise" if layer.is_pointwise else "spatial"


def no_statistics(layer: Layer) -> frozenset[Statistic]:
    return frozenset()


@dataclass(frozen=True)
class Algorithm:
    """One way to compute a convolution.

    ``refuse`` returns the reason a layer is out of reach, or None.  ``options`` lists the settings
    worth pricing, with the work counted that a target does; turning counts into time is the cost
    model's business.
    ``pack`` prepares the weight for one of them, and what it returns says how the layer is
    rewritten.  ``op`` is the custom op, empty where ONNX Runtime's own ops do the work.

    ``statistics`` are those that calibration takes of a layer for this row alone.  A lossy row
    whose error is one of the weight has ``approximate``: weight and bias of one dense convolution
    that computes what a setting computes.  A lossy row has ``pack_weight`` where its weight may be
    fitted again, with its zeros: it packs a layer that has it.  ``pattern`` is that of its zeros,
    for those who ask for it; free ones cost the outputs less.  ``terms`` are those that
    add up to the weight of a layer which has it, each with a structure that hardware may use.
    ``prices`` names the row whose kernels do the work, and so whose prices hold; empty where it has
    its own.  ``kernel`` says which kernel of its custom op a layer runs on: each has prices.
    ``before`` is the custom op that its cuts need in front of the layer.  Two layers of ``paired``
    rows that read one input run as one op where their outputs are concatenated.

    ``workspace`` are the bytes that the kernel holds of the input of one image, copied or encoded;
    None where it takes the input piece by piece, in pieces that stay in a cache.
    ``paper_workspace`` is what the paper that compares them says of the algorithm.
    """

    name: str
    numerics: Numerics
    refuse: Callable[[Layer, Stats, Target], str | None]
    options: Callable[[Layer, Stats, Target], tuple[Option, ...]]
    pack: Callable[[Layer, Stats, Mapping[str, int]], Payload]
    op: str = ""
    before: str = ""
    paired: bool = False
    source: str = ""
    prices: str = ""
    kernel: Callable[[Layer], str] = kernel_by_size
    statistics: Callable[[Layer], frozenset[Statistic]] = no_statistics
    approximate: Callable[[Layer, Stats, Mapping[str, int]], tuple[Array, Array]] | None = None
    pack_weight: Callable[[Layer, Stats, Mapping[str, int]], Payload] | None = None
    pattern: str = ""
    terms: Callable[[Layer, Mapping[str, int]], tuple[Term, ...]] | None = None
    workspace: Callable[[Layer, Stats, Target], float] | None = None
    paper_workspace: Callable[[Layer, Stats], float] | None = None

    def known_options(self, layer: Layer, stats: Stats, target: Target) -> tuple[Option, ...]:
        """``options``, listed once for the layer that ``stats`` are of."""
        return stats.once(
            ("options", self.name, target), lambda: self.options(layer, stats, target)
        )

    @property
    def priced_as(self) -> str:
        """The row whose prices hold for this one."""
        return self.prices or self.name
