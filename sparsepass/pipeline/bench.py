"""A network in every engine there is, in one process, in turn."""

import math
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import onnxruntime
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, TypeAdapter

from sparsepass.errors import UsageError
from sparsepass.files import write_text
from sparsepass.model import load
from sparsepass.network import Run, plain_session, runner
from sparsepass.pipeline.assemble import latency
from sparsepass.pipeline.study import samples_for, working_on
from sparsepass.report.schema import Engine
from sparsepass.run import RunOptions
from sparsepass.runtime.engines import ENGINES
from sparsepass.runtime.engines import Engine as Peer
from sparsepass.runtime.session import session
from sparsepass.runtime.timing import interleave
from sparsepass.samples import inputs_of

__all__ = ["OURS", "PLAIN", "Row", "compare_engines", "save_rows"]

PLAIN, OURS = "ONNX Runtime", "sparsepass"


class Row(BaseModel):
    """One engine's times; ``speedup`` is the median of plain ONNX Runtime over its own."""

    model_config = ConfigDict(frozen=True)

    engine: Engine
    speedup: float | None = None

    def cells(self) -> dict[str, str]:
        """The row as text for a table."""
        engine, times = self.engine, self.engine.latency
        if times is None or self.speedup is None:
            empty = dict.fromkeys(("median ms", "p10 ms", "p90 ms"), "-")
            about = {"engine": engine.name, "version": engine.version}
            return about | empty | {"speed-up": engine.absent}
        return {
            "engine": engine.name,
            "version": engine.version,
            "median ms": f"{times.median_ms:.2f}",
            "p10 ms": f"{times.p10_ms:.2f}",
            "p90 ms": f"{times.p90_ms:.2f}",
            "speed-up": f"{self.speedup:.2f}x",
        }


def compare_engines(
    original: Path,
    optimized: Path,
    options: RunOptions,
    *,
    seconds: float,
    peers: Sequence[Peer] = ENGINES,
) -> list[Row]:
    """Time ``original`` in plain ONNX Runtime and ``peers``, ``optimized`` with our library."""
    if not 0 < seconds < math.inf:
        raise UsageError(f"{seconds} seconds of timing make no sense; give a number above 0")
    threads = options.threads
    with working_on(original):
        inputs = inputs_of(load(original, shapes=options.shapes), options.shapes)
        feed = samples_for(inputs, options, limit=1)[0]
        plain = bound_run(runner(plain_session(original, threads=threads)), feed)
        plain()
    with working_on(optimized):
        ours = bound_run(runner(session(optimized, threads=threads, isa=options.isa)), feed)
        ours()
    runs: dict[str, Callable[[], object]] = {PLAIN: plain, OURS: ours}
    versions = {PLAIN: onnxruntime.__version__, OURS: version("sparsepass")}
    absent: dict[str, str] = {}
    for peer in peers:
        run = peer.start(original, feed, threads)
        versions[peer.name] = peer.version or ""
        if isinstance(run, str):
            absent[peer.name] = run
        else:
            runs[peer.name] = run
    progress = options.step("timing engines")
    found = interleave(list(runs.values()), seconds=seconds, progress=progress)
    timings = dict(zip(runs, found, strict=True))
    rows = [
        Row(
            engine=Engine(name=name, version=versions[name], latency=latency(timing)),
            speedup=timings[PLAIN].median_ms / timing.median_ms,
        )
        for name, timing in timings.items()
    ]
    return rows + [
        Row(engine=Engine(name=name, version=versions[name], absent=reason))
        for name, reason in absent.items()
    ]


def save_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write ``rows`` as JSON; raises UsageError where ``path`` cannot be written."""
    write_text(path, TypeAdapter(Sequence[Row]).dump_json(rows, indent=2).decode() + "\n")


def bound_run(run: Run, feed: Mapping[str, NDArray[Any]]) -> Callable[[], object]:
    return lambda: run(feed)
