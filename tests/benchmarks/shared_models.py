"""Real and example networks against every engine that is installed.

    python tests/benchmarks/shared_models.py "resnet50 90 %" vdsr

Names select the cases that contain one of them; none selects all, ``--list`` prints them.  Real
networks and images lie in ../shared beside the project; their cases are left out where it is
absent.  Rows are kept in build/benchmarks, in peers.json of a folder for the machine and the
instruction set: an interrupted run goes on where it ended, and deleting the file starts it over.
The table of docs/benchmarks.md is written from them.  deepsparse.sh makes an environment that has
every engine.
"""

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

from cases import Case, Samples, cases
from pages import write_pages
from results import Results, file_here, this_machine
from rows import PeerRow
from tables import peer_table

from sparsepass import SparsepassError, optimize
from sparsepass.cli.console import output, print_error, progress_bars
from sparsepass.pictures import ImageTransform
from sparsepass.pipeline.bench import compare_engines
from sparsepass.report.schema import Engine
from sparsepass.run import Progress, RunOptions
from sparsepass.runtime.library import instruction_sets

SECONDS = 20.0


def measure(case: Case, isa: str | None, progress: Progress) -> PeerRow:
    """Optimize a model once, and time it in every engine with each input of the case."""
    transform = ImageTransform.parse(case.transform)
    with tempfile.TemporaryDirectory() as folder:
        original, optimized = Path(folder, "model.onnx"), Path(folder, "model.sparse.onnx")
        case.write(original)
        result = optimize(
            original,
            threads=case.threads,
            isa=isa,
            samples=case.samples,
            image_transform=transform,
            progress=progress,
        )
        result.save(optimized)

        def engines(samples: Samples) -> tuple[Engine, ...]:
            options = RunOptions(
                threads=case.threads,
                isa=isa,
                progress=progress,
                samples=samples,
                image_transform=transform,
            )
            rows = compare_engines(original, optimized, options, seconds=SECONDS)
            return tuple(row.engine for row in rows)

        return PeerRow(
            machine=this_machine(case.threads, isa),
            algorithms=Counter(choice.algorithm for choice in result.plan.choices),
            runs={name: engines(samples) for name, samples in case.inputs.items()},
        )


def main() -> None:
    """Read the command line, measure, write the pages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="parts of names of cases; default: all")
    parser.add_argument("--isa", choices=instruction_sets(), help="of our kernels")
    parser.add_argument("--list", action="store_true", help="print the names and stop")
    options = parser.parse_args()
    chosen = [
        case
        for case in cases()
        if not options.names or any(part in case.name for part in options.names)
    ]
    if options.list:
        output.print("\n".join(case.name for case in chosen), soft_wrap=True)
        return

    results = Results(file_here("peers.json", options.isa), PeerRow)
    failed = 0
    with progress_bars(quiet=False) as progress:
        for done, case in enumerate(chosen):
            progress("cases", done, len(chosen))
            try:
                results.of(case.name, lambda case=case: measure(case, options.isa, progress))
            except SparsepassError as error:
                print_error(f"{case.name}: {error}")
                failed += 1
        progress("cases", len(chosen), len(chosen))
    rows = [results.rows[case.name] for case in chosen if case.name in results.rows]
    output.print(peer_table("", rows), soft_wrap=True, end="")
    write_pages()
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
