"""Replace max pools by a custom op that reads and writes NCHW.

Before: y = MaxPool<kernel_shape = [3, 3], strides = [2, 2]>(x).
After: y = MaxPool2d<kernel_shape = [3, 3], strides = [2, 2], pads = [0, 0, 0, 0]>(x).
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from sparsepass.graph import max_pool_windows

__all__ = ["LowerMaxPool"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LowerMaxPool(ir.passes.InPlacePass):
    """Turn the max pools that ``wanted`` accepts into ``op_type`` of ``domain``, in ``version``.

    ``known`` are the values of the graph with their types, as ``shapes.open_values`` gives them.
    Pools that the op cannot compute (see ``graph.max_pool_windows``) are kept.
    """

    domain: str
    op_type: str
    version: int
    known: Mapping[str, ir.Value]
    wanted: Callable[[ir.Node], bool] = lambda node: True
    name: ClassVar[str] = "lower-max-pool"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite the main graph in place."""
        modified = False
        for node in list(model.graph):
            windows = max_pool_windows(node, self.known)
            if windows is None or not self.wanted(node):
                continue
            made = ir.node(
                self.op_type,
                list(node.inputs),
                {
                    "kernel_shape": windows.kernel,
                    "strides": windows.strides,
                    "pads": windows.pads,
                },
                domain=self.domain,
                name=node.name,
            )
            ir.convenience.replace_nodes_and_values(
                model.graph, node, [node], [made], node.outputs, made.outputs
            )
            logger.info("%s became %s", node.name, self.op_type)
            modified = True
        if modified:
            model.opset_imports[self.domain] = self.version
        return ir.passes.PassResult(model, modified=modified)
