"""What each layer costs inside its network, from ONNX Runtime's own profile."""

import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx_ir as ir

from sparsepass.graph import fusions
from sparsepass.layer import Layer
from sparsepass.model import to_bytes
from sparsepass.runtime.session import plain_session, runner, session

__all__ = ["layer_times", "names_of_layers"]

# ONNX Runtime's layout pass names a blocked node after its output.
BLOCKED_SUFFIX = "_nchwc"
# It makes one node of x * sigmoid(x), and names it after the product.
GATED_SUFFIX = "/QuickGeluFusion/"
EVENT_SUFFIX = "_kernel_time"
FEWEST_RUNS = 7


def names_of_layers(model: ir.Model, layers: tuple[Layer, ...]) -> dict[str, str]:
    """Every name under which a profile may list the node of a layer, and the layer's name.

    ONNX Runtime fuses what follows a convolution into it and names the result after its node or
    after the value that it makes.
    """
    names: dict[str, str] = {}
    for layer, fusion in fusions(model, {layer.name for layer in layers}).items():
        for node in fusion.nodes:
            for name in (node.name, *(value.name for value in node.outputs)):
                if name:
                    names[name] = names[name + GATED_SUFFIX] = layer
    return names


def layer_times(
    model: ir.Model,
    names: Mapping[str, str],
    feed: Mapping[str, Any],
    *,
    threads: int,
    custom_ops: bool,
    seconds: float = 1.0,
) -> dict[str, float]:
    """Median microseconds of each layer of ``names`` (see ``names_of_layers``) in ``model``.

    Runs for about ``seconds``.  What ONNX Runtime keeps as separate nodes, such as an activation
    it cannot fuse, counts for the layer it follows.
    """
    make = session if custom_ops else plain_session
    with tempfile.TemporaryDirectory() as folder:
        running = make(to_bytes(model), threads=threads, profile=Path(folder, "profile"))
        run = runner(running)
        started, runs = time.perf_counter(), 0
        while runs < FEWEST_RUNS or time.perf_counter() - started < seconds:
            run(feed)
            runs += 1
        events = json.loads(Path(cast(Any, running).end_profiling()).read_text(encoding="utf-8"))
    times: dict[str, dict[str, list[float]]] = {}
    for event in events:
        name = str(event.get("name", ""))
        if event.get("cat") != "Node" or not name.endswith(EVENT_SUFFIX):
            continue
        node = name.removesuffix(EVENT_SUFFIX).removesuffix(BLOCKED_SUFFIX)
        if layer := names.get(node):
            times.setdefault(layer, {}).setdefault(name, []).append(float(event["dur"]))
    return {
        layer: sum(float(np.median(values)) for values in nodes.values())
        for layer, nodes in times.items()
    }
