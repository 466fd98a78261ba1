"""Whether a plan keeps its promises: outputs first, then time, both against the original."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from sparsepass.algorithms import Numerics, algorithm
from sparsepass.errors import ModelError
from sparsepass.graph import Batch, batch_of
from sparsepass.layer import Layer
from sparsepass.model import to_bytes
from sparsepass.passes import TileBatch
from sparsepass.pipeline.noise import rounding_noise
from sparsepass.pipeline.rewrite import rewrite
from sparsepass.pipeline.stages import Progress, Studied, step
from sparsepass.plan import Choice, Tiling
from sparsepass.report.schema import Verification
from sparsepass.runtime.ops import DOMAIN
from sparsepass.runtime.session import plain_session, runner, session
from sparsepass.runtime.timing import Timing, interleave
from sparsepass.samples import Samples
from sparsepass.verify import Comparison, Run, compare, rounding_tolerances

if TYPE_CHECKING:
    import networkx as nx

__all__ = [
    "Candidate", "Proof", "Trials", "is_lossy", "numerics_of", "open_batches", "open_trials",
    "prove", "with_other_batches",
]  # fmt: skip

SECONDS = 3.0
# Batches besides the planned one that an open batch is proven with: one image, and an odd number.
OTHER_BATCHES = (1, 3)


@dataclass(frozen=True)
class Candidate:
    """A plan made real: its choices, the network, the size of its file, and a run of it."""

    choices: tuple[Choice, ...]
    model: ir.Model
    size: int
    run: Run
    tiling: Tiling | None = None


@dataclass(frozen=True)
class Proof:
    """What was found of a candidate's outputs; ``relative`` is their relative error."""

    verification: Verification
    relative: float

    @property
    def passed(self) -> bool:
        """Whether the outputs are as the plan promises."""
        return self.verification.passed


def numerics_of(choice: Choice) -> Numerics:
    """What the choice may do to the outputs."""
    row = algorithm(choice.algorithm)
    return "reference" if row is None else row.numerics


def is_lossy(choice: Choice) -> bool:
    """Whether the choice may change outputs beyond rounding."""
    return numerics_of(choice) == "lossy"


def prove(
    reference: Run,
    model: ir.Model,
    run: Run,
    samples: Samples,
    *,
    choices: Sequence[Choice],
    layers: Sequence[Layer],
    noise: Comparison,
    max_error: float,
    threads: int,
    progress: Progress,
) -> Proof:
    """Compare ``run`` of a rewritten ``model`` with ``reference``, and its run without our library.

    Without lossy ``choices`` both are held to what rounding allows (``rounding_tolerances``).
    With them outputs are held to ``max_error``, and the library to what the function bodies of the
    same file give: that proves the exact layers among the lossy ones.
    """
    tolerances = rounding_tolerances(noise, layers)
    compared = compare(reference, run, samples, step(progress, "comparing outputs"))
    lossy = any(map(is_lossy, choices))
    found = compared.within(max_error) if lossy else compared.exact(tolerances)
    if found.passed and any(node.domain == DOMAIN for node in model.graph.all_nodes()):
        bodies = runner(plain_session(to_bytes(model), threads=threads))
        plain = compare(
            bodies if lossy else reference,
            run if lossy else bodies,
            samples,
            step(progress, "comparing bodies"),
        ).exact(tolerances)
        if not plain.passed:
            return Proof(plain, compared.relative)
    return Proof(found, compared.relative)


