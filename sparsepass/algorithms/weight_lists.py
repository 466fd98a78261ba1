"""Weight-sparse convolution as lists of weights over panels: what runs where no code is generated.

The library takes the fastest of all layouts (runtime/native/weight_sparse/spatial_lanes.cc and
row_lanes.cc).  Here the feature map is cut so that the fewest lanes are idle, and only a block's
shape is looked for.
"""

import math
from dataclasses import dataclass
from itertools import product

import numpy as np

from sparsepass.algorithms.row import Work
from sparsepass.algorithms.work import read_bytes
from sparsepass.layer import Layer
from sparsepass.target import Target

__all__ = ["list_work"]

# Vectors of sums that stay in registers (runtime/native/kernels/lists_kernel.h).
MOST_VECTORS = 14
# A weight with its distance, a row in a slice of channels, rows of one length, a slice or their end
# (runtime/native/weight_sparse/weight_lists.h).
WEIGHT_BYTES, VISIT_BYTES, RUN_BYTES, SLICE_BYTES = 6, 2, 6, 24
# The first-level data cache that is taken for granted; the library asks the system.
FIRST_LEVEL = 32768


def list_work(layer: Layer, target: Target) -> Work:
    """The work of lists; a row that visits a slice of the channels loads and stores its sums."""
    images, height, width = maps_of(layer)
    kept = int(np.count_nonzero(layer.weight))
    panel = panel_of(layer, height, width, target)
    slices = panel.slices(kept / layer.filters)
    visits, runs = visits_of(layer, slices)
    vectors = images * panel.rows * panel.columns
    held = WEIGHT_BYTES * kept + VISIT_BYTES * visits + RUN_BYTES * runs
    packed = images * layer.channels * panel.reads(panel.rows, panel.columns)
    return Work(
        macs=layer.batch * layer.pixels * kept,
        input_bytes=read_bytes(layer),
        output_bytes=4 * layer.output_size,
        weight_bytes=held + SLICE_BYTES * (slices + 1),
        idle_macs=(target.lanes * vectors - layer.batch * layer.pixels) * kept,
        moves=2 * vectors * visits,
        copied_bytes=4 * target.lanes * packed,
    )


@dataclass(frozen=True)
class Panel:
    """The packed input of an image: vectors whose lanes are ``rows`` x ``columns`` outputs each.

    A channel has so many phases of its strides, each with what lies around the outputs.
    """

    layer: Layer
    target: Target
    rows: int
    columns: int
    phases: int
    extra_rows: int
    extra_columns: int

    def reads(self, rows: int, columns: int) -> int:
        """Vectors of a channel that ``rows`` x ``columns`` outputs of every lane read."""
        return self.phases * (rows + self.extra_rows) * (columns + self.extra_columns)

    def slices(self, weights: float) -> int:
        """Slices of the channels, of which each stays in cache while the fastest block reads it.

        ``weights`` is how many a row keeps on average.
        """
        rows, columns = (range(1, min(n, MOST_VECTORS) + 1) for n in (self.rows, self.columns))
        blocks = [block for block in product(rows, columns) if math.prod(block) <= MOST_VECTORS]
        fastest = min(blocks, key=lambda block: self.cycles(*block, weights))
        return math.ceil(self.layer.channels / self.near_channels(*fastest))

    def near_channels(self, rows: int, columns: int) -> int:
        """Channels of which a block of ``rows`` x ``columns`` vectors finds its part in cache."""
        share = int(self.target.tuning.list_panel_share * FIRST_LEVEL)
        return max(1, share // (4 * self.target.lanes * self.reads(rows, columns)))

    def cycles(self, rows: int, columns: int, weights: float) -> float:
        """Of a row over all blocks, as the library counts (weight_sparse/lane_packing.cc)."""
        layer, tuning = self.layer, self.target.tuning
        blocks = math.ceil(self.rows / rows) * math.ceil(self.columns / columns)
        vectors = self.rows * self.columns / blocks
        slices = layer.channels / layer.groups / self.near_channels(rows, columns)
        entry = tuning.list_entry_cycles + tuning.list_entry_vector_cycles * vectors
        further = tuning.list_weight_cycles + tuning.list_row_cycles * (rows - 1)
        weight = further + max(tuning.list_chain_cycles, tuning.list_multiply_cycles * vectors)
        return blocks * (min(weights, max(1.0, slices)) * entry + weights * weight)


def maps_of(layer: Layer) -> tuple[int, int, int]:
    """Images, and the rows and columns of their outputs, one row where neighbours make vectors.

    The rows of a product are the positions of one image.
    """
    if layer.op_type != "Conv":
        return 1, 1, layer.batch
    is_flat = layer.is_pointwise and not any(layer.pads)
    width = layer.pixels if is_flat else layer.output_spatial[-1]
    return layer.batch, layer.pixels // width, width


def panel_of(layer: Layer, height: int, width: int, target: Target) -> Panel:
    """The panel whose lanes are idle least, of those the one of the longest rows."""
    grids = [1 << power for power in range(target.lanes.bit_length())]
    tiles = [(math.ceil(height * n / target.lanes), math.ceil(width / n)) for n in grids]
    axes = list(zip(layer.kernel, layer.strides, layer.dilations, strict=True))
    phases = math.prod(min(k, s // math.gcd(s, d)) for k, s, d in axes)
    extra = [0] * (2 - len(axes)) + [(k - 1) * d // s for k, s, d in axes]
    return Panel(layer, target, *min(tiles, key=math.prod), phases, *extra)


def visits_of(layer: Layer, slices: int) -> tuple[int, int]:
    """Rows that keep weights of a slice, over all slices, and runs of rows of one length.

    A row without weights is visited once, for its bias.
    """
    kept = np.count_nonzero(layer.weight.reshape(*layer.weight.shape[:2], -1), axis=2)
    own = math.ceil(slices / layer.groups)
    lengths = np.add.reduceat(kept, [s * kept.shape[1] // own for s in range(own)], axis=1)
    empty = int(np.count_nonzero(~lengths.any(axis=1)))
    runs = sum(int(np.count_nonzero(np.unique(column))) for column in lengths.T)
    return int(np.count_nonzero(lengths)) + empty, runs
