"""One-shot pruning against magnitude pruning with recalibrated batch normalisation.

    python tests/benchmarks/pruning.py resnet56 --zeros 50 60 70 80

Every convolution gets the same share of zeros.  Networks and pictures are those of ../shared: the
even ones calibrate, the odd ones judge, and ``--swap`` swaps them.  Answers are compared with those
of the original, and with the classes where the folders of the pictures name them.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from results import ROOT

from sparsepass.algorithms.prune import PRUNE
from sparsepass.calibration import calibrate
from sparsepass.cli.console import output, progress_bars
from sparsepass.layer import Layer
from sparsepass.model import to_bytes
from sparsepass.network import plain_session, runner
from sparsepass.pipeline.stages import Prepared
from sparsepass.pipeline.study import read
from sparsepass.reconstruction import CrossMoments, Weights, reconstructed, with_weights
from sparsepass.run import RunOptions
from sparsepass.samples import Samples, load_samples

SHARED = ROOT.parent / "shared"
NETWORKS = {
    "resnet56": ("resnet56-cifar10.onnx", "cifar10-jpeg"),
    "squeezenet1.1": ("squeezenet1.1-imagenet.onnx", "imagenet"),
}


@dataclass(frozen=True)
class Judge:
    """Pictures, the answers of the original to them, and their classes or these answers again."""

    samples: Samples
    answers: np.ndarray
    classes: np.ndarray

    def line(self, answers: np.ndarray) -> str:
        """Agreement, and the drop in points with the standard error of the paired difference."""
        right, was_right = answers == self.classes, self.answers == self.classes
        lost, won = np.sum(was_right & ~right), np.sum(right & ~was_right)
        count = len(answers)
        return (
            f"agreement {100 * np.mean(answers == self.answers):5.1f} %, "
            f"drop {100 * (lost - won) / count:5.2f} +- {100 * np.sqrt(lost + won) / count:.2f}"
        )


def halves(folder: Path, prepared: Prepared, swap: bool) -> tuple[Samples, Samples, list[Path]]:
    """Samples for calibration and for judging, and the files of the latter."""
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
    every = load_samples(folder, prepared.inputs)
    even, odd = (replace(every, order=tuple(range(n, len(files), 2))) for n in (0, 1))
    fitted, judged = (odd, even) if swap else (even, odd)
    return fitted, judged, [files[index] for index in judged.order]


def answers_of(model, samples: Samples) -> np.ndarray:
    run = runner(plain_session(to_bytes(model)))
    return np.array([int(np.argmax(next(iter(run(feed).values())))) for feed in samples])


def magnitude(layers: Sequence[Layer], zeros: int) -> Weights:
    """The weights of least magnitude of every layer are zero."""
    found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for layer in layers:
        least = np.quantile(np.abs(layer.weight), zeros / 100)
        weight = np.where(np.abs(layer.weight) >= least, layer.weight, 0).astype(np.float32)
        found[layer.name] = (weight, layer.bias)
    return found


def classes_of(files: Sequence[Path], answers: np.ndarray) -> np.ndarray:
    """Folders by name are the classes; for one folder the original's answers stand in."""
    names = sorted({path.parent.name for path in files})
    if len(names) == 1:
        return answers
    return np.array([names.index(path.parent.name) for path in files])


def main() -> None:
    """Read the command line, prune, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument("--zeros", type=int, nargs="+", default=[50, 60, 70, 80])
    parser.add_argument("--swap", action="store_true", help="calibrate on the odd pictures")
    given = parser.parse_args()
    model_name, folder = NETWORKS[given.network]
    with progress_bars(quiet=False) as progress:
        options = RunOptions(progress=progress)
        prepared = read(SHARED / "models" / model_name, options)
        fitted, judged, files = halves(SHARED / "images" / folder, prepared, given.swap)
        layers = [layer for layer in prepared.found.layers if PRUNE.statistics(layer)]
        stats = calibrate(prepared.model, layers, fitted.take(256), options, lossy=True)
        answers = answers_of(prepared.model, judged)
        judge = Judge(judged, answers, classes_of(files, answers))
        for zeros in given.zeros:
            for line in lines(prepared, layers, stats, fitted, judge, zeros, options):
                output.print(line, soft_wrap=True)


def lines(
    prepared: Prepared,
    layers: Sequence[Layer],
    stats: Mapping[str, object],
    fitted: Samples,
    judge: Judge,
    zeros: int,
    options: RunOptions,
):
    """What every method makes of one share of zeros."""
    names = {layer.name for layer in layers}
    small = magnitude(layers, zeros)
    ours = {
        layer.name: PRUNE.approximate(layer, stats[layer.name], {"zeros": zeros})
        for layer in layers
    }
    methods = {
        "magnitude": lambda: small,
        "magnitude, statistics repaired": lambda: reconstructed(
            prepared.model, layers, small, names, fitted, options, CrossMoments.repair
        ),
        "prune": lambda: ours,
        "prune, fitted in the network": lambda: reconstructed(
            prepared.model, layers, ours, names, fitted, options
        ),
    }
    for name, weights in methods.items():
        changed = with_weights(prepared.model, layers, weights())
        yield f"{zeros} % zeros, {name:32} {judge.line(answers_of(changed, judge.samples))}"


if __name__ == "__main__":
    main()
