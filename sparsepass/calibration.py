"""What samples show about each layer: zeros in its input, and what algorithms ask for besides.

One pass over the network in plain ONNX Runtime.  The values that layers read (and, where moments
are wanted, write) become outputs of a copy of the graph; one sample's values are in memory at a
time, the statistics are sums.
"""

from collections.abc import Iterable, Sequence

import onnx_ir as ir

from sparsepass.accumulators import InputMoments, InputZeros, OutputMoments
from sparsepass.algorithms import ALGORITHMS
from sparsepass.errors import ModelError
from sparsepass.layer import Layer
from sparsepass.model import to_bytes
from sparsepass.network import Run, plain_session, runner
from sparsepass.patches import positions_for
from sparsepass.run import DEFAULTS, RunOptions
from sparsepass.samples import Samples
from sparsepass.sparsity import Statistic, Stats, weight_stats

__all__ = ["calibrate", "expose", "nodes_of", "value_name"]

# Zeros are counted in so many samples: more say little of their share.
COUNTED_SAMPLES = 32


def calibrate(
    model: ir.Model,
    layers: Sequence[Layer],
    samples: Samples,
    options: RunOptions = DEFAULTS,
    *,
    lossy: bool = False,
) -> dict[str, Stats]:
    """Run the network on ``samples`` and measure every layer; the result maps names to ``Stats``.

    Zeros of the inputs are always there; with ``lossy`` also what lossy algorithms ask for, for the
    layers where they do.  The seed of the run draws the positions of an image that enter them.

    Raises ModelError where a layer is not in the model or an output is not finite, UsageError
    where a sample does not fit.
    """
    nodes = nodes_of(model, layers)
    zeros = {layer.name: InputZeros(layer) for layer in layers}
    moments = {
        layer.name: OutputMoments(layer, options.seed)
        for layer in layers
        if "output moments" in wanted_of(layer, lossy)
    }
    read = {name: value_name(node.inputs[0]) for name, node in nodes.items()}
    patches = {
        layer.name: (read[layer.name], geometry(layer))
        for layer in layers
        if "input moments" in wanted_of(layer, lossy)
    }
    shared = {
        patches[layer.name]: InputMoments(layer, options.seed, positions_for(layer, len(samples)))
        for layer in layers
        if layer.name in patches
    }
    written = {name: value_name(nodes[name].outputs[0]) for name in moments}
    progress = options.step("running samples")
    run = expose(model, [*read.values(), *written.values()], options.threads)
    for done, feed in enumerate(samples, start=1):
        values = {**feed, **run(feed)}
        for name, found in zeros.items() if done <= COUNTED_SAMPLES else ():
            found.add(values[read[name]])
        for name, found in moments.items():
            found.add(values[written[name]])
        for (name, _), found in shared.items():
            found.add(values[name])
        progress(done, len(samples))
    outputs = {name: found.result() for name, found in moments.items()}
    inputs = {key: shared.pop(key).result() for key in list(shared)}
    return {
        layer.name: Stats(
            weight_stats(layer),
            zeros[layer.name].result(),
            outputs.get(layer.name),
            inputs[patches[layer.name]] if layer.name in patches else None,
        )
        for layer in layers
    }


def geometry(layer: Layer) -> tuple[object, ...]:
    """What the patches of a value depend on: layers that agree in it share their moments."""
    return layer.groups, layer.kernel, layer.strides, layer.dilations, layer.pads


def wanted_of(layer: Layer, lossy: bool) -> frozenset[Statistic]:
    """What algorithms ask for of a layer besides its zeros, without ``lossy`` the exact ones."""
    asking = [row for row in ALGORITHMS if lossy or row.numerics != "lossy"]
    return frozenset(statistic for row in asking for statistic in row.statistics(layer))


def nodes_of(model: ir.Model, layers: Iterable[Layer]) -> dict[str, ir.Node]:
    """The node of each layer, by name; raises ModelError for a layer that has none."""
    by_name = {node.name: node for node in model.graph}
    missing = next((layer.name for layer in layers if layer.name not in by_name), None)
    if missing is not None:
        raise ModelError(f"node '{missing}' is not in the model; analyze the model again")
    return {layer.name: by_name[layer.name] for layer in layers}


def expose(model: ir.Model, names: Iterable[str], threads: int) -> Run:
    """The network with the named values as its outputs, but for its inputs."""
    copy = model.clone()
    inputs = {value.name for value in copy.graph.inputs}
    values = {v.name: v for node in copy.graph for v in node.outputs if v.name not in inputs}
    wanted = [name for name in dict.fromkeys(names) if name in values]
    copy.graph.outputs[:] = [values[name] for name in wanted] or list(copy.graph.outputs)
    run = runner(plain_session(to_bytes(copy), threads=threads))
    return run if wanted else lambda feed: {}


def value_name(value: ir.Value | None) -> str:
    """The name of a value that is there."""
    assert value is not None
    assert value.name
    return value.name
