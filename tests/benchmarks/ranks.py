"""How much of the rank of a network's layers a classifier can do without.

    python tests/benchmarks/ranks.py --error 0.1 0.15 0.2

Every convolution of SqueezeNet 1.1 gets the smallest rank whose expected error, of its own output,
is at most ``--error``.  Its factors are fitted to the outputs of the original network with inputs
that the layers before it leave, themselves of low rank: reduced-rank regression, layer by layer
(the asymmetric form of arXiv 1505.06798, without its nonlinearity).  Photos at even positions are
fitted to, those at odd ones judged.  Printed are the mean of 1 - rank / min(filters, taps) over the
layers, multiply-adds, and right first answers lost with their standard error.  It takes a
quarter of an hour; photos and network lie in ../shared beside the project.
"""

import argparse
import math

import numpy as np
import onnx_ir as ir
from cases import IMAGENET, SHARED

from sparsepass.calibration import nodes_of, value_name
from sparsepass.layer import Layer
from sparsepass.model import to_bytes
from sparsepass.network import Run, plain_session, runner
from sparsepass.pictures import ImageTransform
from sparsepass.pipeline.study import read
from sparsepass.run import RunOptions
from sparsepass.samples.sources import open_source
from sparsepass.sensitivity import weights_of

MODEL = SHARED / "models" / "squeezenet1.1-imagenet.onnx"
CLASSES = SHARED / "imagenet_classes.tsv"
POSITIONS = 256
DAMPING = 1e-4


def main() -> None:
    """Measure each error in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--error", type=float, nargs="+", default=[0.1, 0.15, 0.2])
    parser.add_argument("--fitted", type=int, default=100, help="photos to fit to")
    parser.add_argument("--judged", type=int, default=400)
    asked = parser.parse_args()
    prepared = read(MODEL, RunOptions())
    layers = prepared.found.layers
    paths = sorted(IMAGENET.iterdir())
    photos = open_source(IMAGENET, prepared.inputs, ImageTransform())
    even, odd = range(0, len(paths), 2), range(1, len(paths), 2)
    step = max(1, len(even) // asked.fitted)
    fitted = [photos.read(i) for i in even[::step]]
    judged = [photos.read(i) for i in odd[: asked.judged]]
    labels = labels_of([paths[i] for i in odd[: asked.judged]])
    run, names = with_open_layers(prepared.model, layers)
    exact = {key: value for layer in layers for key, value in weights_of(layer).items()}
    targets = [positions(run({**feed, **exact}), names, i) for i, feed in enumerate(fitted)]
    before = answers(run, judged, exact)
    print(" error rank saved multiply-adds agreement  points lost")
    for error in asked.error:
        ranks, found = approximate(run, layers, names, fitted, targets, exact, error)
        after = answers(run, judged, found)
        saved = np.mean(
            [1 - r / min(x.filters, x.taps) for x, r in zip(layers, ranks, strict=True)]
        )
        right, kept = before == labels, after == labels
        lost, won = np.sum(right & ~kept), np.sum(kept & ~right)
        points, spread = (100 * x / len(labels) for x in (lost - won, math.sqrt(lost + won)))
        same = np.mean(before == after)
        row = f"{error:>6} {saved:>10.1%} {work(layers, ranks):>13.2f} {same:>9.1%}"
        print(f"{row} {points:>7.2f} ± {spread:.2f}", flush=True)


def with_open_layers(model, layers: list[Layer]) -> tuple[Run, dict[str, str]]:
    """The network with weights as inputs and the outputs of layers as outputs, before its own."""
    copy = model.clone()
    nodes = nodes_of(copy, layers)
    for layer in layers:
        nodes[layer.name].resize_inputs(3)
        for position, (name, array) in enumerate(weights_of(layer).items(), start=1):
            value = ir.val(name, ir.DataType.FLOAT, array.shape)
            copy.graph.inputs.append(value)
            nodes[layer.name].replace_input_with(position, value)
    names = {layer.name: value_name(nodes[layer.name].outputs[0]) for layer in layers}
    known = {value.name for value in copy.graph.outputs}
    values = [nodes[x.name].outputs[0] for x in layers if names[x.name] not in known]
    copy.graph.outputs.extend(values)
    return runner(plain_session(to_bytes(copy), threads=2)), names


def positions(values, names, seed: int) -> dict[str, np.ndarray]:
    """Some positions of each layer's output, (filters, positions), the same for the same seed."""
    rng = np.random.default_rng(seed)
    found = {}
    for layer, name in names.items():
        flat = values[name].reshape(values[name].shape[1], -1)
        if flat.shape[1] > POSITIONS:
            flat = flat[:, rng.choice(flat.shape[1], POSITIONS, replace=False)]
        found[layer] = flat.copy()
    return found


def approximate(run, layers, names, fitted, targets, exact, error):
    """Ranks of all layers, and weights of these ranks fitted one layer after the other."""
    weights, ranks = dict(exact), []
    for layer in layers:
        found = [
            positions(run({**f, **weights}), names, i)[layer.name] for i, f in enumerate(fitted)
        ]
        now = np.concatenate(found, axis=1).astype(np.float64)
        want = np.concatenate([t[layer.name] for t in targets], axis=1).astype(np.float64)
        rank = rank_of(want, error)
        weight, bias = regressed(layer, now, want, rank)
        weights |= weights_of(layer, weight, bias)
        ranks.append(rank)
    return ranks, weights


def rank_of(want: np.ndarray, error: float) -> int:
    """The smallest rank that loses at most ``error`` of the outputs."""
    spectrum = np.linalg.eigvalsh(np.cov(want, bias=True))[::-1]
    energy = np.mean(np.sum(want**2, axis=0))
    lost = np.append(np.cumsum(np.maximum(spectrum, 0)[::-1])[::-1], 0.0)
    return max(1, int(np.argmax(lost <= error**2 * energy)))


def regressed(layer: Layer, now: np.ndarray, want: np.ndarray, rank: int):
    """Weight and bias of the best map of this rank from what the layer makes now to ``want``."""
    mean, wanted = now.mean(axis=1), want.mean(axis=1)
    across = (want - wanted[:, None]) @ (now - mean[:, None]).T / now.shape[1]
    within = np.cov(now, bias=True)
    within[np.diag_indices_from(within)] += DAMPING * np.trace(within) / len(within)
    full = np.linalg.solve(within, across.T).T
    _, vectors = np.linalg.eigh(full @ across.T)
    basis = vectors[:, ::-1][:, :rank]
    best = basis @ (basis.T @ full)
    weight = (best @ layer.weight.reshape(layer.filters, -1)).reshape(layer.weight.shape)
    bias = wanted + best @ (layer.bias - mean)
    return weight.astype(np.float32), bias.astype(np.float32)


def work(layers, ranks) -> float:
    """Multiply-adds of the chains, of layers where they are fewer, as a share of the dense ones."""
    pairs = zip(layers, ranks, strict=True)
    chains = sum(x.pixels * min(r * (x.taps + x.filters), x.taps * x.filters) for x, r in pairs)
    return chains / sum(x.pixels * x.taps * x.filters for x in layers)


def answers(run, samples, weights) -> np.ndarray:
    return np.array([int(np.argmax(next(iter(run({**f, **weights}).values())))) for f in samples])


def labels_of(paths) -> np.ndarray:
    rows = [line.split("\t") for line in CLASSES.read_text(encoding="utf-8").splitlines()]
    known = {synset: int(number) for number, synset, _ in rows}
    return np.array([known[path.name.split("_")[0]] for path in paths])


if __name__ == "__main__":
    main()
