"""Plans carried out, verified and timed against the original: outputs first, then time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from sparsepass.errors import ModelError
from sparsepass.graph import Batch
from sparsepass.model import to_bytes
from sparsepass.network import Run, plain_session, runner
from sparsepass.passes import TileBatch, cuts_of, without_cuts
from sparsepass.pipeline.fit import FittedPlans
from sparsepass.pipeline.noise import rounding_noise
from sparsepass.pipeline.quantize import quantize
from sparsepass.pipeline.rewrite import rewrite
from sparsepass.pipeline.stages import Studied
from sparsepass.plan import Choice, Tiling, changes_outputs, is_lossy
from sparsepass.reconstruction import Weights
from sparsepass.report.schema import Verification
from sparsepass.run import NM_SERIES, RunOptions
from sparsepass.runtime.ops import DOMAIN
from sparsepass.runtime.session import session
from sparsepass.runtime.timing import Timing, interleave
from sparsepass.samples import Samples
from sparsepass.verify import Comparison, compare, rounding_tolerances

__all__ = [
    "EXACT_SAMPLES",
    "Candidate",
    "Trials",
    "Verified",
    "open_batches",
    "open_trials",
    "with_other_batches",
]

SECONDS = 3.0
# Samples, the last ones, that show whether two networks differ by rounding: each has many outputs.
EXACT_SAMPLES = 34
# Batches besides the planned one that an open batch is verified with: one image, and an odd number.
OTHER_BATCHES = (1, 3)


@dataclass(frozen=True)
class Candidate:
    """A plan carried out: its choices, the network, the size of its file, and a run of it."""

    choices: tuple[Choice, ...]
    model: ir.Model
    size: int
    run: Run
    tiling: Tiling | None = None


@dataclass(frozen=True)
class Verified:
    """What verification found of a candidate's outputs; ``relative`` is their relative error."""

    verification: Verification
    relative: float

    @property
    def passed(self) -> bool:
        """Whether the outputs differ by no more than the plan may change them."""
        return self.verification.passed


@dataclass(frozen=True)
class Trials:
    """Where candidates are made, verified and timed against the original.

    ``noise`` is what rounding alone does to the outputs of the original.  ``fitted`` are weights
    that were fitted for the lossy choices of a plan.  Where the file holds weights in few bits, the
    share ``finer`` of them may take more, see ``quantize``.
    """

    studied: Studied
    options: RunOptions
    original: Candidate
    samples: Samples
    noise: Comparison
    finer: float = 0.0
    fitted: FittedPlans = field(default_factory=FittedPlans)

    @property
    def images(self) -> int:
        """The batch that the plan is made for."""
        inputs = self.studied.prepared.inputs
        return inputs[0].batch if inputs else 1

    def make(self, choices: Sequence[Choice], tiling: Tiling | None = None) -> Candidate:
        """Rewrite the network as ``choices`` say and open it; none give the clean dense network."""
        model = rewrite(
            self.studied,
            choices,
            weights=self.weights_for(choices),
            split=self.options.emit == NM_SERIES,
        )
        if self.options.weight_bits is not None:
            bits, finer = self.options.weight_bits, self.finer
            quantize(self.studied, model, bits, finer, self.options)
        batch = self.studied.prepared.batch
        if tiling and isinstance(batch, Batch):
            TileBatch(batch, tiling.micro_batch, tiling.until)(model)
        content = to_bytes(model)
        opened = session(content, threads=self.options.threads, isa=self.options.isa)
        return Candidate(tuple(choices), model, len(content), runner(opened), tiling)

    def weights_for(self, choices: Sequence[Choice]) -> Weights:
        """The weights of lossy choices, fitted again together, see ``FittedPlans``."""
        return self.fitted.weights(self.studied, tuple(filter(is_lossy, choices)), self.options)

    def verify(self, candidate: Candidate) -> Verified:
        """Compare a candidate with the original, and its run without our library.

        Samples are the held-out ones, also at other batches.  Without lossy choices both runs are
        held to what rounding allows (``rounding_tolerances``).  With them outputs are held to the
        error budget, and the library to what the function bodies of the same file give, with
        inputs as they are: that verifies the exact layers among the lossy ones, on some of the
        samples.
        """
        tolerances = rounding_tolerances(self.noise, self.studied.layers)
        lossy, few = self.changes_outputs(candidate), self.samples.last(EXACT_SAMPLES)
        judged = self.samples if lossy else few
        compared = self.compare(self.original.run, candidate.run, judged, "comparing outputs")
        limits = self.options.error_limit, self.options.max_drop
        found = compared.within(*limits) if lossy else compared.exact(tolerances)
        if found.passed and any(n.domain == DOMAIN for n in candidate.model.graph.all_nodes()):
            smooth = self.without_jumps(candidate)
            bodies = runner(plain_session(to_bytes(smooth.model), threads=self.options.threads))
            pair = (bodies, smooth.run) if lossy else (self.original.run, bodies)
            plain = self.compare(*pair, few, "comparing bodies").exact(tolerances)
            if not plain.passed:
                return Verified(plain, compared.relative)
        return Verified(found, compared.relative)

    def without_jumps(self, candidate: Candidate) -> Candidate:
        """The candidate with inputs of layers as they are.

        Rounding decides whether a value that is nearly cut becomes zero, which changes outputs by
        more than rounding.
        """
        if not cuts_of(candidate.model):
            return candidate
        model = without_cuts(candidate.model)
        opened = session(to_bytes(model), threads=self.options.threads, isa=self.options.isa)
        return replace(candidate, model=model, run=runner(opened))

    def changes_outputs(self, candidate: Candidate) -> bool:
        """Whether the outputs of a candidate may differ beyond rounding."""
        bits = None if candidate is self.original else self.options.weight_bits
        return changes_outputs(candidate.choices, bits)

    def compare_all(self, candidate: Candidate) -> Comparison:
        """Compare a candidate with the original on all samples."""
        return self.compare(self.original.run, candidate.run, self.samples, "comparing outputs")

    def compare(self, reference: Run, run: Run, samples: Samples, stage: str) -> Comparison:
        """Compare two networks on ``samples``."""
        return compare(reference, run, samples, self.options.step(stage))

    def time(self, candidates: Sequence[Candidate]) -> tuple[Timing, tuple[Timing, ...]]:
        """Time the original and every candidate in turn, on one sample."""
        feed = self.studied.held_out[0]
        networks = [self.original, *candidates]
        timings = interleave(
            [lambda run=network.run: run(feed) for network in networks],
            seconds=SECONDS,
            progress=self.options.step("timing networks"),
        )
        return timings[0], tuple(timings[1:])


def open_trials(studied: Studied, options: RunOptions) -> Trials:
    """Open the original, and measure what rounding alone does to its outputs."""
    prepared = studied.prepared
    run = runner(plain_session(prepared.content, threads=options.threads))
    return Trials(
        studied=studied,
        options=options,
        original=Candidate((), prepared.original, len(prepared.content), run),
        samples=with_other_batches(studied.held_out, open_batches(prepared.original), run),
        noise=rounding_noise(prepared, studied.held_out, options),
    )


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
        samples,
        read=read,
        order=(*samples.order, *(-1 - i for i in range(len(others)))),
        repeats=len(others),
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
