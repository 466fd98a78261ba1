"""The first half of every run: import, prepare, calibrate, analyze."""

import hashlib
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from sparsepass.calibration import calibrate
from sparsepass.errors import ModelError
from sparsepass.graph import layers
from sparsepass.model import MOST_BYTES, load, to_bytes
from sparsepass.pictures import ImageTransform
from sparsepass.pipeline.prepare import prepare
from sparsepass.pipeline.stages import Progress, Studied, step
from sparsepass.samples import Samples, inputs_of, load_samples, random_samples
from sparsepass.sparsity import Stats, weight_stats

if TYPE_CHECKING:
    import torch

__all__ = ["RANDOM_SAMPLES", "SampleSource", "naming", "study"]

SampleSource = str | Path | NDArray[Any] | Mapping[str, NDArray[Any]]

# Of the samples given, this share is for statistics, the rest for verification.
CALIBRATION_SHARE = 0.5
MOST_SAMPLES = 64
RANDOM_SAMPLES = 4


def study(
    source: "str | Path | bytes | onnx.ModelProto | ir.Model | torch.nn.Module",
    *,
    samples: SampleSource | None,
    image_transform: ImageTransform | None,
    shapes: Mapping[str, Sequence[int]] | None,
    example_inputs: tuple[Any, ...] | None,
    moments: bool,
    threads: int,
    seed: int,
    progress: Progress,
    max_bytes: int = MOST_BYTES,
) -> Studied:
    """Read a network and measure where it is sparse; see ``optimize`` for the arguments."""
    done = step(progress, "reading")
    original = load(source, shapes=shapes, example_inputs=example_inputs, max_bytes=max_bytes)
    digest, size = fingerprint(original)
    prepared = original.clone()
    passes = prepare(prepared)
    found = layers(prepared, shapes)
    inputs = inputs_of(original, shapes)
    done(1, 1)
    calibration: Samples | None = None
    held_out = random_samples(inputs, seed=seed, count=RANDOM_SAMPLES)
    if samples is not None:
        given = load_samples(
            samples, inputs, limit=MOST_SAMPLES, transform=image_transform, seed=seed
        )
        calibration = held_out = given
        if len(given) > 1:
            calibration, held_out = given.split(CALIBRATION_SHARE)
    if calibration is None:
        done = step(progress, "analyzing weights")
        stats = {}
        for count, layer in enumerate(found.layers, start=1):
            stats[layer.name] = Stats(weight_stats(layer))
            done(count, len(found.layers))
    else:
        stats = calibrate(
            prepared,
            found.layers,
            calibration,
            lossy=moments,
            progress=step(progress, "running samples"),
            threads=threads,
            seed=seed,
        )
    return Studied(
        original, prepared, name_of(source, original), digest, size, passes, found, inputs, stats,
        calibration, held_out, seed,
    )  # fmt: skip


def fingerprint(model: ir.Model) -> tuple[str, int]:
    """The SHA-256 of a model's file and its size in bytes; raises ModelError above 2 GiB."""
    try:
        content = to_bytes(model)
    except ModelError as error:
        raise ModelError(
            "more than 2 GiB of weights, and a session takes no more from memory; split the model"
        ) from error
    return hashlib.sha256(content).hexdigest(), len(content)


def name_of(source: object, model: ir.Model) -> str:
    """What reports call the model."""
    if isinstance(source, str | Path):
        return Path(source).name
    return model.graph.name or type(source).__name__


@contextmanager
def naming(source: object) -> Generator[None]:
    """Let errors about a model that do not say which one begin with its path."""
    try:
        yield
    except ModelError as error:
        if not isinstance(source, str | Path) or str(source) in str(error):
            raise
        raise ModelError(f"{source}: {error}") from error
