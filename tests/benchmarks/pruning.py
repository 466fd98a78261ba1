"""One-shot pruning against magnitude pruning with recalibrated batch normalisation.

    python tests/benchmarks/pruning.py resnet56 --zeros 50 60 70 80

Every convolution gets the same share of zeros, or each its own at the same share in all, where they
cost the outputs least.  Networks and pictures are those of ../shared: the even ones calibrate, the
odd ones judge, and ``--swap`` swaps them.  Right are the classes of the pictures.  The last lines
say how many zeros each method has where it loses 2 points, between two shares of the ladder.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from results import ROOT

from sparsepass.algorithms.prune import PRUNE, ZEROS
from sparsepass.calibration import calibrate
from sparsepass.cli.console import output, progress_bars
from sparsepass.cost import CostModel
from sparsepass.layer import Layer
from sparsepass.model import to_bytes
from sparsepass.network import plain_session, runner
from sparsepass.pipeline.densities import sparsest
from sparsepass.pipeline.fit import approximated
from sparsepass.pipeline.offers import collect_offers
from sparsepass.pipeline.pruning import Pruning
from sparsepass.pipeline.stages import Prepared, Studied
from sparsepass.pipeline.study import read
from sparsepass.plan import Choice
from sparsepass.profile import find
from sparsepass.reconstruction import CrossMoments, Weights, reconstructed, with_weights
from sparsepass.run import RunOptions
from sparsepass.runtime.library import target
from sparsepass.samples import Samples, load_samples

ALLOWED = 2.0  # points
SHARED = ROOT.parent / "shared"
NETWORKS = {
    "resnet56": ("resnet56-cifar10.onnx", "cifar10-jpeg"),
    "squeezenet1.1": ("squeezenet1.1-imagenet.onnx", "imagenet"),
}


@dataclass(frozen=True)
class Judge:
    """Pictures, the answers of the original to them, and their classes."""

    samples: Samples
    answers: np.ndarray
    classes: np.ndarray

    def compare(self, answers: np.ndarray) -> tuple[float, float, float]:
        """Agreement, the drop in points, and the standard error of this paired difference."""
        right, was_right = answers == self.classes, self.answers == self.classes
        lost, won = np.sum(was_right & ~right), np.sum(right & ~was_right)
        share = 100 / len(answers)
        agreement = share * np.sum(answers == self.answers)
        return agreement, share * (lost - won), share * np.sqrt(lost + won)


def halves(
    folder: Path, prepared: Prepared, swap: bool, most: int | None = None
) -> tuple[Samples, Samples, list[Path]]:
    """Samples for calibration and for judging, spread over all, and the files of the latter."""
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
    every = load_samples(folder, prepared.inputs)
    shuffled = np.random.default_rng(0).permutation(len(files) // 2)[:most]
    even, odd = (
        replace(every, order=tuple(int(2 * place + first) for place in shuffled))
        for first in (0, 1)
    )
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


def classes_of(files: Sequence[Path]) -> np.ndarray:
    """Folders by name are the classes; files of one folder begin with their WordNet numbers."""
    if len({path.parent for path in files}) > 1:
        names = sorted(path.name for path in files[0].parent.parent.iterdir())
        return np.array([names.index(path.parent.name) for path in files])
    lines = (SHARED / "imagenet_classes.tsv").read_text().splitlines()
    numbers = {line.split("\t")[1]: int(line.split("\t")[0]) for line in lines}
    return np.array([numbers[path.name.partition("_")[0]] for path in files])


def main() -> None:
    """Read the command line, prune, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument("--zeros", type=int, nargs="+", default=[50, 60, 70, 80])
    parser.add_argument("--swap", action="store_true", help="calibrate on the odd pictures")
    parser.add_argument("--images", type=int, default=256, help="most pictures of either half")
    given = parser.parse_args()
    model_name, folder = NETWORKS[given.network]
    drops: dict[str, list[tuple[int, float]]] = {}
    with progress_bars(quiet=False) as progress:
        source = SHARED / "images" / folder
        options = RunOptions(progress=progress, samples=source, pruning=True, measure=False)
        prepared = read(SHARED / "models" / model_name, options)
        fitted, judged, files = halves(source, prepared, given.swap, given.images)
        answers = answers_of(prepared.model, judged)
        judge = Judge(judged, answers, classes_of(files))
        stats = calibrate(prepared.model, prepared.found.layers, fitted, options, lossy=True)
        studied = Studied(prepared, stats, fitted, fitted, target())
        pruning = Pruning.of(collect_offers(studied, CostModel(find(1, target())[0]), options))
        for zeros in given.zeros:
            for name, weights in methods(pruning, zeros, options):
                changed = with_weights(prepared.model, list_of(studied), weights())
                agreement, drop, error = judge.compare(answers_of(changed, judge.samples))
                drops.setdefault(name, []).append((zeros, drop))
                output.print(
                    f"{zeros} % zeros, {name:34} agreement {agreement:5.1f} %, "
                    f"drop {drop:5.2f} +- {error:.2f}",
                    soft_wrap=True,
                )
    for name, found in drops.items():
        output.print(f"{ALLOWED:g} points lost, {name:34} {zeros_at(found)}", soft_wrap=True)


def list_of(studied: Studied) -> list[Layer]:
    """The layers that can be pruned."""
    return [layer for layer in studied.layers if PRUNE.statistics(layer)]


def methods(
    pruning: Pruning, zeros: int, options: RunOptions
) -> Iterator[tuple[str, Callable[[], Weights]]]:
    """What every method makes of one share of zeros."""
    studied = pruning.offers.studied
    layers = list_of(studied)
    model, names = studied.prepared.model, {layer.name for layer in layers}
    assert studied.calibration is not None
    samples = studied.calibration
    small = magnitude(layers, zeros)
    own = weights_of(studied, layers, sparsest(pruning.offers, zeros / 100))
    yield "magnitude", lambda: small
    yield (
        "magnitude, statistics repaired",
        lambda: reconstructed(
            model, layers, small, names, samples, options, method=CrossMoments.repair
        ),
    )
    if zeros in ZEROS:
        ours = weights_of(studied, layers, alike(layers, zeros))
        yield "prune", lambda: ours
        yield "prune, fitted", lambda: reconstructed(model, layers, ours, names, samples, options)
    yield (
        "prune, own densities, fitted",
        lambda: reconstructed(model, layers, own, names, samples, options),
    )


def alike(layers: Sequence[Layer], zeros: int) -> list[Choice]:
    """The same share of zeros for every layer."""
    return [
        Choice(layer=layer.name, algorithm=PRUNE.name, parameters={"zeros": zeros})
        for layer in layers
    ]


def weights_of(studied: Studied, layers: Sequence[Layer], choices: Sequence[Choice]) -> Weights:
    """The weights of a plan, those of layers that stay dense too."""
    chosen = {choice.layer: choice for choice in choices}
    return {
        layer.name: approximated(studied, layer, chosen[layer.name]) or (layer.weight, layer.bias)
        for layer in layers
    }


def zeros_at(found: Sequence[tuple[int, float]]) -> str:
    """Where between two shares of zeros the allowed drop is passed."""
    before = None
    for zeros, drop in found:
        if drop > ALLOWED:
            if before is None:
                return f"below {zeros} % zeros"
            share = (ALLOWED - before[1]) / (drop - before[1])
            return f"{before[0] + share * (zeros - before[0]):.0f} % zeros"
        before = zeros, drop
    return f"above {found[-1][0]} % zeros"


if __name__ == "__main__":
    main()
