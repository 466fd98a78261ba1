"""A basis that convolutions of one input share, against the best that each has by itself.

    python tests/benchmarks/shared_basis.py squeezenet1.1-imagenet imagenet

Where several convolutions read one value, its channels could be projected once, on the r directions
that matter most to all of them together, and each convolution read these (the approximation of the
data matrices).  For every such value and some ranks: the predicted time of the projection, counted
once, and the convolutions behind it; and that of the fastest offers which have no more error than
the basis, layer by layer.  Network and pictures are those of ../shared.
"""

import argparse
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from results import ROOT

from sparsepass.algorithms import DENSE, dense_work
from sparsepass.algorithms.chains import Part, chain_of
from sparsepass.approximation.moments import damped
from sparsepass.calibration import nodes_of, value_name
from sparsepass.cli.console import output, progress_bars
from sparsepass.cost import CostModel
from sparsepass.layer import Layer
from sparsepass.pipeline.stages import Studied
from sparsepass.pipeline.study import study
from sparsepass.plan import Offer
from sparsepass.profile import find
from sparsepass.report.markdown import table
from sparsepass.run import RunOptions
from sparsepass.runtime.library import target
from sparsepass.selection import ask

SHARED = ROOT.parent / "shared"
# Ranks looked at, as parts of the channels.
PARTS = 8


@dataclass(frozen=True)
class Shared:
    """Ungrouped convolutions that read one value."""

    studied: Studied
    layers: Sequence[Layer]
    costs: CostModel

    @cached_property
    def directions(self) -> tuple[np.ndarray, np.ndarray]:
        """What to project on and what to restore with, (channels, channels), best column first.

        Of all projections of rank r the first r columns lose least of the outputs, relative to
        their energy and summed over layers, where neighbours of a pixel are left out of account.
        """
        first, channels = self.layers[0], self.layers[0].channels
        size = first.taps // channels
        taps = self.patches(first).covariance[0].reshape(channels, size, channels, size)
        values, vectors = np.linalg.eigh(damped(taps[:, size // 2, :, size // 2]))
        root = (vectors * np.sqrt(values)) @ vectors.T
        wanted = sum(
            np.einsum("fck,fdk->cd", rows, rows) / self.energy(layer)
            for layer in self.layers
            for rows in [layer.weight.reshape(layer.filters, channels, -1).astype(np.float64)]
        )
        _, best = np.linalg.eigh(root @ wanted @ root)
        best = best[:, ::-1]
        return np.linalg.solve(root, best), root @ best

    def patches(self, layer: Layer):
        return self.studied.stats[layer.name].patches

    def energy(self, layer: Layer) -> float:
        return self.patches(layer).output_energy(layer.weight, layer.bias)

    def error(self, layer: Layer, rank: int) -> float:
        """The relative error of the output of a layer behind the projection."""
        onto, back = (columns[:, :rank] for columns in self.directions)
        lost = layer.weight.reshape(layer.filters, layer.channels, -1)
        lost = lost - np.einsum("fck,cd->fdk", lost, back @ onto.T)
        lost = lost.reshape(layer.filters, -1)
        left = np.sum((lost @ self.patches(layer).covariance[0]) * lost)
        return math.sqrt(max(float(left), 0.0) / self.energy(layer))

    def time(self, rank: int) -> float:
        """Predicted microseconds, the projection counted once."""
        chains = [
            chain_of(layer, (Part(rank), Part(layer.filters, tuple(range(len(layer.kernel))))))
            for layer in self.layers
        ]
        parts = [chains[0][0], *(chain[1] for chain in chains)]
        block = self.costs.target.block
        return sum(self.costs.predict(DENSE.name, part, dense_work(part, block)) for part in parts)

    def best_of_others(self, layer: Layer, error: float) -> float:
        """Predicted microseconds of the fastest offer of no more error."""
        stats = self.studied.stats[layer.name]
        answers = ask(layer, stats, self.studied.target, self.costs)
        return min(a.predicted for a in answers if isinstance(a, Offer) and a.error <= error)

    def rows(self) -> Iterator[dict[str, object]]:
        """A row for each rank."""
        channels = self.layers[0].channels
        step = max(8, channels // PARTS)
        for rank in range(step, channels, step):
            errors = [self.error(layer, rank) for layer in self.layers]
            others = map(self.best_of_others, self.layers, errors)
            yield {
                "layers": ", ".join(layer.name for layer in self.layers),
                "channels": channels,
                "rank": rank,
                "errors": ", ".join(f"{error:.3f}" for error in errors),
                "shared basis, us": self.time(rank),
                "best of others, us": sum(others),
            }


def shared_values(studied: Studied, costs: CostModel) -> Iterator[Shared]:
    """The values that several convolutions with moments read."""
    nodes = nodes_of(studied.prepared.model, studied.layers)
    readers: dict[str, list[Layer]] = defaultdict(list)
    for layer in studied.layers:
        if layer.groups == 1 and studied.stats[layer.name].patches is not None:
            readers[value_name(nodes[layer.name].inputs[0])].append(layer)
    return (Shared(studied, found, costs) for found in readers.values() if len(found) > 1)


def main() -> None:
    """Read the command line, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network")
    parser.add_argument("folder")
    given = parser.parse_args()
    path = SHARED / "models" / f"{given.network}.onnx"
    costs = CostModel(find(1, target(None))[0])
    with progress_bars(quiet=False) as progress:
        folder = SHARED / "images" / given.folder
        options = RunOptions(samples=folder, max_error=0.1, progress=progress)
        rows = [row for one in shared_values(study(path, options), costs) for row in one.rows()]
    faster = sum(row["shared basis, us"] < row["best of others, us"] for row in rows)
    output.print(table(rows), soft_wrap=True)
    output.print(f"the shared basis is the faster in {faster} of {len(rows)} rows")


if __name__ == "__main__":
    main()
