"""The pages of docs: what was measured so far, as tables and plots, machine by machine."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from results import FOLDER, ROOT, Results
from rows import KernelRow, NetworkRow, PeerRow, Row
from sections import merged, text_of, under, write
from tables import kernel_tables, layer_tables, network_tables, peer_table

DOCS = ROOT / "docs"

INTRODUCTION = """# Benchmarks

Written by `make bench`, which takes hours and goes on where it was interrupted; the scripts of
`tests/benchmarks` measure parts. Times are medians of one inference in milliseconds. Engines take
turns in one process, so that ratios hold where the machine drifts; turns in which a neighbour had
half of the core, told by some additions before and after that take twice the time then, count only
where there are too few others. Plain ONNX Runtime gets the network as it came; a speed-up is its
time over the other's. Every processor and instruction set has tables of its own, which are written
where it is measured. Two threads are slower for everyone, and for sparsepass most, while a
hypervisor keeps the two cores on different last-level caches: in the rows in which ResNet-50 takes
42 ms instead of 38 without sparsepass.
"""
PEERS = """
## Against other engines

`python tests/benchmarks/shared_models.py`. b is the batch, t the number of threads; every engine
computes in float32. Networks without % are as published by their authors, with their own zeros if
any. Each is optimized as a user would: no option but threads and samples. DeepSparse needs an
environment of its own, in which the others run too: `tests/benchmarks/deepsparse.sh` makes it.
"""
NETWORKS = """
## Networks by sparsity

`python tests/benchmarks/sweep.py`. The networks of `examples/networks.py`, whole. GFLOP/s count two
operations per multiply-add: dense ones those of the dense network in the time of the optimized one,
done ones those that are left. The peak is measured on registers, with as many threads, in the same
run. Layer by layer: [layers](benchmarks/layers.md).
"""
LAYERS = """# Benchmarks: layers

`python tests/benchmarks/sweep.py`, at 90 % zeros, batch 1 and one thread; `networks.json` in
`build/benchmarks` has all rows. Microseconds inside the network, from ONNX Runtime's profile. Dense
GFLOP/s count the multiply-adds of the dense layer, done ones those that the algorithm is left with.
"""
KERNELS = """# Benchmarks: kernels

`PYTHONPATH=tests/runtime python tests/benchmarks/kernels.py`. Every algorithm of the native
library, called without ONNX Runtime on one thread: weight packed before, layout as in ONNX. GFLOP/s
of the dense layer, and of what the algorithm is left to do by the counts that it is priced with;
the peak is measured on registers, in the same run.
"""
KERNELS_LINK = """
## Kernels

Each algorithm without ONNX Runtime: [kernels](benchmarks/kernels.md).
"""
LOSSY_LINK = """
## Lossy plans

What an error budget buys, beside int8: [lossy plans](benchmarks/lossy.md).
"""
SIZES_LINK = """
## Sizes that change

Another size in every run, and the time to the first answer: [sizes](benchmarks/sizes.md).
"""

RowT = TypeVar("RowT", bound=Row)
Tables = Callable[[str, Sequence[RowT]], str]


def write_pages(results: Path = FOLDER, docs: Path = DOCS) -> None:
    """Write docs/benchmarks.md and what it links to.

    The rows in ``results`` take the places of those of the same machine, others stay as they are.
    """
    folder = docs / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    networks = by_place(results / "networks.json", NetworkRow)
    peers = by_place(results / "peers.json", PeerRow)
    kernels = by_place(results / "kernels.json", KernelRow)
    layers, listed = folder / "layers.md", folder / "kernels.md"
    write(layers, with_machines(LAYERS, text_of(layers), 2, networks, layer_tables))
    write(listed, with_machines(KERNELS, text_of(listed), 2, kernels, kernel_tables))
    page = docs / "benchmarks.md"
    old, plotted = under(text_of(page), 2), partial(network_tables, folder)
    text = INTRODUCTION
    text += with_machines(PEERS, old.get(title_of(PEERS), ""), 3, peers, peer_table)
    text += with_machines(NETWORKS, old.get(title_of(NETWORKS), ""), 3, networks, plotted)
    text += KERNELS_LINK * listed.exists()
    text += LOSSY_LINK * (folder / "lossy.md").exists()
    text += SIZES_LINK * (folder / "sizes.md").exists()
    write(page, text)


def by_place(file: Path, row: type[RowT]) -> dict[str, list[RowT]]:
    """The rows of a file of that name in every machine's folder, by their headings."""
    found = defaultdict(list)
    for path in sorted(file.parent.glob(f"*/{file.name}")):
        for one in Results(path, row).rows.values():
            found[one.place].append(one)
    return found


def with_machines(
    words: str, old: str, level: int, rows: Mapping[str, Sequence[RowT]], tables: Tables[RowT]
) -> str:
    """``words`` and a section for each machine, nothing where there is none.

    ``tables`` gets what a machine had in ``old``, and its rows.
    """
    before = under(old, level)
    new = {place: tables(before.get(place, ""), found) for place, found in rows.items()}
    found = merged(old, level, {place: text for place, text in new.items() if text})
    return f"{words}\n{found}" if found else ""


def title_of(words: str) -> str:
    return next(iter(under(words, 2)))
