"""Networks whose maps have another size in every run, and the time to the first answer.

    python tests/benchmarks/sizes.py --sizes 200

Every network runs in plain ONNX Runtime and as optimized for one size, on the same random heights
and widths, from the first run of a session on.  Writes docs/benchmarks/sizes.md.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from cases import write_example
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from pages import with_machines
from results import ROOT, this_machine
from rich.progress import track
from rows import Row
from sections import merged_table, text_of, write
from tables import measured_cell

import sparsepass
from sparsepass.network import plain_session, runner
from sparsepass.pipeline.bench import OURS, PLAIN
from sparsepass.pipeline.first_answer import first_answer_ms
from sparsepass.runtime import session
from sparsepass.runtime.library import instruction_sets

PAGE = ROOT / "docs" / "benchmarks" / "sizes.md"
SEED = 0

INTRODUCTION = """# Benchmarks: sizes that change

`python tests/benchmarks/sizes.py`. A network with open heights and widths, at 90 % zeros and
optimized for one size, runs on random sizes in turn with the original in plain ONNX Runtime, one
thread, from the first run of both sessions on. Times are sums over all runs in seconds; the ratio
is ours over the original's. The first answer is a new session and one run at the size that the
network was optimized for, in milliseconds.
"""

Shape = tuple[int, int]


def write_text_line(path: Path) -> None:
    """Convolutions over a line of text, 32 pixels high, and a linear layer over its columns."""
    rng = np.random.default_rng(SEED)
    nodes, weights, x, channels = [], [], "input", 3
    layers = [(64, 2, 0), (128, 2, 0.9), (256, 1, 0.9), (256, 1, 0.9), (512, 2, 0.9), (512, 1, 0.9)]
    for i, (filters, stride, zeros) in enumerate(layers):
        weights.append(
            numpy_helper.from_array(pruned(rng, zeros, filters, channels, 3, 3), f"w{i}")
        )
        window = {"pads": [1] * 4, "strides": [stride] * 2}
        nodes.append(helper.make_node("Conv", [x, f"w{i}"], [f"c{i}"], **window))
        nodes.append(helper.make_node("Relu", [f"c{i}"], [f"r{i}"]))
        x, channels = f"r{i}", filters
    weights.append(numpy_helper.from_array(pruned(rng, 0.9, channels, 1000), "head"))
    nodes.append(helper.make_node("ReduceMean", [x], ["line"], axes=[2], keepdims=0))
    nodes.append(helper.make_node("Transpose", ["line"], ["steps"], perm=[0, 2, 1]))
    nodes.append(helper.make_node("MatMul", ["steps", "head"], ["y"]))
    number = onnx.TensorProto.FLOAT
    given = helper.make_tensor_value_info("input", number, [1, 3, 32, "W"])
    made = helper.make_tensor_value_info("y", number, [1, "T", 1000])
    graph = helper.make_graph(nodes, "text_line", [given], [made], weights)
    imports = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=8), path)


def pruned(rng: np.random.Generator, zeros: float, *shape: int) -> NDArray[np.float32]:
    """Normal values with the variance that keeps that of a rectified input."""
    weight = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]) / (1 - zeros))
    return (weight * (rng.random(shape) >= zeros)).astype(np.float32)


def write_open(path: Path, network: str) -> None:
    """A network of examples/networks.py with open heights and widths."""
    write_example(path, network, 90, 1)
    model = onnx.load(path)
    for dim, name in zip(model.graph.input[0].type.tensor_type.shape.dim[2:], "HW", strict=True):
        dim.dim_param = name
    del model.graph.value_info[:]
    onnx.save(model, path)


# A network, the size it is optimized for, and where heights and widths lie.
NETWORKS: Mapping[str, tuple[Callable[[Path], None], Shape, Shape, Shape]] = {
    "text line": (write_text_line, (32, 200), (32, 33), (80, 400)),
    "resnet50": (partial(write_open, network="resnet50"), (224, 224), (96, 320), (96, 320)),
    "mobilenet_v1": (partial(write_open, network="mobilenet_v1"), (224, 224), (96, 320), (96, 320)),
}


def sizes(count: int, heights: Shape, widths: Shape) -> Iterator[Shape]:
    """Random heights and widths."""
    rng = np.random.default_rng(SEED)
    for _ in range(count):
        yield int(rng.integers(*heights)), int(rng.integers(*widths))


def feed_of(size: Shape) -> dict[str, NDArray[np.float32]]:
    return {"input": np.random.default_rng(SEED).standard_normal((1, 3, *size), np.float32)}


def measure(name: str, count: int, isa: str | None) -> dict[str, str]:
    """The line of a network."""
    make, planned, heights, widths = NETWORKS[name]
    with tempfile.TemporaryDirectory() as folder:
        original, optimized = Path(folder, "model.onnx"), Path(folder, "model.sparse.onnx")
        make(original)
        shapes = {"input": (1, 3, *planned)}
        sparsepass.optimize(original, shapes=shapes, threads=1, isa=isa).save(optimized)
        makers: dict[str, Callable[[], onnxruntime.InferenceSession]] = {
            PLAIN: partial(plain_session, original, threads=1),
            OURS: partial(session, optimized, threads=1, isa=isa),
        }
        first = {
            who: min(first_answer_ms(makers[who], feed_of(planned)) for _ in "12") for who in makers
        }
        runs = {who: runner(made()) for who, made in makers.items()}
        seconds = dict.fromkeys(runs, 0.0)
        for turn, size in enumerate(track([*sizes(count, heights, widths)], name)):
            feed = feed_of(size)
            for who in [*runs][:: 1 if turn % 2 else -1]:
                started = time.perf_counter()
                runs[who](feed)
                seconds[who] += time.perf_counter() - started
    return {
        "network": name,
        "sizes": str(count),
        **{who: f"{seconds[who]:.3g}" for who in runs},
        "ratio": f"{seconds[OURS] / seconds[PLAIN]:.2f}",
        **{f"first answer, {who}": f"{first[who]:.0f}" for who in runs},
    }


def main() -> None:
    """Read the command line, measure, write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=[*NETWORKS], help="networks; default: all")
    parser.add_argument("--sizes", type=int, default=200, help="runs of each network")
    parser.add_argument("--isa", choices=instruction_sets(), help="of our kernels")
    options = parser.parse_args()
    row = Row(machine=this_machine(1, options.isa))
    lines = []
    for name in options.names:
        lines.append(measure(name, options.sizes, options.isa) | measured_cell(row))
        print(lines[-1])
    write_page(PAGE, lines, row)


def write_page(page: Path, lines: list[dict[str, str]], row: Row) -> None:
    """Write the lines into the section of the machine of ``row``."""
    tables = partial(merged_table, keys=["network"])
    write(page, with_machines(INTRODUCTION, text_of(page), 2, {row.place: lines}, tables))


if __name__ == "__main__":
    main()
