"""Questions about a graph: which layers it has, what follows them, which layout they run in."""

from sparsepass.graph.fusions import Fusion, fusions
from sparsepass.graph.layers import Layers, Skipped, layers
from sparsepass.graph.layout import layout_graph
from sparsepass.graph.values import bodies, clip_bounds, constant_array, is_read_once, is_standard

__all__ = [
    "Fusion",
    "Layers",
    "Skipped",
    "bodies",
    "clip_bounds",
    "constant_array",
    "fusions",
    "is_read_once",
    "is_standard",
    "layers",
    "layout_graph",
]
