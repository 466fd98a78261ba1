"""docs/selector.md: how good the choice is, machine by machine."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from pages import with_machines
from results import ROOT, slug
from rows import SelectorRow
from scatter import scatter_chart
from sections import text_of, write
from selector_figures import errors_by, picks, regrets

from sparsepass.report.markdown import table
from sparsepass.report.units import percent

__all__ = ["write_page"]

DOCS = ROOT / "docs"

INTRODUCTION = """# How good the choice is

Written by `make selector`, which takes about an hour and goes on where it was interrupted. Every
offer of every layer is measured inside its network. Each way to choose then makes its plan, and all
plans are timed in turn as whole networks, in two sets of sessions, of which the faster counts. The
regret of a plan is its median time over that of the fastest plan that any of the ways found, less
one. The same predicted plan stands there twice: the difference is the floor, what timing alone
makes of one plan.

- `predictions`: the prices of the machine profile decide, nothing is measured (`--no-measure`,
  without its verification and its races of whole networks).
- `measured offers`: the same programme with the measured time of every offer.
- `optimize`: what the command does by default, whole.
- `greedy`: the cheapest prediction of each layer, whatever its neighbours do.
- `sparse above 70 % zeros`: the rule of thumb.
- `papers`: im2col, CPO or CPS by measured time (arXiv 2104.08314), else dense.
- `calibrate --quick`: predictions with the profile that ships for another processor of the same
  instruction set, corrected by `sparsepass calibrate --quick` on this one.
"""


def write_page(rows: Iterable[SelectorRow], docs: Path = DOCS) -> None:
    """Write the sections of the machines of ``rows``; others stay as they are."""
    places = defaultdict(list)
    for row in rows:
        places[row.place].append(row)
    page = docs / "selector.md"
    write(page, with_machines(INTRODUCTION, text_of(page), 2, places, partial(section, docs)))


def section(docs: Path, old: str, rows: Sequence[SelectorRow]) -> str:
    """All that is said of one machine; ``old`` is what was said before."""
    name = f"selector-{slug(rows[0].place)}.svg"
    folder = docs / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / name, chart_of(rows))
    machine, found = rows[0].machine, picks(rows)
    days = sorted({row.day for row in rows})
    return f"""Measured on {" to ".join(dict.fromkeys((days[0], days[-1])))} with ONNX Runtime \
{machine.onnxruntime}.

### Regret of plans

{table(regret_cells(rows))}
### Picks

Of {found.layers} layers with two or more offers, the cheapest prediction is the fastest offer in
{percent(found.best)}, and within 5 % of it in {percent(found.close)}. The mean rank correlation of
predicted and measured times within a layer is {found.correlation:.2f}.

### Errors of predictions

{table(error_cells(rows))}
![Predicted against measured](benchmarks/{name})
"""


def regret_cells(rows: Sequence[SelectorRow]) -> list[dict[str, str]]:
    """A line a network, and their means."""
    found = {row.network: regrets(row) for row in rows}
    lines = [
        {"network": network} | {method: percent(value) for method, value in of.items()}
        for network, of in found.items()
    ]
    methods = next(iter(found.values()))
    means = {m: percent(float(np.mean([of[m] for of in found.values()]))) for m in methods}
    return [*lines, {"network": "mean"} | means]


def error_cells(rows: Sequence[SelectorRow]) -> list[dict[str, str]]:
    """Errors of all offers, then by algorithm and kind of layer."""
    every = errors_by(rows, lambda offer: ("all", ""))
    groups = every | errors_by(rows, lambda offer: (offer.algorithm, offer.kind))
    return [
        {
            "algorithm": algorithm,
            "kind": kind,
            "offers": str(errors.offers),
            "median": percent(errors.median),
            "90 % below": percent(errors.p90),
        }
        for (algorithm, kind), errors in groups.items()
    ]


def chart_of(rows: Sequence[SelectorRow]) -> str:
    groups = defaultdict(list)
    for row in rows:
        for offer in row.offers:
            groups[offer.algorithm].append((offer.predicted_us, offer.measured_us))
    return scatter_chart("Microseconds of layers, predicted and measured", groups)
