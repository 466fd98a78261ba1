"""Questions about a graph: its layers, what follows them, their layout, the images of a batch."""

from sparsepass.graph.batch import Batch, batch_of, nodes_before
from sparsepass.graph.batch_rules import RANDOM
from sparsepass.graph.branches import branches
from sparsepass.graph.fusions import Fusion, fusions
from sparsepass.graph.layers import UNKNOWN_SHAPE, Layers, Skipped, layers
from sparsepass.graph.layout import blocked_nodes, layout_graph
from sparsepass.graph.pools import Windows, float_image, max_pool_windows
from sparsepass.graph.values import bodies, clip_bounds, constant_array, is_read_once, is_standard

__all__ = [
    "RANDOM",
    "UNKNOWN_SHAPE",
    "Batch",
    "Fusion",
    "Layers",
    "Skipped",
    "Windows",
    "batch_of",
    "blocked_nodes",
    "bodies",
    "branches",
    "clip_bounds",
    "constant_array",
    "float_image",
    "fusions",
    "is_read_once",
    "is_standard",
    "layers",
    "layout_graph",
    "max_pool_windows",
    "nodes_before",
]
