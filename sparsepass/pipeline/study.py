"""The first half of every run: import, prepare, calibrate, analyze."""

import math
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import onnx
import onnx_ir as ir

from sparsepass.calibration import calibrate, expose
from sparsepass.errors import ModelError
from sparsepass.graph import UNKNOWN_SHAPE, Layers, Skipped, layers
from sparsepass.layer import Layer
from sparsepass.model import load, to_bytes
from sparsepass.network import plain_session, runner
from sparsepass.pipeline.judging import judged
from sparsepass.pipeline.prepare import prepare, prepare_exactly
from sparsepass.pipeline.stages import Prepared, Studied, Unproven
from sparsepass.run import RunOptions
from sparsepass.runtime.library import target as target_here
from sparsepass.samples import (
    InputSpec,
    Samples,
    inputs_of,
    load_samples,
    random_samples,
    refuse_input,
)
from sparsepass.shapes import Inferred, infer, open_inputs, open_sizes, real_inputs
from sparsepass.sparsity import Stats, weight_stats
from sparsepass.target import Target
from sparsepass.verify import compare

if TYPE_CHECKING:
    import torch

__all__ = ["proven", "read", "samples_for", "study", "working_on"]

# Older opsets are not what ONNX Runtime promises to run.
OLDEST_OPSET = 7

# Of the samples given, this share at least is for statistics, the rest for verification.
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
    target: Target | None = None,
) -> Studied | Unproven:
    """Read a network and measure where it is sparse, or say why nothing can be measured.

    It will run on ``target``, or here.
    """
    prepared, there = read(source, options, example_inputs), target or target_here(options.isa)
    if isinstance(prepared, Unproven):
        return prepared
    found = prepared.found.layers
    most, rest = most_samples(found, options)
    given = samples_for(prepared.inputs, options, most + rest)
    if options.samples is None:
        return Studied(prepared, weights_of(found, options), None, given, there)
    given, warning = judged(prepared, given, options)
    fitted, held_out = parts_of(given, most, rest)
    stats = calibrate(prepared.model, found, fitted, options, lossy=options.lossy)
    return Studied(prepared, stats, fitted, held_out, there, tuple(filter(None, [warning])))


def parts_of(given: Samples, most: int, rest: int) -> tuple[Samples, Samples]:
    """Samples for statistics, at most ``most``, and held out, ``rest`` where that is half of them.

    A single one is for both.
    """
    if len(given) == 1:
        return given, given
    return given.split(max(CALIBRATION_SHARE, 1 - rest / len(given)), most)


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
) -> Prepared | Unproven:
    """Read a network and clean it, see ``prepare``; ``example_inputs`` go with a torch module.

    Unproven is one that nothing can be fed to, for open sizes too.
    """
    done = options.step("reading")
    original = load(
        source, shapes=options.shapes, example_inputs=example_inputs, max_bytes=options.max_bytes
    )
    name, content = name_of(source, original), content_of(original)
    reason = unfed(original, options)
    if reason is not None:
        # What ONNX Runtime does not load is broken, not only unproven.
        plain_session(content, threads=options.threads)
        done(1, 1)
        return unproven(name, original, content, reason)
    model = original.clone()
    passes = prepare(model, keep_layers=options.pruning)
    known = infer(model, options.shapes)
    found = layers(model, known)
    done(1, 1)
    inputs = inputs_of(original, options.shapes)
    if any(node.reason == UNKNOWN_SHAPE for node in found.skipped):
        known = seen(model, known, samples_for(inputs, options, RANDOM_SAMPLES), options)
        found = layers(model, known)
    return Prepared(name, original, content, model, passes, inputs, known, found)


def unfed(model: ir.Model, options: RunOptions) -> str | None:
    """Why a network is left as it is before anything else is known of it, or None."""
    opset = model.opset_imports[""]
    if opset < OLDEST_OPSET:
        return f"opset {opset} is older than {OLDEST_OPSET}; convert it to opset 17 to gain more"
    reasons = [*map(refuse_input, real_inputs(model.graph))]
    reasons += map(open_sizes, open_inputs(model, options.shapes))
    return next(filter(None, reasons), None)


def seen(model: ir.Model, known: Inferred, samples: Samples, options: RunOptions) -> Inferred:
    """``known``, with the largest sizes that values of unknown ones have in a run of samples.

    Nothing is added where the network does not run on them.
    """
    sizes: dict[str, tuple[int, ...]] = {}
    try:
        run = expose(model, unsized_values(model, known), options.threads)
        for feed in samples:
            for name, value in run(feed).items():
                if isinstance(value, np.ndarray):
                    shape = np.shape(cast(Any, value))
                    sizes[name] = max(shape, sizes.get(name, shape), key=math.prod)
    except ModelError:
        return known
    return replace(known, sizes={**sizes, **known.sizes})


def unsized_values(model: ir.Model, known: Inferred) -> list[str]:
    """The tensors of the main graph whose sizes depend on more than those of the inputs."""
    made = [value for node in model.graph for value in node.outputs if value.name]
    names = [v.name or "" for v in made if v.name not in known.sizes]
    return [n for n in names if n in known.values and may_be_tensor(known.values[n])]


def may_be_tensor(value: ir.Value) -> bool:
    """Operators of other domains may leave the type open; ONNX Runtime knows it."""
    return value.type is None or isinstance(value.type, ir.TensorType)


def unproven(name: str, original: ir.Model, content: bytes, reason: str) -> Unproven:
    """The network after passes that are exact by construction; its layers stay as they are.

    Where it has no convolution and no product at all, that is the reason.
    """
    model = original.clone()
    passes = prepare_exactly(model)
    known = infer(model)
    found = layers(model, known)
    kept = (*found.skipped, *(Skipped(x.name, x.op_type, reason) for x in found.layers))
    prepared = Prepared(name, original, content, model, passes, (), known, Layers((), kept))
    return Unproven(prepared, reason if kept else found.absence or reason)


def proven(studied: Studied, options: RunOptions) -> Studied | Unproven:
    """What was studied, unless outputs cannot be compared.

    The original does not run on the noise that stands for samples, or gives nothing that can be
    compared.  Raises ModelError where it does not run on the samples that were given.
    """
    prepared = studied.prepared
    run = runner(plain_session(prepared.content, threads=options.threads))
    first = studied.held_out.take(1)
    try:
        # Noise may fit the network in one draw and not in another.
        found = compare(run, run, studied.held_out if options.samples is None else first)
    except ModelError as error:
        if options.samples is not None:
            raise
        reason = f"it does not run on random numbers, give --samples ({error})"
    else:
        if found.outputs and found.repeats:
            return studied
        reason = "its outputs are other ones each time" if found.outputs else "it has no outputs"
    return unproven(prepared.name, prepared.original, prepared.content, reason)


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
def working_on(source: object) -> Generator[None]:
    """Let errors about a model that do not say which one begin with its path.

    Its numbers may be infinite or none: what comes of them is compared, and not warned of.
    """
    try:
        with np.errstate(all="ignore"):
            yield
    except ModelError as error:
        if not isinstance(source, str | Path) or str(source) in str(error):
            raise
        raise ModelError(f"{source}: {error}") from error
