"""What each layer costs inside its network, from ONNX Runtime's own profile."""

import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx_ir as ir

from sparsepass.graph import fusions
from sparsepass.layer import Layer
from sparsepass.network import runner
from sparsepass.passes import names_beside
from sparsepass.runtime.profiling import NodeRun, end_profile
from sparsepass.runtime.session import session
from sparsepass.runtime.timing import orders

__all__ = ["layer_times", "names_of_layers"]

# ONNX Runtime makes one node of x * sigmoid(x), and names it after the product.
GATED_SUFFIX = "/QuickGeluFusion/"
FEWEST_TURNS = 4


def names_of_layers(
    model: ir.Model, layers: Iterable[Layer], shapes: Mapping[str, ir.Shape]
) -> dict[str, str]:
    """Every name under which a profile may list the node of a layer, and the layer's name.

    ``shapes`` are those of the values, see ``graph.fusions``.  ONNX Runtime fuses what follows a
    convolution into it and names the result after its node or after the value that it makes.
    """
    names: dict[str, str] = {}
    for layer, fusion in fusions(model, {layer.name for layer in layers}, shapes).items():
        for node in fusion.nodes:
            for name in (node.name, *(value.name for value in node.outputs)):
                if name:
                    names[name] = names[name + GATED_SUFFIX] = layer
    for layer in set(names.values()):
        for name in names_beside(layer):
            names.setdefault(name, layer)
    return names


def layer_times(
    networks: Sequence[bytes],
    names: Mapping[str, str],
    feed: Mapping[str, Any],
    *,
    threads: int,
    isa: str | None = None,
    seconds: float = 0.7,
) -> list[dict[str, list[float]]]:
    """Microseconds of each layer of ``names`` (see ``names_of_layers``), turn by turn, per network.

    The networks, which are contents of files, run in turn for about ``seconds`` each, see
    ``orders``; ``isa`` is that of our kernels, see ``session``.  What ONNX
    Runtime keeps as separate nodes, such as an activation function it cannot fuse, counts for the
    layer it follows.
    """
    with tempfile.TemporaryDirectory() as folder:
        opened = [
            session(content, threads=threads, profile=Path(folder, str(position)), isa=isa)
            for position, content in enumerate(networks)
        ]
        runs = [runner(one) for one in opened]
        # The first turn warms up.
        started, turns, order = time.perf_counter(), -1, orders(len(runs))
        while turns < FEWEST_TURNS or time.perf_counter() - started < seconds * len(networks):
            for position in next(order):
                runs[position](feed)
            turns += 1
        return [by_layer(end_profile(one), names) for one in opened]


def by_layer(found: Iterable[NodeRun], names: Mapping[str, str]) -> dict[str, list[float]]:
    """The times of each layer, the sums of those of its nodes, without the first."""
    times: dict[str, dict[tuple[str, bool], list[float]]] = {}
    for one in found:
        if layer := names.get(one.node):
            nodes = times.setdefault(layer, {})
            nodes.setdefault((one.node, one.blocked), []).append(one.microseconds)
    return {
        layer: [sum(turn, 0.0) for turn in zip(*nodes.values(), strict=False)][1:]
        for layer, nodes in times.items()
    }
