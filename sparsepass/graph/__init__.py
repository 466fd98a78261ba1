"""Questions about a graph: which layers it has, what follows them, which layout they run in."""

from sparsepass.graph.layers import Layers, Skipped, layers
from sparsepass.graph.values import constant_array, is_read_once, is_standard

__all__ = ["Layers", "Skipped", "constant_array", "is_read_once", "is_standard", "layers"]
