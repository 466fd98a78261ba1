"""The tables and plots of the pages, from the rows of one machine and what its section had."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from chart import speedup_chart
from results import slug
from rows import KernelRow, LayerRow, NetworkRow, PeerRow, Row
from sections import MEASURED, lines_of, merged, merged_table, under, write

from sparsepass.pipeline.bench import OURS, PLAIN
from sparsepass.report.markdown import table
from sparsepass.report.schema import Engine
from sparsepass.report.units import count, factor, microseconds, percent, printable

# Sparsity, batch and threads of the networks that docs/benchmarks/layers.md shows.
LAYERS_AT = (90, 1, 1)


def measured_cell(row: Row) -> dict[str, str]:
    """When and with what a row was measured, as a cell."""
    machine = row.machine
    return {MEASURED: f"{row.day}, {machine.cores} cores, ORT {machine.onnxruntime}"}


def peer_table(old: str, rows: Sequence[PeerRow]) -> str:
    """One line per model and input: milliseconds of each engine and how it compares."""
    lines = [
        {"model": name} | engine_cells(engines) | {"layers": layers_text(row)} | measured_cell(row)
        for row in rows
        for name, engines in row.runs.items()
    ]
    return merged_table(old, lines, ["model"])


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


def network_tables(folder: Path, old: str, rows: Sequence[NetworkRow]) -> str:
    """A plot and a table for each batch and number of threads of a machine."""
    before, settings = under(old, 4), defaultdict(list)
    for row in rows:
        settings[row.batch, row.machine.threads].append(row)
    found = {}
    for (batch, threads), of_setting in sorted(settings.items()):
        title = f"Batch {batch}, {threads} thread{'s' * (threads > 1)}"
        lines = [network_cells(row) for row in of_setting]
        text = merged_table(before.get(title, ""), lines, ["network", "zeros"], order=by_zeros)
        plot = f"{slug(rows[0].place)}-b{batch}-t{threads}.svg"
        heading = f"{title}: speed-up over plain ONNX Runtime"
        write(folder / plot, speedup_chart(heading, speedups(lines_of(text))))
        found[title] = f"![{heading}](benchmarks/{plot})\n\n{text}"
    return merged(old, 4, found)


def by_zeros(line: Mapping[str, str]) -> tuple[str, int]:
    return line["network"], int(line["zeros"].removesuffix(" %"))


def speedups(lines: Sequence[Mapping[str, str]]) -> dict[str, list[tuple[int, float]]]:
    """Zeros in percent and speed-up of the lines of each network."""
    found = defaultdict(list)
    for line in lines:
        network, zeros = by_zeros(line)
        found[network].append((zeros, float(line["speed-up"].removesuffix("x"))))
    return found


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
        **measured_cell(row),
    }


def layer_tables(old: str, rows: Sequence[NetworkRow]) -> str:
    """A table for each network of a machine, as ``LAYERS`` says."""
    found = {}
    for row in sorted(rows, key=lambda row: row.network):
        if (row.sparsity, row.batch, row.machine.threads) == LAYERS_AT:
            cells = [layer_cells(layer, row.peak_gflops) for layer in row.layers]
            found[row.network] = f"Measured on {measured_cell(row)[MEASURED]}.\n\n{table(cells)}"
    return merged(old, 3, found)


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


def kernel_tables(old: str, rows: Sequence[KernelRow]) -> str:
    """A table for each network and shares of zeros."""
    before, lines = under(old, 3), defaultdict(list)
    for row in rows:
        title = (
            f"{row.network}, {row.weight_zeros:.0%} of the weights "
            f"and {row.input_zeros:.0%} of the inputs zero"
        )
        lines[title].append(kernel_cells(row))
    keys = ["layer", "algorithm"]
    found = {k: merged_table(before.get(k, ""), v, keys) for k, v in lines.items()}
    return merged(old, 3, found)


def kernel_cells(row: KernelRow) -> dict[str, str]:
    return {
        "layer": row.layer,
        "shape": row.shape,
        "algorithm": row.algorithm,
        "us": microseconds(row.microseconds),
        "dense GFLOP/s": f"{row.dense_gflops:.0f}",
        "done GFLOP/s": f"{row.gflops:.0f}",
        "of peak": percent(row.gflops / row.peak_gflops),
        **measured_cell(row),
    }
