"""A network in every engine there is, in one process, in turn."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnxruntime
from pydantic import BaseModel, ConfigDict

from sparsepass.model import load
from sparsepass.pictures import ImageTransform
from sparsepass.pipeline.assemble import latency
from sparsepass.pipeline.stages import Progress, step
from sparsepass.pipeline.study import SampleSource
from sparsepass.report.schema import Engine
from sparsepass.runtime.engines import ENGINES
from sparsepass.runtime.session import plain_session, session
from sparsepass.runtime.timing import interleave
from sparsepass.samples import inputs_of, load_samples, random_samples

__all__ = ["Row", "compare_engines"]

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
            return {
                "engine": engine.name, "version": engine.version, "median ms": "-", "p10 ms": "-",
                "p90 ms": "-", "speed-up": engine.absent,
            }  # fmt: skip
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
    *,
    threads: int,
    shapes: Mapping[str, Sequence[int]],
    samples: SampleSource | None,
    image_transform: ImageTransform | None,
    seconds: float,
    seed: int,
    progress: Progress,
) -> list[Row]:
    """Time ``original`` in plain ONNX Runtime and the other engines, ``optimized`` with our library."""
    inputs = inputs_of(load(original, shapes=shapes), shapes)
    given = (
        random_samples(inputs, seed=seed, count=1)
        if samples is None
        else load_samples(samples, inputs, limit=1, transform=image_transform, seed=seed)
    )
    feed = given[0]
    runs: dict[str, Callable[[], object]] = {
        PLAIN: session_run(plain_session(original, threads=threads), feed),
        OURS: session_run(session(optimized, threads=threads), feed),
    }
    absent: dict[str, str] = {}
    for engine in ENGINES:
        if engine.version is None:
            absent[engine.name] = "not installed"
            continue
        try:
            runs[engine.name] = engine.load(original, feed, threads)
            runs[engine.name]()
        except Exception as error:  # noqa: BLE001 - engines share no exception but this
            runs.pop(engine.name, None)
            absent[engine.name] = f"does not take it: {type(error).__name__}"
    timings = interleave(runs, seconds=seconds, progress=step(progress, "timing engines"))
    versions = {PLAIN: onnxruntime.__version__, OURS: onnxruntime.__version__}
    versions |= {engine.name: engine.version or "" for engine in ENGINES}
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


def session_run(opened: Any, feed: Mapping[str, Any]) -> Callable[[], object]:
    names = {value.name for value in opened.get_inputs()}
    taken = {name: value for name, value in feed.items() if name in names}
    return lambda: opened.run(None, taken)