@dataclass(frozen=True)
class Trials:
    """Where candidates are made, proven and timed against the original.

    ``batch`` is what the network does to the images of a batch, or why it does not keep them apart.
    """

    studied: Studied
    layouts: "nx.DiGraph[str]"
    original: Candidate
    samples: Samples
    noise: Comparison
    batch: Batch | str
    max_error: float
    threads: int
    progress: Progress

    @property
    def images(self) -> int:
        """The batch that the plan is made for."""
        return self.studied.inputs[0].batch if self.studied.inputs else 1

    def make(self, choices: Sequence[Choice], tiling: Tiling | None = None) -> Candidate:
        """Rewrite the network as ``choices`` say and open it; none give the clean dense network."""
        studied = self.studied
        model = rewrite(studied.prepared, studied.layers, studied.stats, choices, self.layouts)
        if tiling and isinstance(self.batch, Batch):
            TileBatch(self.batch, tiling.micro_batch, tiling.until)(model)
        content = to_bytes(model)
        opened = session(content, threads=self.threads)
        return Candidate(tuple(choices), model, len(content), runner(opened), tiling)

    def prove(self, candidate: Candidate) -> Proof:
        """Compare a candidate with the original on the held-out samples, and at other batches."""
        return prove(
            self.original.run, candidate.model, candidate.run, self.samples,
            choices=candidate.choices, layers=self.studied.layers, noise=self.noise,
            max_error=self.max_error, threads=self.threads, progress=self.progress,
        )  # fmt: skip

    def time(self, candidates: Sequence[Candidate]) -> tuple[Timing, tuple[Timing, ...]]:
        """Time the original and every candidate in turn, on one sample."""
        feed = self.studied.held_out[0]
        networks = [self.original, *candidates]
        timings = interleave(
            [lambda run=network.run: run(feed) for network in networks],
            seconds=SECONDS,
            progress=step(self.progress, "timing networks"),
        )
        return timings[0], tuple(timings[1:])


def open_trials(
    studied: Studied,
    layouts: "nx.DiGraph[str]",
    *,
    threads: int,
    max_error: float,
    progress: Progress,
) -> Trials:
    """Open the original, and measure what rounding alone does to its outputs."""
    content = to_bytes(studied.original)
    run = runner(plain_session(content, threads=threads))
    return Trials(
        studied=studied,
        layouts=layouts,
        original=Candidate((), studied.original, len(content), run),
        samples=with_other_batches(studied.held_out, open_batches(studied.original), run),
        noise=rounding_noise(
            studied.prepared, studied.layers, studied.held_out,
            threads=threads, seed=studied.seed, progress=step(progress, "measuring rounding"),
        ),
        batch=batch_of(studied.prepared),
        max_error=max_error,
        threads=threads,
        progress=progress,
    )  # fmt: skip


def open_batches(model: ir.Model) -> tuple[str, ...]:
    """The inputs whose first axis is open."""
    return tuple(
        value.name or ""
        for value in model.graph.inputs
        if value.name not in model.graph.initializers
        and value.shape
        and not isinstance(value.shape[0], int)
    )


def with_other_batches(samples: Samples, names: Sequence[str], original: Run) -> Samples:
    """``samples``, and images of theirs in batches of other sizes where the original takes these.

    ``names`` are the inputs whose batch is open.
    """
    first, last = samples[0], samples[len(samples) - 1]
    others: list[dict[str, NDArray[Any]]] = []
    for size in OTHER_BATCHES if names else ():
        images = {name: resized(first[name], last[name], size) for name in names}
        feed = first | images
        if all(len(first[name]) == size for name in names) or not takes(original, feed):
            continue
        others.append(feed)

    def read(index: int) -> dict[str, NDArray[Any]]:
        return dict(others[-1 - index]) if index < 0 else samples.read(index)

    return replace(
        samples, read=read, order=(*samples.order, *(-1 - i for i in range(len(others))))
    )


def resized(first: NDArray[Any], last: NDArray[Any], size: int) -> NDArray[Any]:
    """``size`` images of two batches, from the start again where they are fewer."""
    images = np.concatenate([first, last])
    return images[np.arange(size) % len(images)]


def takes(run: Run, feed: Mapping[str, NDArray[Any]]) -> bool:
    """Tell whether a network takes inputs of these sizes."""
    try:
        run(feed)
    except ModelError:
        return False
    return True
