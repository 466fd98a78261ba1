"""Weights of approximated layers, fitted once more where the network is approximated as a whole.

Each approximation was chosen on what the original network gives the layer.  In the approximated
network its input differs, and errors add up.  Here the layers are fitted again in the order of the
graph: each computes of its new input, as well as its zeros allow, what the original computed of the
old one.  Where a residual is added behind, the sum is what is wanted, so that a layer also makes up
for errors that pass it by.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from sparsepass.approximation import refit, repaired
from sparsepass.calibration import expose, nodes_of, value_name
from sparsepass.layer import Array, Layer
from sparsepass.model import to_bytes
from sparsepass.network import Run, plain_session, runner
from sparsepass.patches import PATCHES, TOGETHER, columns_of, positions_for
from sparsepass.run import DEFAULTS, RunOptions
from sparsepass.samples import Samples

__all__ = ["CrossMoments", "Method", "Weights", "reconstructed", "with_weights"]

Weights = Mapping[str, tuple[Array, Array]]
"""Weight and bias of layers, by name."""

# The share of the mean variance by which weights are held where they were.  More than numbers need:
# on others than the fitted samples it is the better by 1 % (squeezenet1.1, resnet56).
DAMPING = 0.1
# Feature maps of both networks are held of so many samples as fit in so many bytes.
HELD_BYTES = 1_000_000_000
MOST_SAMPLES = 256


def reconstructed(
    model: ir.Model,
    layers: Sequence[Layer],
    weights: Weights,
    open_layers: Collection[str],
    samples: Samples,
    options: RunOptions = DEFAULTS,
    *,
    change: Callable[[ir.Model], object] = lambda model: None,
    method: "Method | None" = None,
) -> dict[str, tuple[Array, Array]]:
    """The ``weights`` of ``layers``, those of ``open_layers`` fitted to the outputs of ``model``.

    Layers are in the order of the graph.  Zeros of the weights stay zeros.  ``change`` is what
    the network that they are fitted in differs by besides, in place.  Both networks run once on the
    samples, from layer to layer.
    """
    method = method or CrossMoments.fit
    progress = options.step("fitting weights")
    fitted = dict(weights)
    changed = with_weights(model, layers, fitted)
    change(changed)
    free = [layer for layer in layers if layer.name in open_layers]
    old = Stream.of(model, free, samples, options)
    new = Stream(changed, options, [dict(feed) for feed in old.values])
    for done, layer in enumerate(free, start=1):
        old.go_to(layer.name)
        new.go_to(layer.name)
        fitted[layer.name] = method(sums_over(old, new, layer, options), fitted[layer.name][0])
        set_weights(changed, layer, fitted[layer.name])
        progress(done, len(free))
    return fitted


def with_weights(model: ir.Model, layers: Sequence[Layer], weights: Weights) -> ir.Model:
    """A copy of ``model`` in which convolutions have other weights and biases."""
    copy = model.clone()
    for layer in layers:
        set_weights(copy, layer, weights[layer.name])
    return copy


def set_weights(model: ir.Model, layer: Layer, arrays: tuple[Array, Array]) -> None:
    node = nodes_of(model, [layer])[layer.name]
    node.resize_inputs(3)
    for position, array in enumerate(arrays, start=1):
        name = f"{layer.name}/sparsepass.{position}"
        model.graph.initializers.pop(name, None)
        value = ir.val(name, const_value=ir.tensor(array, name=name))
        node.replace_input_with(position, value)
        model.graph.register_initializer(value)


@dataclass
class Stream:
    """A network on all samples at once, as far as some node: ``values`` by name, of each sample.

    They are those that this node and later ones read.
    """

    model: ir.Model
    options: RunOptions
    values: list[dict[str, NDArray[Any]]]

    @classmethod
    def of(
        cls, model: ir.Model, layers: Sequence[Layer], samples: Samples, options: RunOptions
    ) -> "Stream":
        """The start of a network that goes to ``layers``, with as many samples as can be held."""
        held = max(1, widest(model, layers, samples[0], options.threads))
        count = min(MOST_SAMPLES, max(1, HELD_BYTES // (2 * held)))
        return cls(model, options, [dict(feed) for feed in samples.take(count)])

    def go_to(self, name: str) -> None:
        """Run on until the node called ``name`` is next."""
        wanted = live_at(self.model.graph, name)
        run = self.runner([value for value in wanted if value not in self.values[0]])
        self.values = [
            {key: value for key, value in {**known, **run(known)}.items() if key in wanted}
            for known in self.values
        ]

    def runner(self, wanted: Sequence[str]) -> Run:
        """The part of the network from the values that are there to ``wanted`` ones."""
        if not wanted:
            return lambda feed: {}
        known = self.values[0]
        part = ir.convenience.extract(
            self.model.graph, sources(self.model.graph, wanted, known), list(wanted)
        )
        for value in part.inputs:
            assert value.name
            value.type = ir.TensorType(ir.DataType.from_numpy(known[value.name].dtype))
            value.shape = ir.Shape([None] * known[value.name].ndim)
        model = ir.Model(part, ir_version=self.model.ir_version)
        model.opset_imports.update(self.model.opset_imports)
        model.functions.update(self.model.functions)
        return runner(plain_session(to_bytes(model), threads=self.options.threads))


def live_at(graph: ir.Graph, name: str) -> list[str]:
    """Values, but constants, that are made before the node called ``name`` and read from there."""
    made = {value.name for value in graph.inputs}
    live: dict[str, None] = {}
    reached = False
    for node in graph:
        reached = reached or node.name == name
        if reached:
            read = (value.name for value in node.inputs if value is not None)
            live |= {value: None for value in read if value and value in made}
        else:
            made |= {value.name for value in node.outputs}
    return list(live)


def sources(graph: ir.Graph, wanted: Sequence[str], known: Mapping[str, object]) -> list[str]:
    """The ``known`` values that the ``wanted`` ones are made of."""
    producers = {value.name: node for node in graph for value in node.outputs}
    found: dict[str, None] = {}
    waiting, seen = list(wanted), set(wanted)
    while waiting:
        node = producers.get(waiting.pop())
        for name in (value.name for value in node.inputs if value is not None) if node else ():
            if name and name in known:
                found[name] = None
            elif name and name not in seen:
                seen.add(name)
                waiting.append(name)
    return list(found)


def widest(
    model: ir.Model, layers: Sequence[Layer], feed: Mapping[str, NDArray[Any]], threads: int
) -> int:
    """The most bytes of one sample that are held where one of ``layers`` is next."""
    live = [live_at(model.graph, layer.name) for layer in layers]
    names = dict.fromkeys(name for values in live for name in values)
    values = {**feed, **expose(model, names, threads)(feed)}
    return max((sum(values[name].nbytes for name in held) for held in live), default=0)


def sums_over(old: Stream, new: Stream, layer: Layer, options: RunOptions) -> "CrossMoments":
    """What the layer reads in the ``new`` network, against what it wrote in the ``old`` one.

    Of two values that are added, the one of the layer makes up for what the other is off.
    """
    node = nodes_of(old.model, [layer])[layer.name]
    read = value_name(nodes_of(new.model, [layer])[layer.name].inputs[0])
    written = value_name(node.outputs[0])
    beside = added_to(node, new.values[0])
    run = old.runner([written])
    sums = CrossMoments(layer, options.seed, positions_for(layer, len(old.values)))
    for before, after in zip(old.values, new.values, strict=True):
        # It is kept: what comes next is made of it.
        output = before[written] = run(before)[written]
        sums.add(after[read], output, change_of(output, before, after, beside))
    return sums


def change_of(
    output: NDArray[Any],
    before: Mapping[str, NDArray[Any]],
    after: Mapping[str, NDArray[Any]],
    beside: str | None,
) -> NDArray[Any] | float:
    """What the output has to make up for."""
    if beside is None or before[beside].shape != output.shape:
        return 0.0
    return before[beside] - after[beside]


def added_to(node: ir.Node, known: Mapping[str, NDArray[Any]]) -> str | None:
    """The ``known`` value that is added to the output of ``node``, and to nothing else of it."""
    users = [user for user, _ in node.outputs[0].uses()]
    if len(users) != 1 or users[0].op_type != "Add":
        return None
    other = next((value for value in users[0].inputs if value is not node.outputs[0]), None)
    return other.name if other is not None and other.name in known else None


class CrossMoments:
    """Moments of new input patches x, and of these with the output y that is wanted.

    ``output`` is y of the original, from which the wanted one may differ.  It holds
    8 (taps + filters) taps bytes.
    """

    def __init__(self, layer: Layer, seed: int, most: int = PATCHES) -> None:
        self.layer, self.most = layer, most
        self.rng = np.random.default_rng(seed)
        self.positions = 0
        groups, taps, filters = layer.groups, layer.taps, layer.filters // layer.groups
        self.read, self.wanted = np.zeros((groups, taps)), np.zeros((groups, filters))
        self.moments = np.zeros((groups, taps, taps))
        self.products = np.zeros((groups, filters, taps))
        self.output, self.squares = np.zeros((groups, filters)), np.zeros((groups, filters))
        self.waiting: list[tuple[Array, Array, Array]] = []

    def add(
        self, values: NDArray[Any], output: NDArray[Any], change: NDArray[Any] | float = 0.0
    ) -> None:
        """Add the patches of a batch and outputs at the same positions; ``change`` is wanted."""
        shape = (len(output), *self.output.shape, -1)
        pairs = zip(output.reshape(shape), (output + change).reshape(shape), strict=True)
        for (x, chosen), (old, wanted) in zip(
            columns_of(values, self.layer, self.rng, self.most), pairs, strict=True
        ):
            self.waiting.append((x, old[..., chosen], wanted[..., chosen]))
        if sum(x.shape[-1] for x, _, _ in self.waiting) >= TOGETHER:
            self.sum_up()

    def sum_up(self) -> None:
        """Add the patches that wait."""
        if not self.waiting:
            return
        x, y, z = (np.concatenate(parts, axis=-1) for parts in zip(*self.waiting, strict=True))
        self.waiting.clear()
        self.positions += x.shape[-1]
        self.read += x.sum(axis=-1, dtype=np.float64)
        self.moments += x @ x.swapaxes(-1, -2)
        self.wanted += z.sum(axis=-1, dtype=np.float64)
        self.products += z @ x.swapaxes(-1, -2)
        self.output += y.sum(axis=-1, dtype=np.float64)
        self.squares += np.square(y).sum(axis=-1, dtype=np.float64)

    def fit(self, weight: Array) -> tuple[Array, Array]:
        """Weight and bias of least squares, with the zeros of ``weight``."""
        self.sum_up()
        found = np.zeros(self.products.shape)
        read, wanted = self.read / self.positions, self.wanted / self.positions
        for group, (start, covariance) in enumerate(
            zip(weight.reshape(found.shape), self.covariances(), strict=True)
        ):
            products = self.products[group] / self.positions - np.outer(wanted[group], read[group])
            # A little as in damped moments: where inputs say nothing, weights stay.
            ridge = DAMPING * float(np.trace(covariance)) / len(covariance)
            covariance[np.diag_indices_from(covariance)] += ridge
            found[group] = refit(start, start != 0, covariance, products + ridge * start)
        return self.with_bias(found)

    def repair(self, weight: Array) -> tuple[Array, Array]:
        """The weight scaled, and the bias: filters have their mean and variance of the original."""
        self.sum_up()
        output = self.output / self.positions
        variances = self.squares / self.positions - output**2
        starts = weight.reshape(self.products.shape)
        found = [*map(repaired, starts, self.covariances(), variances)]
        return biased(np.stack(found), self.read / self.positions, output, weight.shape)

    def covariances(self) -> Iterator[NDArray[np.float64]]:
        """The covariance of the new patches, (taps, taps), of one group after the other."""
        self.sum_up()
        for moments, total in zip(self.moments, self.read, strict=True):
            mean = total / self.positions
            yield moments / self.positions - np.outer(mean, mean)

    def with_bias(self, found: NDArray[np.float64]) -> tuple[Array, Array]:
        """A weight, (groups, filters, taps), as the layer has it, and the bias that it wants."""
        self.sum_up()
        read, wanted = self.read / self.positions, self.wanted / self.positions
        return biased(found, read, wanted, self.layer.weight.shape)


def biased(
    found: NDArray[np.float64],
    read: NDArray[np.float64],
    wanted: NDArray[np.float64],
    shape: tuple[int, ...],
) -> tuple[Array, Array]:
    shift = wanted - np.einsum("gft,gt->gf", found, read)
    return found.reshape(shape).astype(np.float32), shift.reshape(-1).astype(np.float32)


Method = Callable[[CrossMoments, Array], tuple[Array, Array]]
"""Weight and bias that take the place of a weight, by the moments of what its layer reads."""
