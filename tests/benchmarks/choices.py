"""Which algorithm wins where: the choice of the papers, on real networks.

    taskset -c 0 python tests/benchmarks/choices.py

Optimizes every network of ../shared with its pictures and writes the sections of this machine in
docs/choices.md from the measured offers of each layer.  The papers (arXiv 2104.08314) let CPO or
CPS compete with im2col alone, layer by layer; the second tables do the same with our kernels.
"""

import argparse
import tempfile
from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from cases import Case, cases
from pages import title_of, with_machines
from results import ROOT, this_machine
from rich.progress import track
from rows import Row
from sections import merged_table, text_of, under, write
from tables import measured_cell

import sparsepass
from sparsepass.algorithms import ALGORITHMS
from sparsepass.algorithms.im2col import IM2COL
from sparsepass.pictures import ImageTransform
from sparsepass.report import Report
from sparsepass.report.schema import LayerReport
from sparsepass.runtime.library import instruction_sets

PAGE = ROOT / "docs" / "choices.md"
ENCODED = [row.name for row in ALGORITHMS if row.source == "arXiv 2104.08314"]

INTRODUCTION = """# Which algorithm wins where

Written by `python tests/benchmarks/choices.py` from the offers of each layer, measured inside the
network on the pictures of its kind, batch 1, one thread. Every processor and instruction set has
tables of its own.
"""
WHOLE = """
## The whole choice

Layers by the algorithm that the plan of the whole network gives them, and what the network gains
over plain ONNX Runtime.
"""
PAPERS = """
## The choice of the papers

Amer et al. (arXiv 2104.08314) choose between im2col and their activation-sparse CPO or CPS, layer
by layer and by measured time, for convolutions whose kernel is larger than one tap. They report up
to 56 % of these layers won, up to 63 % less time in a layer, up to 9 % less in a network and up to
26 times less memory than im2col. The same choice among our kernels, over the layers that were
measured with both, is below.

Our im2col is a packed product, on AVX-512 at 0.87 to 1.04 times the speed of ONNX Runtime's
convolution, a far stronger baseline than the matrix-vector products of the papers. Pointwise
layers, which the papers leave out, take part as well in the first tables.
"""


def pictured() -> list[Case]:
    """The networks that come with pictures."""
    return [case for case in cases() if isinstance(case.samples, Path)]


def optimized(case: Case, isa: str | None) -> Report:
    transform = ImageTransform.parse(case.transform) if case.transform else None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        case.write(path)
        result = sparsepass.optimize(path, samples=case.samples, image_transform=transform, isa=isa)
    return result.report


def whole_row(name: str, report: Report) -> dict[str, str]:
    counts = Counter(layer.chosen.algorithm for layer in report.layers)
    network = report.network
    return {
        "network": name,
        **{
            row.name: str(counts.get(row.name, "")) for row in ALGORITHMS if row.numerics != "lossy"
        },
        "speed-up": f"{network.speedup:.2f}x" if network else "-",
    }


def measured(layer: LayerReport, names: list[str]) -> float | None:
    """The least measured time of some algorithms, or None where none was measured."""
    times = [o.measured for o in layer.offers if o.algorithm in names and o.measured is not None]
    return min(times, default=None)


def paper_row(name: str, report: Report) -> dict[str, str]:
    pairs = [
        (im2col, encoded)
        for layer in report.layers
        if " 1x1" not in layer.shape
        and (im2col := measured(layer, [IM2COL.name])) is not None
        and (encoded := measured(layer, ENCODED)) is not None
    ]
    if not pairs:
        return {"network": name, "layers": "0", "won": "-", "most saved": "-", "all layers": "-"}
    won = [(a, b) for a, b in pairs if b < a]
    saved = 1 - sum(min(pair) for pair in pairs) / sum(a for a, _ in pairs)
    return {
        "network": name,
        "layers": str(len(pairs)),
        "won": f"{len(won) / len(pairs):.0%}",
        "most saved": f"{max((1 - b / a for a, b in won), default=0):.0%}",
        "all layers": f"{saved:.0%}",
    }


def write_page(page: Path, reports: Mapping[str, Report], row: Row) -> None:
    """Write what ``reports`` say into the sections of the machine of ``row``."""
    old, text = under(text_of(page), 2), INTRODUCTION
    for words, line in ((WHOLE, whole_row), (PAPERS, paper_row)):
        lines = [line(name, report) | measured_cell(row) for name, report in reports.items()]
        tables = partial(merged_table, keys=["network"])
        text += with_machines(words, old.get(title_of(words), ""), 3, {row.place: lines}, tables)
    write(page, text)


def main() -> None:
    """Read the command line, measure, write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--isa", choices=instruction_sets(), help="of our kernels")
    isa = parser.parse_args().isa
    reports = {case.name: optimized(case, isa) for case in track(pictured(), "networks")}
    write_page(PAGE, reports, Row(machine=this_machine(1, isa)))


if __name__ == "__main__":
    main()
