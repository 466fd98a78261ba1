"""Which answers are right: labels that fit the network's classes, or the network's own answers."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparsepass.answers import class_rows
from sparsepass.errors import UsageError
from sparsepass.network import Run, plain_session, runner
from sparsepass.pipeline.stages import Prepared
from sparsepass.report.schema import PairedAnswers
from sparsepass.run import RunOptions
from sparsepass.samples import Samples

__all__ = ["judged", "too_few"]

# Enough to tell the answers of a trained network from those of chance.
JUDGED_SAMPLES = 64

# Classes are counted from 0, from 1, or with one for the background in front.
SHIFTS = {1: "one higher", -1: "one lower"}

AGREEMENT = "agreement with the original is judged instead"


def judged(prepared: Prepared, samples: Samples, options: RunOptions) -> tuple[Samples, str]:
    """``samples`` with the labels that answers are judged by, and what the user should know.

    Labels that do not fit the classes of the first output are an error where they were given; where
    they were read off folders, they are left out.  Raises UsageError where a drop is limited and
    the network gives no answers.
    """
    if not options.lossy and options.labels is None:
        return replace(samples, labels=None), ""
    run = runner(plain_session(prepared.content, threads=options.threads))
    first = rows_of(run, samples, 0)
    if first is None and (options.max_drop is not None or options.labels is not None):
        raise UsageError(
            f"{prepared.name}: no output has a row of classes for each image; "
            "limit the error with --max-error instead"
        )
    if first is None or samples.labels is None:
        return replace(samples, labels=None), ""
    reason = misfit(run, samples, first.shape, options)
    if reason and options.labels is not None:
        source = options.labels if isinstance(options.labels, str | Path) else "labels"
        raise UsageError(f"{source}: {reason}")
    if reason:
        warning = f"{samples.source}: folders are no classes: {reason}; {AGREEMENT}"
        return replace(samples, labels=None), warning if options.max_drop is not None else ""
    return samples, ""


def misfit(run: Run, samples: Samples, shape: tuple[int, ...], options: RunOptions) -> str | None:
    """Why labels are not those of a network that gives ``shape``, or None."""
    assert samples.labels is not None
    images, classes = shape
    highest, different = max(samples.labels), len(set(samples.labels))
    if images != samples.batch:
        return f"the network gives {images} answers for {samples.batch} images"
    if highest >= classes:
        return f"label {highest} is none of the network's {classes} classes, 0 to {classes - 1}"
    if options.labels is None and highest + 1 != classes and not numbered(samples):
        return f"there are {different}, the network has {classes} classes"
    return by_chance(run, samples, classes, options)


def numbered(samples: Samples) -> bool:
    """Whether the folders of samples have the numbers of classes for names."""
    names = {path.relative_to(samples.folder or path).parts[0] for path in samples.files}
    return all(name.isdigit() for name in names)


def by_chance(run: Run, samples: Samples, classes: int, options: RunOptions) -> str | None:
    """What to say where the network is right no more often than chance, or None.

    With labels of another order, nothing is lost by any change, and a limit would limit nothing.
    """
    some = samples.take(JUDGED_SAMPLES)
    progress = options.step("checking labels")
    right = dict.fromkeys((0, *SHIFTS), 0)
    images = 0
    for position, answers in enumerate(answers_of(run, some)):
        labels = some.labels_of(position)
        assert labels is not None
        images += len(answers)
        for shift in right:
            right[shift] += int(np.count_nonzero(answers == labels + shift))
        progress(position + 1, len(some))
    chance = images / classes
    enough = min(images, chance + 2 * math.sqrt(chance * (1 - 1 / classes)))
    if right[0] >= enough:
        return None
    found = f"the network is right for {right[0]} of {images} images, as by chance"
    best = max(SHIFTS, key=lambda shift: right[shift])
    if right[best] >= max(enough, images / 2):
        return f"{found}, and for {right[best]} with labels {SHIFTS[best]}; change them so"
    return f"{found}; check their order"


def answers_of(run: Run, samples: Samples) -> Iterator[NDArray[np.intp]]:
    """The first answers of a network, sample by sample."""
    for position in range(len(samples)):
        rows = rows_of(run, samples, position)
        if rows is not None:
            yield rows.argmax(1)


def rows_of(run: Run, samples: Samples, position: int) -> NDArray[np.float32] | None:
    """The first output of a sample that has rows of classes."""
    found = map(class_rows, run(samples[position]).values())
    return next((rows for rows in found if rows is not None), None)


def too_few(answers: PairedAnswers, max_drop: float) -> str:
    """What to say where so many images cannot tell whether a drop is within its limit, or "".

    A counted drop of its limit alone has a standard error of sqrt(limit / images).
    """
    images, (_, error) = answers.images, answers.judged
    if answers.expected is None:
        error = max(error, 100 * math.sqrt(max_drop / 100 / images))
    if error <= max_drop:
        return ""
    needed = math.ceil(images * (error / max_drop) ** 2) if max_drop > 0 else 0
    more = f"give {needed} or more" if needed else "give more, or allow a drop"
    return (
        f"{images} samples cannot decide {max_drop:g} points: the standard error of the drop is "
        f"{error:.2g} points; {more}"
    )
