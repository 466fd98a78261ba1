"""The pages of docs: what was measured so far, as tables and plots."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from chart import speedup_chart
from results import FOLDER, ROOT, Results
from rows import KernelRow, LayerRow, NetworkRow, PeerRow, Row

from sparsepass.pipeline.bench import OURS, PLAIN
from sparsepass.report.markdown import table
from sparsepass.report.schema import Engine
from sparsepass.report.units import count, factor, microseconds, percent, printable

DOCS = ROOT / "docs"
# Sparsity, batch and threads of the networks that docs/benchmarks/layers.md shows.
LAYERS_AT = (90, 1, 1)

INTRODUCTION = """# Benchmarks

Written by `make bench`, which takes hours and goes on where it was interrupted; the scripts of
`tests/benchmarks` measure parts. Times are medians of one inference in milliseconds. Engines take
turns in one process, so that ratios hold where the machine drifts. Plain ONNX Runtime gets the
network as it came; a speed-up is its time over the other's. Two threads are slower for everyone,
and for sparsepass most, while a hypervisor keeps the two cores on different last-level caches: in
the rows in which ResNet-50 takes 42 ms instead of 38 without sparsepass.
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
done ones those that are left. The peak is measured on registers, with as many threads.
"""
LAYERS = """# Benchmarks: layers

`python tests/benchmarks/sweep.py`, at 90 % zeros, batch 1 and one thread;
`build/benchmarks/networks.json` has all rows. Microseconds inside the network, from ONNX Runtime's
profile. Dense GFLOP/s count the multiply-adds of the dense layer, done ones those that the
algorithm is left with.
"""
KERNELS = """# Benchmarks: kernels

`PYTHONPATH=tests/runtime python tests/benchmarks/kernels.py`. Every algorithm of the native
library, called without ONNX Runtime on one thread: weight packed before, layout as in ONNX. GFLOP/s
of the dense layer, and of what the algorithm is left to do by the counts that it is priced with;
the peak is measured on registers.
"""
KERNELS_LINK = """
## Kernels

