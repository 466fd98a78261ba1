"""Other engines to compare with: one row each, used where they are installed."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

__all__ = ["ENGINES", "Engine"]

Run = Callable[[], object]


@dataclass(frozen=True)
class Engine:
    """An engine: its distribution's name, and what makes a run of a model file out of it.

    ``load(path, feed, threads)`` returns a function that runs one inference; it raises whatever the
    engine raises where it cannot take the model.
    """

    name: str
    distribution: str
    load: Callable[[Path, Mapping[str, Any], int], Run]

    @property
    def version(self) -> str | None:
        """The installed version, or None."""
        try:
            return version(self.distribution)
        except PackageNotFoundError:
            return None

    def start(self, path: Path, feed: Mapping[str, Any], threads: int) -> Run | str:
        """A run of the model that has worked once, or the reason why there is none."""
        if self.version is None:
            return "not installed"
        try:
            run = self.load(path, feed, threads)
            run()
        except Exception as error:
            # What other engines raise has no base but Exception, and is no reason to stop.
            return f"does not take it: {type(error).__name__}"
        return run


def load_openvino(path: Path, feed: Mapping[str, Any], threads: int) -> Run:
    """OpenVINO at its latency settings, in float32 as the others."""
    core: Any = import_module("openvino").Core()
    model = core.read_model(str(path))
    names = [value.get_any_name() for value in model.inputs]
    model.reshape({name: list(feed[name].shape) for name in names})
    compiled = core.compile_model(
        model,
        "CPU",
        {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
            # Pinning would move the thread that also drives the other engines.
            "ENABLE_CPU_PINNING": False,
        },
    )
    request = compiled.create_infer_request()
    inputs = {name: feed[name] for name in names}
    return lambda: request.infer(inputs)


# DeepSparse ends the process on some models, so that each is tried in a process of its own.
DEEPSPARSE_TRIAL = """
import sys, deepsparse
deepsparse.compile_model(sys.argv[1], batch_size=int(sys.argv[2]), num_cores=int(sys.argv[3]))
"""


def load_deepsparse(path: Path, feed: Mapping[str, Any], threads: int) -> Run:
    """DeepSparse with as many cores as the others have threads."""
    inputs = list(feed.values())
    batch = inputs[0].shape[0]
    trial = [sys.executable, "-P", "-c", DEEPSPARSE_TRIAL, str(path), str(batch), str(threads)]
    subprocess.run(trial, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deepsparse: Any = import_module("deepsparse")
    engine = deepsparse.compile_model(str(path), batch_size=batch, num_cores=threads)
    return lambda: engine.run(inputs)


ENGINES: tuple[Engine, ...] = (
    Engine("OpenVINO", "openvino", load_openvino),
    Engine("DeepSparse", "deepsparse", load_deepsparse),
)
