"""Whether advice comes true: prune networks as advised, and time what becomes of them.

    python tests/benchmarks/advice.py resnet50

Each network is analyzed, pruned by magnitude (in the layers that the advice names first, and
everywhere as on its curve), optimized, and timed against plain ONNX Runtime: the table has the
speed-ups that were predicted and measured.  Names select the networks that contain one of them;
none selects all.  Networks of ../shared are left out where it is absent.
"""

import argparse
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx_ir as ir
from cases import Case, example, real
from results import ROOT

from sparsepass import analyze, optimize
from sparsepass.advice import Advice
from sparsepass.calibration import nodes_of
from sparsepass.cli.console import output, progress_bars
from sparsepass.pipeline.stages import Studied
from sparsepass.pipeline.study import study
from sparsepass.pruning import rank
from sparsepass.report.markdown import table
from sparsepass.run import Progress, RunOptions

EVERYWHERE = (80, 90)


def networks() -> Iterator[Case]:
    """One of many kinds of layers, and a small real one."""
    yield example("resnet50", 0, 1, 1)
    if (ROOT.parent / "shared").is_dir():
        yield real("mobilenet-edgetpu-0.75-224-imagenet")


def rows_of(case: Case, progress: Progress) -> Iterator[Mapping[str, object]]:
    """What was predicted and measured for a network, pruned in each of the ways."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        case.write(path)
        studied = study(path, RunOptions(threads=case.threads))
        advice = analyze(path, threads=case.threads, progress=progress).advice
    assert advice is not None
    for name, (zeros, predicted) in prunings(studied, advice).items():
        report = optimize(pruned(studied, zeros), threads=case.threads, progress=progress).report
        assert report.network is not None
        before, measured = report.network.before.median_ms, report.network.speedup
        yield {
            "network": case.name,
            "pruned": name,
            "ONNX Runtime predicted ms": advice.dense_us / 1e3,
            "measured ms": before,
            "speed-up predicted": predicted,
            "measured": measured,
            "error": f"{predicted / measured - 1:+.1%}",
        }


def prunings(studied: Studied, advice: Advice) -> dict[str, tuple[dict[str, int], float]]:
    """Percent of zeros of each layer, and the predicted speed-up, by the name of a pruning."""
    last = advice.first[-1]
    first = {layer.layer: round(100 * layer.zeros) for layer in advice.first}
    everywhere = [
        layer.name
        for layer in studied.layers
        if layer.name not in advice.kept and not layer.is_depthwise
    ]
    (curve,) = [curve for curve in advice.curves if curve.batch == 1]
    found = {f"{len(first)} first": (first, advice.dense_us / last.network_us)}
    for point in curve.points:
        if (zeros := round(100 * point.zeros)) in EVERYWHERE:
            found[f"{zeros} % everywhere"] = dict.fromkeys(everywhere, zeros), point.speedup
    return found


def pruned(studied: Studied, zeros: Mapping[str, int]) -> ir.Model:
    """The clean network with ``zeros`` percent of the smallest weights of some layers gone."""
    model = studied.prepared.model.clone()
    nodes = nodes_of(model, studied.layers)
    for layer in studied.layers:
        if layer.name not in zeros:
            continue
        value = nodes[layer.name].inputs[1]
        assert value is not None
        assert value.const_value is not None
        weight = value.const_value.numpy()
        mask = rank(layer.weight).mask(zeros[layer.name])
        # A product may have its weight the other way round.
        mask = mask if weight.shape == mask.shape else mask.T
        value.const_value = ir.tensor(weight * mask.astype(np.float32), name=value.name)
    return model


def main() -> None:
    """Read the command line, measure, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="parts of names of networks; default: all")
    names = parser.parse_args().names
    chosen = [c for c in networks() if not names or any(part in c.name for part in names)]
    with progress_bars(quiet=False) as progress:
        rows = [row for case in chosen for row in rows_of(case, progress)]
    output.print(table(rows), soft_wrap=True, end="", markup=False)


if __name__ == "__main__":
    main()