Each algorithm without ONNX Runtime: [kernels](benchmarks/kernels.md).
"""


def write_pages(results: Path = FOLDER, docs: Path = DOCS) -> None:
    """Write docs/benchmarks.md and what it links to from the rows measured so far."""
    networks = list(Results(results / "networks.json", NetworkRow).rows.values())
    peers = list(Results(results / "peers.json", PeerRow).rows.values())
    kernels = list(Results(results / "kernels.json", KernelRow).rows.values())
    folder = docs / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    text = INTRODUCTION
    if peers:
        text += PEERS + peer_table(peers) + provenance(peers)
    if networks:
        text += NETWORKS + network_sections(networks, folder) + provenance(networks)
        text += "\nLayer by layer: [layers](benchmarks/layers.md).\n"
        write(folder / "layers.md", LAYERS + layer_sections(networks) + provenance(networks))
    if kernels:
        text += KERNELS_LINK
        write(folder / "kernels.md", KERNELS + kernel_sections(kernels) + provenance(kernels))
    write(docs / "benchmarks.md", text)


def write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def provenance(rows: Sequence[Row]) -> str:
    """Where and when ``rows`` were measured, one line for each machine."""
    days = defaultdict(set)
    for row in rows:
        machine = row.machine
        days[
            f"{machine.cpu}, {machine.cores} cores, {machine.isa}, "
            f"ONNX Runtime {machine.onnxruntime}"
        ].add(row.day)
    listed = (f"{machine}; {' to '.join(span(found))}" for machine, found in days.items())
    return "\nMeasured on " + " and on ".join(listed) + ".\n"


def span(days: Iterable[str]) -> list[str]:
    return sorted({min(days), max(days)})


def peer_table(rows: Sequence[PeerRow]) -> str:
    """One line per model and input: milliseconds of each engine and how it compares."""
    lines = []
    for row in rows:
        for name, engines in row.runs.items():
            lines.append({"model": name} | engine_cells(engines) | {"layers": layers_text(row)})
    return table(lines)


def engine_cells(engines: Sequence[Engine]) -> dict[str, str]:
    plain = next(engine.latency for engine in engines if engine.name == PLAIN)
    cells = {}
    for engine in engines:
        cells[engine.name] = engine.absent
        if engine.latency:
            speedup = factor(plain.median_ms / engine.latency.median_ms)
            beside = "" if engine.name == PLAIN else f" ({speedup})"
            cells[engine.name] = f"{engine.latency.median_ms:.3g}{beside}"
    return cells


def layers_text(row: PeerRow) -> str:
    return ", ".join(f"{number} {name}" for name, number in row.algorithms.items())


def network_sections(rows: Sequence[NetworkRow], folder: Path) -> str:
    """A plot and a table for each batch and number of threads."""
    settings = defaultdict(list)
    for row in rows:
        settings[row.batch, row.machine.threads].append(row)
    text = ""
    for (batch, threads), found in sorted(settings.items()):
        title = f"Batch {batch}, {threads} thread{'s' * (threads > 1)}"
        lines = defaultdict(list)
        for row in sorted(found, key=lambda row: row.network):
            lines[row.network].append((row.sparsity, row.speedup))
        plot = f"speedup-b{batch}-t{threads}.svg"
        heading = f"{title}: speed-up over plain ONNX Runtime"
        write(folder / plot, speedup_chart(heading, lines))
        text += f"\n### {title}\n\n![{heading}](benchmarks/{plot})\n\n"
        ordered = sorted(found, key=lambda row: (row.network, row.sparsity))
        text += table(map(network_cells, ordered))
    return text


def network_cells(row: NetworkRow) -> dict[str, str]:
    dense = 2e-6 * sum(layer.dense_macs for layer in row.layers) / row.after.median_ms
    done = 2e-6 * sum(layer.macs for layer in row.layers) / row.after.median_ms
    return {
        "network": row.network,
        "zeros": f"{row.sparsity} %",
        PLAIN: f"{row.before.median_ms:.4g}",
        OURS: f"{row.after.median_ms:.4g}",
        "p10 to p90": f"{row.after.p10_ms:.4g} to {row.after.p90_ms:.4g}",
        "speed-up": f"{row.speedup:.2f}x",
        "dense GFLOP/s": f"{dense:.0f}",
        "done GFLOP/s": f"{done:.0f}",
        "of peak": percent(done / row.peak_gflops),
    }


def layer_sections(rows: Sequence[NetworkRow]) -> str:
    """A table for each network, as ``LAYERS`` says."""
    text = ""
    for row in sorted(rows, key=lambda row: row.network):
        if (row.sparsity, row.batch, row.machine.threads) == LAYERS_AT:
            text += f"\n## {row.network}\n\n"
            text += table(layer_cells(layer, row.peak_gflops) for layer in row.layers)
    return text


def layer_cells(layer: LayerRow, peak: float) -> dict[str, str]:
    done = 2e-3 * layer.macs / layer.after_us
    return {
        "layer": printable(layer.name),
        "shape": layer.shape,
        "zeros": percent(layer.zeros),
        "algorithm": layer.algorithm,
        "MACs": count(layer.dense_macs),
        "before us": microseconds(layer.before_us),
        "after us": microseconds(layer.after_us),
        "speed-up": factor(layer.before_us / layer.after_us),
        "dense GFLOP/s": f"{2e-3 * layer.dense_macs / layer.after_us:.0f}",
        "done GFLOP/s": f"{done:.0f}",
        "of peak": percent(done / peak),
    }


def kernel_sections(rows: Sequence[KernelRow]) -> str:
    """A table for each network and shares of zeros, with columns for each instruction set."""
    lines = defaultdict(dict)
    for row in rows:
        section = (
            f"{row.network}, {row.weight_zeros:.0%} of the weights "
            f"and {row.input_zeros:.0%} of the inputs zero"
        )
        cells = lines[section].setdefault((row.layer, row.algorithm), kernel_cells(row))
        cells |= kernel_rates(row)
    return "".join(
        f"\n## {section}\n\n" + table(found.values()) for section, found in lines.items()
    )


def kernel_cells(row: KernelRow) -> dict[str, str]:
    return {"layer": row.layer, "shape": row.shape, "algorithm": row.algorithm}


def kernel_rates(row: KernelRow) -> dict[str, str]:
    return {
        f"{row.isa} us": microseconds(row.microseconds),
        f"{row.isa} dense": f"{row.dense_gflops:.0f}",
        f"{row.isa} done": f"{row.gflops:.0f}",
        f"{row.isa} of peak": percent(row.gflops / row.peak_gflops),
    }
