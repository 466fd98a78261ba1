"""Low rank plus a sparse residual against pruning and chains, in the same predicted time.

    python tests/benchmarks/residuals.py squeezenet1.1 --pictures 128

For every layer and every setting of rank and zeros, offered or not: its error over the least error
of pruning, and of chains, that take no longer.  Errors are those that are expected of the samples
that all are fitted to; times are what the profile says of this machine.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from pruning import SHARED

from sparsepass.algorithms import ALGORITHMS, DENSE, Option
from sparsepass.algorithms.low_rank_sparse import LOW_RANK_SPARSE, option_of, possible_settings
from sparsepass.algorithms.prune import PRUNE
from sparsepass.calibration import calibrate
from sparsepass.cli.console import output, progress_bars
from sparsepass.cost import CostModel
from sparsepass.layer import Layer
from sparsepass.pipeline.prices import prices_for
from sparsepass.pipeline.study import read
from sparsepass.report.markdown import table
from sparsepass.run import RunOptions
from sparsepass.samples import load_samples
from sparsepass.sparsity import Stats

NETWORKS = {
    "squeezenet1.1": ("squeezenet1.1-imagenet.onnx", "imagenet"),
    "resnet50v2": ("resnet50v2-trunk-stage3-imagenet.onnx", "imagenet"),
    "resnet56": ("resnet56-cifar10.onnx", "cifar10-jpeg"),
}
CHAINS = [row for row in ALGORITHMS if row.approximate and not row.op]


@dataclass(frozen=True)
class Point:
    """A setting: its predicted time over that of the dense layer, and its error."""

    time: float
    error: float


@dataclass(frozen=True)
class Judge:
    """One layer and all that it may become."""

    layer: Layer
    stats: Stats
    costs: CostModel

    def ratios(self) -> Iterator[tuple[float, float, float]]:
        """Of each setting that is faster than dense: its time, its error over either other's."""
        pruned, chains = self.points([PRUNE]), self.points(CHAINS)
        for rank, zeros in possible_settings(self.layer):
            option = option_of(self.layer, self.stats, self.costs.target, rank, zeros)
            found = self.point(LOW_RANK_SPARSE, option)
            if found.time < 1:
                others = (least_error(points, found.time) for points in (pruned, chains))
                yield found.time, *(found.error / other for other in others)

    def points(self, rows) -> list[Point]:
        """What some rows offer."""
        return [
            self.point(row, option)
            for row in rows
            if row.refuse(self.layer, self.stats, self.costs.target) is None
            for option in row.known_options(self.layer, self.stats, self.costs.target)
        ]

    def point(self, row, option: Option) -> Point:
        (dense,) = DENSE.options(self.layer, self.stats, self.costs.target)
        whole = self.costs.price(DENSE, self.layer, dense)
        return Point(self.costs.price(row, self.layer, option) / whole, option.error)


def least_error(points: Sequence[Point], time: float) -> float:
    """The least error in that time, all of the output where nothing is as fast."""
    return min((point.error for point in points if point.time <= time), default=1.0)


def row_for(name: str, judges: Sequence[Judge]) -> dict[str, object]:
    """The best setting of each layer that one makes faster, against pruning and against chains."""
    best = [min(found, key=lambda r: max(r[1:])) for j in judges if (found := list(j.ratios()))]
    times, pruned, chains = np.reshape(best, (-1, 3)).T
    return {
        "network": name,
        "layers": len(judges),
        "faster than dense": len(best),
        "time over dense": float(np.median(times)),
        "error over pruning": float(np.median(pruned)),
        "least": float(pruned.min(initial=np.inf)),
        "error over chains": float(np.median(chains)),
        "wins": int(np.sum((pruned < 1) & (chains < 1))),
    }


def judges_of(name: str, pictures: int, step: int, options: RunOptions) -> list[Judge]:
    """Layers of a network that can be pruned and have ranks to offer."""
    model_name, folder = NETWORKS[name]
    prepared = read(SHARED / "models" / model_name, options)
    samples = load_samples(SHARED / "images" / folder, prepared.inputs).take(pictures)
    layers = [layer for layer in prepared.found.layers if LOW_RANK_SPARSE.statistics(layer)][::step]
    stats = calibrate(prepared.model, layers, samples, options, lossy=True)
    costs = prices_for(options, None).costs
    return [
        Judge(layer, stats[layer.name], costs)
        for layer in layers
        if PRUNE.refuse(layer, stats[layer.name], costs.target) is None
    ]


def main() -> None:
    """Read the command line, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", choices=NETWORKS, nargs="+")
    parser.add_argument("--pictures", type=int, default=128)
    parser.add_argument("--step", type=int, default=1, help="every so many layers only")
    given = parser.parse_args()
    with progress_bars(quiet=False) as progress:
        options = RunOptions(progress=progress, threads=1)
        rows = [
            row_for(name, judges_of(name, given.pictures, given.step, options))
            for name in given.networks
        ]
    output.print(table(rows), soft_wrap=True)


if __name__ == "__main__":
    main()
