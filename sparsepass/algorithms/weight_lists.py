"""Weight-sparse convolution as lists of weights over panels: what runs where no code is generated.

The library takes the fastest of all layouts (runtime/native/weight_sparse/spatial_lanes.cc).  Here
the map is cut so that the fewest lanes are idle, and only the shape of a block is looked for.
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
    panel = panel_of(layer, height, width, target.lanes)
    kept, slices = int(np.count_nonzero(layer.weight)), slices_of(layer, panel, target)
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

    A channel has so many phases of its strides, and each what lies around the outputs.
    """

    rows: int
    columns: int
    phases: int
    extra_rows: int
    extra_columns: int

    def reads(self, rows: int, columns: int) -> int:
        """Vectors of a channel that a part of every lane's outputs reads."""
        return self.phases * (rows + self.extra_rows) * (columns + self.extra_columns)


def maps_of(layer: Layer) -> tuple[int, int, int]:
    """Images, and the rows and columns of their outputs, one row where neighbours make vectors.

    The rows of a product are the positions of one image.
    """
    if layer.op_type != "Conv":
        return 1, 1, layer.batch
    is_flat = layer.is_pointwise and not any(layer.pads)
    width = layer.pixels if is_flat else layer.output_spatial[-1]
    return layer.batch, layer.pixels // width, width


def panel_of(layer: Layer, height: int, width: int, lanes: int) -> Panel:
    """The panel whose lanes are idle least, of those the one of the longest rows."""
    tiles = [
        (math.ceil(height * across / lanes), math.ceil(width / across))
        for across in (1 << power for power in range(lanes.bit_length()))
    ]
    axes = list(zip(layer.kernel, layer.strides, layer.dilations, strict=True))
    extra = [(k - 1) * d // s for k, s, d in axes]
    phases = math.prod(min(k, s // math.gcd(s, d)) for k, s, d in axes)
    return Panel(*min(tiles, key=math.prod), phases, *[0] * (2 - len(axes)), *extra)


def slices_of(layer: Layer, panel: Panel, target: Target) -> int:
    """Slices of the channels: what the fastest block reads of one stays in the nearest cache."""
    tuning = target.tuning
    weights = np.count_nonzero(layer.weight) / layer.filters

    def channels(rows: int, columns: int) -> int:
        vector = 4 * target.lanes
        share = int(tuning.list_panel_share * FIRST_LEVEL)
        return max(1, share // (vector * panel.reads(rows, columns)))

    def cycles(block: tuple[int, int]) -> float:
        rows, columns = block
        blocks = math.ceil(panel.rows / rows) * math.ceil(panel.columns / columns)
        vectors = panel.rows * panel.columns / blocks
        visits = min(weights, max(1.0, layer.channels / layer.groups / channels(rows, columns)))
        entry = tuning.list_entry_cycles + tuning.list_entry_vector_cycles * vectors
        multiply = tuning.list_multiply_cycles * vectors + tuning.list_row_cycles * (rows - 1)
        return blocks * (visits * entry + weights * (tuning.list_weight_cycles + multiply))

    most = product(range(1, panel.rows + 1), range(1, panel.columns + 1))
    blocks = [block for block in most if math.prod(block) <= MOST_VECTORS]
    return math.ceil(layer.channels / channels(*min(blocks, key=cycles)))


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
