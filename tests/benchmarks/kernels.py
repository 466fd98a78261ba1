"""Every algorithm of the native library on every instruction set, on the layers of shapes.json.

    PYTHONPATH=tests/runtime python tests/benchmarks/kernels.py --networks resnet50 --isa avx512

One image on one thread, without ONNX Runtime.  Rows are kept in build/benchmarks, in kernels.json
of a folder for the machine and the instruction set: an interrupted run goes on where it ended, and
deleting the file starts it over.  The tables of docs/benchmarks/kernels.md are written from them.
"""

import argparse
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from statistics import median

import native
import numpy as np
from pages import write_pages
from peak import peak_gflops
from results import Results, file_here, this_machine
from rows import KernelRow

from sparsepass.algorithms import ALGORITHMS, Algorithm
from sparsepass.cli.console import progress_bars
from sparsepass.layer import Layer
from sparsepass.runtime.library import target
from sparsepass.runtime.microbench import random_zeros
from sparsepass.sparsity import Stats, weight_stats

SHAPES = Path(__file__).with_name("shapes.json")
SECONDS, TIMINGS, MOST_REPEATS = 0.05, 3, 1000


@dataclass(frozen=True)
class Shape:
    """A convolution of a square map, and how often its network has it."""

    network: str
    layer: str
    count: int
    filters: int
    channels: int
    groups: int
    kernel: int
    stride: int
    pad: int
    size: int


@dataclass(frozen=True)
class Subject:
    """A shape with operands of given shares of zeros."""

    shape: Shape
    weight_zeros: float
    input_zeros: float

    @cached_property
    def problem(self) -> native.Problem:
        shape, rng = self.shape, np.random.default_rng(0)
        window = [shape.kernel] * 2 + [shape.stride] * 2 + [1] * 2 + [shape.pad] * 4
        conv = native.Conv(shape.filters, shape.channels // shape.groups, shape.groups, *window)
        return native.Problem(
            conv,
            weight=random(conv.weight_shape, self.weight_zeros, rng),
            bias=rng.standard_normal(shape.filters, np.float32),
            x=random(conv.input_shape(1, shape.size, shape.size), self.input_zeros, rng),
        )

    @cached_property
    def layer(self) -> Layer:
        shape, problem = self.shape, self.problem
        return Layer(
            shape.layer, "Conv", 1, shape.groups, (shape.kernel,) * 2, (shape.stride,) * 2, (1, 1),
            (shape.pad,) * 4, (shape.size,) * 2, problem.weight, problem.bias,
        )  # fmt: skip

    @cached_property
    def stats(self) -> Stats:
        return Stats(weight_stats(self.layer), random_zeros(self.input_zeros))


def random(shape: tuple[int, ...], zeros: float, rng: np.random.Generator) -> np.ndarray:
    values = np.abs(rng.standard_normal(shape, np.float32))
    return values * (rng.random(shape) >= zeros)


def row_of(name: str) -> Algorithm:
    """The row of the table of algorithms; variants of one in the library begin with its name."""
    return next(row for row in ALGORITHMS if row.op and name.startswith(row.name))


def measure(subject: Subject, name: str, isa: str) -> KernelRow:
    work = row_of(name).options(subject.layer, subject.stats, target(isa))[0].work
    taken = microseconds(name, isa, subject.problem)
    return KernelRow(
        machine=this_machine(1, isa),
        network=subject.shape.network,
        layer=subject.shape.layer,
        shape=subject.layer.shape_text,
        algorithm=name,
        weight_zeros=subject.weight_zeros,
        input_zeros=subject.input_zeros,
        microseconds=taken,
        dense_gflops=2e-3 * subject.layer.macs / taken,
        gflops=2e-3 * work.macs / taken,
        peak_gflops=peak_gflops(isa),
    )


def microseconds(name: str, isa: str, problem: native.Problem) -> float:
    """Time of one run beyond the first, so that packing and cold caches do not count."""

    def seconds(repeats: int) -> float:
        started = time.perf_counter()
        native.run(name, isa, problem, repeats=repeats)
        return time.perf_counter() - started

    rough = max(seconds(2) - seconds(1), SECONDS / MOST_REPEATS)
    more = math.ceil(SECONDS / rough)
    return median((seconds(1 + more) - seconds(1)) / more for _ in range(TIMINGS)) * 1e6


def subjects(networks: list[str], weight_zeros: float, input_zeros: float) -> list[Subject]:
    shapes = [Shape(**fields) for fields in json.loads(SHAPES.read_text(encoding="utf-8"))]
    return [Subject(s, weight_zeros, input_zeros) for s in shapes if s.network in networks]


def names(subject: Subject, isa: str) -> Iterator[str]:
    """The algorithms that can compute a subject with an instruction set."""
    for name in native.algorithms():
        if row_of(name).refuse(subject.layer, subject.stats, target(isa)) is None:
            yield name


def main() -> None:
    """Read the command line, measure, write the pages."""
    known = list(dict.fromkeys(s["network"] for s in json.loads(SHAPES.read_text())))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", choices=known, default=known)
    sets = native.INSTRUCTION_SETS
    parser.add_argument("--isa", nargs="+", choices=sets, default=sets)
    parser.add_argument("--zero-weights", type=int, default=90, metavar="PERCENT")
    parser.add_argument("--zero-inputs", type=int, default=70, metavar="PERCENT")
    options = parser.parse_args()

    here = filter(native.is_here, options.isa)
    results = {isa: Results(file_here("kernels.json", isa), KernelRow) for isa in here}
    chosen = subjects(options.networks, options.zero_weights / 100, options.zero_inputs / 100)
    zeros = f"{options.zero_weights} % {options.zero_inputs} %"
    with progress_bars(quiet=False) as progress:
        for done, subject in enumerate(chosen):
            progress("layers", done, len(chosen))
            for isa, rows in results.items():
                for name in names(subject, isa):
                    key = f"{subject.shape.network} {subject.shape.layer} {zeros} {name}"
                    rows.of(key, partial(measure, subject, name, isa))
        progress("layers", len(chosen), len(chosen))
    write_pages()


if __name__ == "__main__":
    main()
