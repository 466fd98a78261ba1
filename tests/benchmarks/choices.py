"""Which algorithm wins where: the choice of the papers, on real networks.

    taskset -c 0 python tests/benchmarks/choices.py

Optimizes every network of ../shared with its pictures and writes docs/choices.md from the measured
offers of each layer.  The papers (arXiv 2104.08314) let CPO or CPS compete with im2col alone, layer
by layer; the second table does the same with our kernels.
"""

import tempfile
from collections import Counter
from pathlib import Path

from cases import Case, cases
from results import ROOT
from rich.progress import track

import sparsepass
from sparsepass.algorithms import ALGORITHMS
from sparsepass.algorithms.im2col import IM2COL
from sparsepass.pictures import ImageTransform
from sparsepass.report import Report
from sparsepass.report.markdown import table
from sparsepass.report.schema import LayerReport

PAGE = ROOT / "docs" / "choices.md"
ENCODED = [row.name for row in ALGORITHMS if row.source == "arXiv 2104.08314"]

INTRODUCTION = """# Which algorithm wins where

Written by `python tests/benchmarks/choices.py` from the offers of each layer, measured inside the
network on the pictures of its kind, batch 1, one thread, {machine}.

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
measured with both:

"""
NOTE = """
Our im2col is a packed product at 0.87 to 1.04 times the speed of ONNX Runtime's convolution, a far
stronger baseline than the matrix-vector products of the papers. Pointwise layers, which the papers
leave out, take part as well in the first table.
"""


def pictured() -> list[Case]:
    """The networks that come with pictures."""
    return [case for case in cases() if isinstance(case.samples, Path)]


def optimized(case: Case) -> Report:
    transform = ImageTransform.parse(case.transform) if case.transform else None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        case.write(path)
        result = sparsepass.optimize(path, samples=case.samples, image_transform=transform)
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


def main() -> None:
    reports = {case.name: optimized(case) for case in track(pictured(), "networks")}
    machine = next(iter(reports.values())).machine
    page = (
        INTRODUCTION.format(machine=f"{machine.cpu}, {machine.isa}, ORT {machine.onnxruntime}")
        + table([whole_row(name, report) for name, report in reports.items()])
        + PAPERS
        + table([paper_row(name, report) for name, report in reports.items()])
        + NOTE
    )
    PAGE.write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
