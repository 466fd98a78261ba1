"""The first half of every run: import, prepare, calibrate, analyze."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
import onnx_ir as ir

from sparsepass.calibration import calibrate
from sparsepass.errors import ModelError
from sparsepass.graph import layers
from sparsepass.layer import Layer
from sparsepass.model import load, to_bytes
from sparsepass.pipeline.judging import judged
from sparsepass.pipeline.prepare import prepare
from sparsepass.pipeline.stages import Prepared, Studied
from sparsepass.run import RunOptions
from sparsepass.runtime.library import target
from sparsepass.samples import InputSpec, Samples, inputs_of, load_samples, random_samples
from sparsepass.shapes import infer
from sparsepass.sparsity import Stats, weight_stats

if TYPE_CHECKING:
    import torch

__all__ = ["naming", "read", "samples_for", "study"]

# Of the samples given, this share is for statistics, the rest for verification.
CALIBRATION_SHARE = 0.5
MOST_SAMPLES = 64
RANDOM_SAMPLES = 4
# Lossy plans get more of both parts, or weights would fit these samples alone and a lost answer in
# a hundred would not be seen; but no more than a run of so many multiply-adds takes.
MOST_FITTED, MOST_HELD_OUT, MOST_ANSWERS = 256, 128, 1024
MOST_MACS, MOST_MACS_OF_ANSWERS = 1e12, 4e12


def study(
    source: "str | Path | bytes | onnx.ModelProto | ir.Model | torch.nn.Module",
    options: RunOptions,
    example_inputs: tuple[Any, ...] | None = None,
) -> Studied:
    """Read a network and measure where it is sparse."""
    prepared, here = read(source, options, example_inputs), target(options.isa)
    found = prepared.found.layers
    most, rest = most_samples(found, options)
    given = samples_for(prepared.inputs, options, most + rest)
    if options.samples is None:
        return Studied(prepared, weights_of(found, options), None, given, here)
    given, warning = judged(prepared, given, options)
    fitted, held_out = given.split(CALIBRATION_SHARE, most) if len(given) > 1 else (given, given)
    stats = calibrate(prepared.model, found, fitted, options, lossy=options.lossy)
    return Studied(prepared, stats, fitted, held_out, here, tuple(filter(None, [warning])))


def most_samples(found: Sequence[Layer], options: RunOptions) -> tuple[int, int]:
    """How many samples are worth their time: for statistics, and held out."""
    few = MOST_SAMPLES // 2
    if not options.lossy:
        return few, few
    macs = max(1, sum(layer.macs for layer in found))
    fitted, held_out = (
        min(most, max(few, int(limit / macs)))
        for most, limit in (
            (MOST_FITTED, MOST_MACS),
            (MOST_HELD_OUT, MOST_MACS)
            if options.max_drop is None
            else (MOST_ANSWERS, MOST_MACS_OF_ANSWERS),
        )
    )
    return fitted, held_out


def read(
    source: "str | Path | bytes | onnx.ModelProto | ir.Model | torch.nn.Module",
    options: RunOptions,
    example_inputs: tuple[Any, ...] | None = None,
) -> Prepared:
    """Read a network and clean it, see ``prepare``; ``example_inputs`` go with a torch module."""
    done = options.step("reading")
    original = load(
        source, shapes=options.shapes, example_inputs=example_inputs, max_bytes=options.max_bytes
    )
    content = content_of(original)
    model = original.clone()
    passes = prepare(model, keep_layers=options.pruning)
    known = infer(model, options.shapes)
    found = layers(model, known)
    inputs = inputs_of(original, options.shapes)
    done(1, 1)
    name = name_of(source, original)
    return Prepared(name, original, content, model, passes, inputs, known, found)


def samples_for(
    inputs: Sequence[InputSpec], options: RunOptions, limit: int | None = None
) -> Samples:
    """The samples that a run was given, or a few of noise; at most ``limit``."""
    if options.samples is None:
        count = min(RANDOM_SAMPLES, limit or RANDOM_SAMPLES)
        return random_samples(inputs, seed=options.seed, count=count)
    return load_samples(
        options.samples,
        inputs,
        limit=limit,
        transform=options.image_transform,
        labels=options.labels,
        seed=options.seed,
    )


def content_of(model: ir.Model) -> bytes:
    """The file of a model; raises ModelError above 2 GiB."""
    try:
        return to_bytes(model)
    except ModelError as error:
        raise ModelError(
            "more than 2 GiB of weights, and a session takes no more from memory; split the model"
        ) from error


def weights_of(found: Sequence[Layer], options: RunOptions) -> dict[str, Stats]:
    """Statistics of the weights alone."""
    done = options.step("analyzing weights")
    stats: dict[str, Stats] = {}
    for count, layer in enumerate(found, start=1):
        stats[layer.name] = Stats(weight_stats(layer))
        done(count, len(found))
    return stats


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
