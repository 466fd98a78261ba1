"""What each layer costs inside its network, from ONNX Runtime's own profile."""

import tempfile
import time
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from sparsepass.graph import fusions
from sparsepass.layer import Layer
from sparsepass.network import plain_session, runner
from sparsepass.runtime.profiling import end_profile
from sparsepass.runtime.session import session

__all__ = ["layer_times", "names_of_layers"]

# ONNX Runtime makes one node of x * sigmoid(x), and names it after the product.
GATED_SUFFIX = "/QuickGeluFusion/"
FEWEST_RUNS = 7


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
    return names


def layer_times(
    content: bytes,
    names: Mapping[str, str],
    feed: Mapping[str, Any],
    *,
    threads: int,
    custom_ops: bool,
    isa: str | None = None,
    seconds: float = 1.0,
) -> dict[str, float]:
    """Median microseconds of each layer of ``names`` (see ``names_of_layers``) in a model's file.

    Runs for about ``seconds``; ``isa`` is that of ``custom_ops``, see ``session``.  What ONNX
    Runtime keeps as separate nodes, such as an activation function it cannot fuse, counts for the
    layer it follows.
    """
    make = partial(session, isa=isa) if custom_ops else plain_session
    with tempfile.TemporaryDirectory() as folder:
        opened = make(content, threads=threads, profile=Path(folder, "profile"))
        run = runner(opened)
        started, runs = time.perf_counter(), 0
        while runs < FEWEST_RUNS or time.perf_counter() - started < seconds:
            run(feed)
            runs += 1
        found = end_profile(opened)
    times: dict[str, dict[tuple[str, bool], list[float]]] = {}
    for one in found:
        if layer := names.get(one.node):
            nodes = times.setdefault(layer, {})
            nodes.setdefault((one.node, one.blocked), []).append(one.microseconds)
    return {
        layer: sum(float(np.median(values)) for values in nodes.values())
        for layer, nodes in times.items()
    }
