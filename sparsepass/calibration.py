"""What samples show about each layer: zeros in its input, moments of its output.

One pass over the network in plain ONNX Runtime.  The values that layers read (and, where moments
are wanted, write) become outputs of a copy of the graph; one sample's values are in memory at a
time, the statistics are sums.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from sparsepass.errors import ModelError
from sparsepass.layer import Layer
from sparsepass.low_rank import candidate_ranks
from sparsepass.model import to_bytes
from sparsepass.network import Run, plain_session, runner
from sparsepass.run import DEFAULTS, RunOptions
from sparsepass.samples import Samples
from sparsepass.sparsity import ActivationStats, Moments, Stats, weight_stats

__all__ = ["POSITIONS", "calibrate", "nodes_of"]

# Output positions of one image that enter the moments.  Neighbours are alike: more positions of the
# same image cost time and add little, more images add more.
POSITIONS = 1024

# CPS groups 4 vertically adjacent rows; one with 3 or 4 non-zeros is worth a mask.
GROUP = 4
DENSE_GROUP = 3


def calibrate(
    model: ir.Model,
    layers: Sequence[Layer],
    samples: Samples,
    options: RunOptions = DEFAULTS,
    *,
    moments: bool = False,
) -> dict[str, Stats]:
    """Run the network on ``samples`` and measure every layer; the result maps names to ``Stats``.

    With ``moments``, ``Stats.output`` is there for convolutions that a low rank could serve; it
    is taken over at most ``POSITIONS`` positions of each image, drawn with the seed of the run.  It
    needs 8 filters^2 bytes for each of these layers.

    Raises ModelError where a layer is not in the model or an output is not finite, UsageError
    where a sample does not fit.
    """
    nodes = nodes_of(model, layers)
    accumulators = {
        layer.name: Accumulator(layer, options.seed, moments and has_low_ranks(layer))
        for layer in layers
    }
    read = {name: value_name(node.inputs[0]) for name, node in nodes.items()}
    written = {
        name: value_name(node.outputs[0])
        for name, node in nodes.items()
        if accumulators[name].covers_output
    }
    progress = options.step("running samples")
    run = expose(model, [*read.values(), *written.values()], options.threads)
    for done, feed in enumerate(samples, start=1):
        values = {**feed, **run(feed)}
        for name, accumulator in accumulators.items():
            accumulator.add_input(values[read[name]])
            if name in written:
                accumulator.add_output(values[written[name]])
        progress(done, len(samples))
    return {name: accumulator.stats() for name, accumulator in accumulators.items()}


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
    assert value is not None
    assert value.name
    return value.name


def has_low_ranks(layer: Layer) -> bool:
    return layer.op_type == "Conv" and layer.groups == 1 and bool(candidate_ranks(layer))


@dataclass
class Accumulator:
    """Running sums of one layer's statistics, one entry per image where shares are kept."""

    layer: Layer
    seed: int
    covers_output: bool
    zeros: list[float] = field(default_factory=list[float])
    dead: list[float] = field(default_factory=list[float])
    dense: list[float] = field(default_factory=list[float])
    empty: list[float] = field(default_factory=list[float])

    def __post_init__(self) -> None:
        filters = self.layer.filters if self.covers_output else 0
        self.rng = np.random.default_rng(self.seed)
        self.positions = 0
        self.total = np.zeros(filters)
        self.products = np.zeros((filters, filters))

    def add_input(self, values: NDArray[Any]) -> None:
        """Count the zeros of a batch."""
        masks: NDArray[np.bool_] = as_maps(values, bool(self.layer.kernel)) != 0
        for image in masks:
            groups = group_counts(image)
            self.zeros.append(1 - share(image))
            self.dead.append(1 - share(np.logical_or.reduce(image, axis=(1, 2))))
            self.dense.append(share(groups >= DENSE_GROUP))
            self.empty.append(share(groups == 0))

    def add_output(self, values: NDArray[Any]) -> None:
        """Add the positions of a batch, (filters,) each, to the sums; raises ModelError on NaN."""
        for image in values.reshape(len(values), self.layer.filters, -1):
            columns = image.shape[1]
            if columns > POSITIONS:
                image = image[:, self.rng.choice(columns, POSITIONS, replace=False)]
            exact = image.astype(np.float64)
            if not np.isfinite(exact).all():
                raise ModelError(
                    f"{self.layer.name}: its output has NaN or infinite values; mend the samples"
                )
            self.positions += exact.shape[1]
            self.total += exact.sum(axis=1)
            self.products += exact @ exact.T

    def stats(self) -> Stats:
        zeros = np.asarray(self.zeros)
        low, high = np.percentile(zeros, (10, 90))
        found = ActivationStats(
            zeros_mean=float(zeros.mean()),
            zeros_p10=float(low),
            zeros_p90=float(high),
            dead_channels=float(np.mean(self.dead)),
            dense_groups=float(np.mean(self.dense)),
            empty_groups=float(np.mean(self.empty)),
            samples=len(zeros),
        )
        return Stats(weight_stats(self.layer), found, self.moments())

    def moments(self) -> Moments | None:
        if not self.positions:
            return None
        mean = self.total / self.positions
        return Moments(mean, self.products / self.positions - np.outer(mean, mean), self.positions)


def share(mask: NDArray[np.bool_]) -> float:
    return float(np.count_nonzero(mask)) / max(mask.size, 1)


def as_maps(values: NDArray[Any], has_kernel: bool) -> NDArray[Any]:
    """Values as (images, channels, rows, columns); a product's last axis is its channels."""
    if not has_kernel:
        values = np.moveaxis(np.atleast_2d(values), -1, 1)
    rows = values.shape[2] if values.ndim > 2 else 1
    return values.reshape(*values.shape[:2], rows, -1)


def group_counts(image: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Non-zeros of each group of 4 rows of a column; the last group may be short."""
    channels, rows, columns = image.shape
    counts = np.zeros((channels, -(-rows // GROUP), columns), np.uint8)
    for row in range(min(GROUP, rows)):
        part = image[:, row::GROUP]
        counts[:, : part.shape[1]] += part
    return counts
