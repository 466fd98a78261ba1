"""The example networks over sparsity, batch and threads: whole networks, and layer by layer.

    python tests/benchmarks/sweep.py --networks resnet50 --sparsity 80 90 --batch 1 --threads 1

Each case is optimized, then timed against plain ONNX Runtime, in turn, in one process.  Rows are
kept in build/benchmarks, in networks.json of a folder for the machine and the instruction set: an
interrupted sweep goes on where it ended, and deleting the file starts it over.  The tables and
plots of docs/benchmarks.md are written from them.
"""

import argparse
import itertools
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cases import write_example
from pages import write_pages
from peak import peak_gflops
from results import Results, file_here, this_machine
from rows import LayerRow, NetworkRow

from sparsepass import SparsepassError, optimize
from sparsepass.algorithms import algorithm
from sparsepass.cli.console import print_error, progress_bars
from sparsepass.layer import Layer
from sparsepass.pipeline.bench import OURS, PLAIN, compare_engines
from sparsepass.pipeline.study import read
from sparsepass.report.schema import LayerReport
from sparsepass.run import Progress, RunOptions, silent
from sparsepass.runtime.library import instruction_sets, target
from sparsepass.sparsity import Stats

NETWORKS = ("resnet50", "mobilenet_v1", "vgg16")
SPARSITIES = (50, 60, 70, 80, 90, 95, 98)
THREADS = (1, 2)
BATCHES = (1, 16)
SECONDS = 10.0


@dataclass(frozen=True)
class Case:
    """A network at a sparsity in percent, a batch size and a number of threads.

    ``isa`` is the instruction set of our kernels; None stands for the widest.
    """

    network: str
    sparsity: int
    batch: int
    threads: int
    isa: str | None = None

    def __str__(self) -> str:
        return f"{self.network} {self.sparsity} % batch {self.batch} threads {self.threads}"


Write = Callable[[Path, str, int, int], None]


def measure(
    case: Case, write: Write, *, seconds: float = SECONDS, progress: Progress = silent
) -> NetworkRow:
    """Optimize the network that ``write`` makes, and time it against plain ONNX Runtime.

    ``write`` gets the path, and network, sparsity and batch of the case.
    """
    with tempfile.TemporaryDirectory() as folder:
        original, optimized = Path(folder, "model.onnx"), Path(folder, "model.sparse.onnx")
        write(original, case.network, case.sparsity, case.batch)
        result = optimize(original, threads=case.threads, isa=case.isa, progress=progress)
        result.save(optimized)
        options = RunOptions(threads=case.threads, isa=case.isa, progress=progress)
        rows = compare_engines(original, optimized, options, seconds=seconds, peers=())
        found = {layer.name: layer for layer in read(original, options).found.layers}
    latencies = {row.engine.name: row.engine.latency for row in rows}
    machine = this_machine(case.threads, case.isa)
    return NetworkRow(
        machine=machine,
        network=case.network,
        sparsity=case.sparsity,
        batch=case.batch,
        before=latencies[PLAIN],
        after=latencies[OURS],
        peak_gflops=peak_gflops(machine.isa, case.threads),
        layers=tuple(
            layer_row(found[report.name], report, case.isa) for report in result.report.layers
        ),
    )


def layer_row(layer: Layer, report: LayerReport, isa: str | None) -> LayerRow:
    chosen, stats = report.chosen, Stats(report.weight, report.input)
    options = algorithm(chosen.algorithm).options(layer, stats, target(isa))
    work = next(o.work for o in options if dict(o.parameters) == chosen.parameters)
    return LayerRow(
        name=report.name,
        shape=report.shape,
        zeros=report.weight_zeros,
        algorithm=chosen.algorithm,
        dense_macs=layer.macs,
        macs=work.macs,
        before_us=report.dense.best_us,
        after_us=report.now.best_us,
    )


def sweep(cases: Sequence[Case], results: Results[NetworkRow], progress: Progress) -> int:
    """Measure the cases that have no row yet; return how many failed."""
    failed = 0
    for done, case in enumerate(cases):
        progress("cases", done, len(cases))
        try:
            results.of(str(case), lambda case=case: measure(case, write_example, progress=progress))
        except SparsepassError as error:
            print_error(f"{case}: {error}")
            failed += 1
    progress("cases", len(cases), len(cases))
    return failed


def main() -> None:
    """Read the command line, measure, write the pages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS)
    parser.add_argument("--sparsity", nargs="+", type=int, default=SPARSITIES, metavar="PERCENT")
    parser.add_argument("--isa", choices=instruction_sets(), help="of our kernels")
    parser.add_argument("--batch", nargs="+", type=int, default=BATCHES)
    parser.add_argument("--threads", nargs="+", type=int, default=THREADS)
    options = parser.parse_args()

    cases = [
        Case(network, sparsity, batch, threads, options.isa)
        for threads, batch, network, sparsity in itertools.product(
            options.threads, options.batch, options.networks, options.sparsity
        )
    ]
    results = Results(file_here("networks.json", options.isa), NetworkRow)
    with progress_bars(quiet=False) as progress:
        failed = sweep(cases, results, progress)
    write_pages()
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
