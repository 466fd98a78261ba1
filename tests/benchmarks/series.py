"""Series of N:M terms against one N:M term of the same density, all fitted to the outputs.

    python tests/benchmarks/series.py squeezenet1.1 --pictures 32

For every layer the relative error of its output on pictures that nothing was fitted to, by their
moments.  Even pictures of ../shared calibrate, odd ones judge.  Single terms are chosen twice: by
magnitude, as hardware vendors' tools do, and by the search that chooses the series.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from pruning import NETWORKS, SHARED, halves

from sparsepass.algorithms.nm import NM, text_of
from sparsepass.algorithms.prune import PRUNE, fitted_on
from sparsepass.approximation import Series, find_series, series_terms
from sparsepass.calibration import calibrate
from sparsepass.cli.console import output, progress_bars
from sparsepass.layer import Array, Layer
from sparsepass.pipeline.study import read
from sparsepass.report.markdown import table
from sparsepass.run import RunOptions
from sparsepass.runtime.library import target
from sparsepass.sparsity import Stats

# Single terms of a density, and series of the same.
CASES: tuple[tuple[tuple[Series, ...], tuple[Series, ...]], ...] = (
    ((((3, 8),),), (((1, 4), (1, 8)), ((1, 8), (4, 16)))),
    ((((2, 4),), ((4, 8),)), (((1, 4), (2, 8)), ((2, 8), (4, 16)))),
)
EVERY = [series for case in CASES for part in case for series in part]


@dataclass(frozen=True)
class Judge:
    """One layer, what it was fitted on and what it is judged on."""

    layer: Layer
    fitted: Stats
    judged: Stats

    def error(self, mask: Array) -> float:
        """The relative error of the output where the weight keeps what ``mask`` does."""
        layer, patches = self.layer, self.judged.patches
        weight, bias = fitted_on(layer, self.fitted, mask)
        lost = patches.output_energy(weight - layer.weight, bias - layer.bias)
        return float(np.sqrt(lost / patches.output_energy(layer.weight, layer.bias)))

    def by_magnitude(self, series: Series) -> float:
        """The error of the greedy terms of the weight as it is."""
        rows = self.layer.weight.reshape(self.layer.filters, -1)
        terms = series_terms(rows, self.layer.weight.shape[1], series)
        return self.error(np.sum([term != 0 for term in terms], axis=0))

    @cached_property
    def searched(self) -> Mapping[Series, float]:
        """The error of the supports that are found by what the outputs do."""
        layer, channels = self.layer, self.layer.weight.shape[1]
        rows = layer.weight.reshape(layer.groups, -1, layer.taps)
        found = [
            find_series(weight, covariance, channels, EVERY)
            for weight, covariance in zip(rows, self.fitted.patches.covariance, strict=True)
        ]
        return {
            series: self.error(np.stack([supports.mask(number) for supports in found]))
            for number, series in enumerate(EVERY)
        }


def rows_for(name: str, judges: Sequence[Judge]) -> Iterator[dict[str, object]]:
    """A row for each pair of a single term and a series."""
    for singles, mixed in CASES:
        errors = {series: [judge.searched[series] for judge in judges] for series in mixed}
        for single in singles:
            ways = {
                "magnitude": [judge.by_magnitude(single) for judge in judges],
                "searched": [judge.searched[single] for judge in judges],
            }
            for way, base in ways.items():
                for series, found in errors.items():
                    pair = {"one term": f"{text_of(single)}, {way}", "series": text_of(series)}
                    yield {"network": name} | pair | compared(base, found)


def compared(base: Sequence[float], found: Sequence[float]) -> dict[str, object]:
    """Mean errors, the share of layers where the second is lower, and the mean ratio."""
    ratio = np.divide(found, base)
    return {
        "layers": len(ratio),
        "error": float(np.mean(base)),
        "of the series": float(np.mean(found)),
        "lower on": f"{np.mean(ratio < 1):.0%}",
        "ratio": float(np.mean(ratio)),
    }


def judges_of(name: str, pictures: int, step: int, options: RunOptions) -> list[Judge]:
    """Layers of a network that take blocks of 16 channels and have enough positions."""
    model_name, folder = NETWORKS[name]
    prepared = read(SHARED / "models" / model_name, options)
    fitted, judged, _ = halves(SHARED / "images" / folder, prepared, swap=False)
    layers = [layer for layer in prepared.found.layers if PRUNE.statistics(layer)]
    layers = [layer for layer in layers if layer.weight.shape[1] >= 16][::step]
    stats: list[Mapping[str, Stats]] = [
        calibrate(prepared.model, layers, samples.take(pictures), options, lossy=True)
        for samples in (fitted, judged)
    ]
    return [
        Judge(layer, stats[0][layer.name], stats[1][layer.name])
        for layer in layers
        if NM.refuse(layer, stats[0][layer.name], target(None)) is None
    ]


def main() -> None:
    """Read the command line, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", choices=NETWORKS, nargs="+")
    parser.add_argument("--pictures", type=int, default=64)
    parser.add_argument("--step", type=int, default=1, help="every so many layers only")
    given = parser.parse_args()
    with progress_bars(quiet=False) as progress:
        options = RunOptions(progress=progress)
        rows = [
            row
            for name in given.networks
            for row in rows_for(name, judges_of(name, given.pictures, given.step, options))
        ]
    output.print(table(rows), soft_wrap=True)


if __name__ == "__main__":
    main()
