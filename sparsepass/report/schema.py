"""What a run tells its user, as a value: JSON in, JSON out.

``Analysis`` is what a network looks like, ``Report`` what was made of it.  Field names carry the
unit: ``_us`` microseconds, ``_ms`` milliseconds, ``_bytes``; shares and errors have none.
"""

import math
from collections import Counter
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sparsepass.advice import Advice
from sparsepass.algorithms import DENSE
from sparsepass.errors import UsageError
from sparsepass.files import read_document, write_text
from sparsepass.plan import Answer, Choice, Offer, Plan, Refusal
from sparsepass.run import FREE, Pattern
from sparsepass.sparsity import ActivationStats, WeightStats

__all__ = [
    "AlgorithmTotal", "Analysis", "Bought", "Engine", "ErrorBudget", "ExpectedDrop", "Latency",
    "LayerAnalysis", "LayerReport", "LayerTime", "LossyOption", "Machine", "ModelFile",
    "NetworkTime", "PairedAnswers", "ParetoPoint", "PassRun", "PruneReport", "PrunedLayer",
    "RefusalTotal", "Report", "Samples", "Selector", "SkippedNode", "StageTime", "Tensor",
    "Verification", "json_schema",
]  # fmt: skip


# A choice that won fewer of its turns is a close call, and how many such layers a report lists.
SURE, LEAST_SURE = 0.75, 10
# Standard errors beyond which what was counted is no chance.
CERTAIN = 2.0


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class Tensor(_Value):
    """A graph input; open dimensions keep their name or "?"."""

    name: str
    shape: tuple[int | str, ...]
    element_type: str = "float32"


class ModelFile(_Value):
    """The model that was read, and the size of the one that was written, if one was."""

    name: str
    digest: str
    ir_version: int
    opset: int
    before_bytes: int
    after_bytes: int | None = None
    inputs: tuple[Tensor, ...] = ()


class Machine(_Value):
    """Where the times were taken or predicted for; ``cores`` is None for a machine elsewhere."""

    cpu: str
    isa: str
    cores: int | None
    onnxruntime: str
    threads: int


class PassRun(_Value):
    """A graph pass that ran, and whether it changed anything."""

    name: str
    modified: bool


class Samples(_Value):
    """The inputs that activations and errors were measured on."""

    count: int
    source: str
    seed: int


class ErrorBudget(_Value):
    """Relative output errors: allowed, expected, and measured on samples the fit did not see.

    ``max_error`` is 0 where only the answers are limited, by ``max_drop_points``.  ``planned`` is
    the sum that the plan was chosen for, so that what was measured comes near what is allowed.
    """

    max_error: float
    predicted: float
    measured: float | None = None
    max_drop_points: float | None = None
    planned: float | None = None


class SkippedNode(_Value):
    """A convolution-like node that is no layer, and why."""

    name: str
    op_type: str
    reason: str


class LayerAnalysis(_Value):
    """One layer as it came.  ``macs`` are dense multiply-adds of the whole batch."""

    name: str
    op_type: str
    shape: str
    macs: int
    weight: WeightStats
    input: ActivationStats | None = None

    @property
    def weight_zeros(self) -> float:
        """Share of zero weights."""
        return 1.0 - self.weight.density

    @property
    def input_zeros(self) -> float | None:
        """Mean share of zeros in the input, or None where no samples were given."""
        return None if self.input is None else self.input.zeros_mean


class LayerTime(_Value):
    """Time of one layer; measured means inside the network."""

    predicted_us: float
    measured_us: float | None = None

    @property
    def best_us(self) -> float:
        """The best knowledge there is: measured, else predicted."""
        return self.predicted_us if self.measured_us is None else self.measured_us


class LossyOption(_Value):
    """An offer with the relative error of the layer, and what it is expected to do to outputs."""

    algorithm: str
    parameters: dict[str, int] = Field(default_factory=dict[str, int])
    microseconds: float
    layer_error: float
    output_error: float


class Bought(_Value):
    """What a lossy layer takes, and its neighbours among the offers that nothing beats.

    ``cheaper`` has less error and takes longer, ``dearer`` is faster for more error.
    """

    taken: LossyOption
    cheaper: LossyOption | None = None
    dearer: LossyOption | None = None


class LayerReport(LayerAnalysis):
    """One layer and what became of it.

    ``fate`` is empty where the first choice stood, else says why it did not, such as "returned to
    dense: the whole network was not faster".  ``epilogue`` names the ops fused into the layer.
    ``packed_bytes`` is what the weight takes in the file, ``memory_bytes`` about what it takes in
    the form that its kernel holds, generated code included.  ``workspace_bytes`` is what kernels
    hold of the input of one image at the mean density, where that grows with the layer;
    ``paper_workspace_bytes`` is what algorithms need by the formulas of arXiv 2104.08314.  Both are
    empty where the input is not known.  ``certainty`` is the share of turns in which the chosen
    offer took less time than the best other one; None where these two were not measured.
    ``bought`` is there for lossy choices.
    """

    bids: tuple[Answer, ...]
    chosen: Choice
    dense: LayerTime
    now: LayerTime
    certainty: float | None = None
    dense_bytes: int
    packed_bytes: int
    memory_bytes: int
    workspace_bytes: dict[str, int] = Field(default_factory=dict[str, int])
    paper_workspace_bytes: dict[str, int] = Field(default_factory=dict[str, int])
    epilogue: str = ""
    fate: str = ""
    bought: Bought | None = None

    @property
    def speedup(self) -> float:
        """Dense time over the time now."""
        return _ratio(self.dense.best_us, self.now.best_us)

    @property
    def is_close_call(self) -> bool:
        """Whether the best other offer may well be as fast as the choice."""
        return self.certainty is not None and self.certainty < SURE

    @property
    def offers(self) -> tuple[Offer, ...]:
        """What could compute the layer, fastest first."""
        offers = (answer for answer in self.bids if isinstance(answer, Offer))
        return tuple(sorted(offers, key=lambda offer: offer.microseconds))

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """What could not, in the order it was asked."""
        return tuple(answer for answer in self.bids if isinstance(answer, Refusal))

    def is_chosen(self, offer: Offer) -> bool:
        """Whether ``offer`` is the one that was taken."""
        taken = (self.chosen.algorithm, self.chosen.parameters)
        return (offer.algorithm, offer.parameters) == taken


class Latency(_Value):
    """Time of one inference over ``runs`` runs."""

    median_ms: float
    p10_ms: float
    p90_ms: float
    runs: int


class Engine(_Value):
    """An engine: ours on the optimized model, others on the original.

    ``absent`` says why there is no latency.
    """

    name: str
    version: str = ""
    latency: Latency | None = None
    absent: str = ""


class NetworkTime(_Value):
    """The whole network before and after, interleaved in one process by ``command``.

    ``first_before_ms`` and ``first_after_ms`` are the times to the first answer, which a session is
    made for.
    """

    before: Latency
    after: Latency
    first_before_ms: float | None = None
    first_after_ms: float | None = None
    threads: int
    batch: int
    command: str

    @property
    def speedup(self) -> float:
        """Median before over median after."""
        return _ratio(self.before.median_ms, self.after.median_ms)


class ExpectedDrop(_Value):
    """The drop that the original's own probabilities expect of the answers that changed.

    The mean of p(answer before) - p(answer after) over the images, with its standard error, in
    percentage points; p is the softmax of the original at the ``temperature`` that fits the labels.
    """

    points: float
    standard_error_points: float
    temperature: float


class PairedAnswers(_Value):
    """First answers of a classifier before and after, image by image.

    An answer is right that equals the label or, ``against`` the original, that of the original.
    ``lost`` images were right before and are wrong now, ``gained`` ones the reverse; the others
    tell nothing of a change.  The drop is (lost - gained) / images, its standard error that of
    paired differences, sqrt(lost + gained - (lost - gained)^2 / images) / images; both in
    percentage points.  ``right_before`` is the share of right answers of the original.

    A limit is held against the ``judged`` drop: the expected one where there are labels, which
    chance moves less, unless what was counted is certainly more.
    """

    against: Literal["labels", "original"]
    images: int
    lost: int
    gained: int
    right_before: float
    drop_points: float
    standard_error_points: float
    expected: ExpectedDrop | None = None

    @classmethod
    def count(
        cls,
        against: Literal["labels", "original"],
        *,
        images: int,
        right: int,
        lost: int,
        gained: int,
        expected: ExpectedDrop | None = None,
    ) -> Self:
        """The drop of ``images`` answers, of which the original had ``right`` ones."""
        change = lost - gained
        variance = max(lost + gained - change**2 / images, 0.0)
        return cls(
            against=against,
            images=images,
            lost=lost,
            gained=gained,
            right_before=right / images,
            drop_points=100 * change / images,
            standard_error_points=100 * math.sqrt(variance) / images,
            expected=expected,
        )

    @property
    def judged(self) -> tuple[float, float]:
        """The drop that a limit is held against and its standard error, in percentage points."""
        counted = self.drop_points, self.standard_error_points
        if self.expected is None:
            return counted
        certain = self.drop_points - CERTAIN * self.standard_error_points
        if certain > self.expected.points:
            return counted
        return self.expected.points, self.expected.standard_error_points

    @property
    def cautious(self) -> float:
        """What a search holds to a limit: of an expected drop, its standard error besides.

        Of many plans it takes the fastest within the limit, which is one that chance favours.
        """
        points, standard_error = self.judged
        is_expected = self.expected is not None and points == self.expected.points
        return points + standard_error if is_expected else points


class Verification(_Value):
    """How far the outputs moved; ``tolerance`` bounds ``max_absolute_error``.

    ``answers`` are there where an output has rows of classes; ``max_drop_points`` bounds their
    drop, where it is limited.
    """

    max_absolute_error: float
    max_relative_error: float
    tolerance: float
    derivation: str
    samples: int
    top1_agreement: float | None = None
    answers: PairedAnswers | None = None
    max_drop_points: float | None = None

    @property
    def passed(self) -> bool:
        """False also where an error is NaN."""
        return self.max_absolute_error <= self.tolerance and self.drop_passed

    @property
    def drop_passed(self) -> bool:
        """Whether no more answers were lost than may be."""
        if self.max_drop_points is None or self.answers is None:
            return True
        return self.answers.judged[0] <= self.max_drop_points

    @property
    def spent(self) -> float:
        """The share of what is allowed that was taken; more than 1 where this did not pass.

        Of a drop in points it is the ``cautious`` one.
        """
        shares = [_share(self.max_absolute_error, self.tolerance)]
        if self.max_drop_points is not None and self.answers is not None:
            shares.append(_share(self.answers.cautious, self.max_drop_points))
        return max(shares)


class ParetoPoint(_Value):
    """The plan of least time for an error budget, and what it does to the outputs.

    ``budget`` is 0 for the lossless plan.  ``layers_us`` and ``error`` are the sums that the plan
    was chosen by; what was measured of the whole network is on samples that were not fitted, and
    None where it was not.  ``chosen`` marks the plan that was taken.
    """

    budget: float
    lossy_layers: int
    layers_us: float
    error: float
    measured_error: float | None = None
    measured_ms: float | None = None
    speedup: float | None = None
    answers: PairedAnswers | None = None
    chosen: bool = False


class Selector(_Value):
    """How good the predictions were, over the ``layers`` of which two offers or more have times.

    ``best_share`` is the share of layers whose predicted best is the measured best; ``regret`` the
    times of the former, added up, over those of the latter, minus one.
    """

    layers: int
    best_share: float
    regret: float


class StageTime(_Value):
    """How long one stage of the run itself took; ``choosing`` is the integer programme."""

    stage: str
    seconds: float


class AlgorithmTotal(_Value):
    """All layers of one algorithm together."""

    algorithm: str
    layers: int
    dense_us: float
    now_us: float

    @property
    def speedup(self) -> float:
        """Dense time over the time now."""
        return _ratio(self.dense_us, self.now_us)


class RefusalTotal(_Value):
    """All refusals of one algorithm; ``reason`` is the commonest of ``reasons`` different ones."""

    algorithm: str
    layers: int
    reason: str
    reasons: int


class _Document(_Value):
    """What both documents begin with, and how they are kept as files.

    ``advice`` is None where it was not asked for.
    """

    version: Literal[1] = 1
    tool: str
    model: ModelFile
    machine: Machine
    samples: Samples | None = None
    passes: tuple[PassRun, ...] = ()
    skipped: tuple[SkippedNode, ...] = ()
    warnings: tuple[str, ...] = ()
    advice: Advice | None = None

    def save(self, path: Path) -> None:
        """Write the document as JSON; raises UsageError where ``path`` cannot be written."""
        write_text(path, self.model_dump_json(indent=2) + "\n")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a document; raises UsageError where the file is absent or is something else."""
        kind = cls.__name__.lower()
        try:
            return cls.model_validate_json(read_document(path))
        except OSError as error:
            raise UsageError(
                f"{path}: cannot be read ({error.strerror}); give a JSON {kind}"
            ) from error
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "the file"
            problem = first["msg"].splitlines()[0]
            raise UsageError(
                f"{path}: not a sparsepass {kind} of version 1 ({where}: {problem}); "
                f"write one with --json"
            ) from error


class Analysis(_Document):
    """What a network looks like: its layers and where they are sparse."""

    kind: Literal["analysis"] = "analysis"
    layers: tuple[LayerAnalysis, ...]


class PrunedLayer(_Value):
    """One layer: shares of zero weights, relative errors as expected, predicted times."""

    name: str
    shape: str
    zeros_before: float
    zeros: float
    layer_error: float
    output_error: float
    dense_us: float
    now_us: float


class PruneReport(_Document):
    """What ``prune`` did.  ``sparsity`` is the share of zeros among the weights of all layers.

    ``pattern`` is the one that was asked for; layers that were left as they are need not have it.
    """

    kind: Literal["pruning"] = "pruning"
    layers: tuple[PrunedLayer, ...]
    pattern: Pattern = FREE
    sparsity: float
    predicted_speedup: float
    predicted_error: float
    verification: Verification


class Report(_Document):
    """What was made of a network.  Parts that were not measured are None.

    ``pareto`` has plans for a ladder of error budgets, where they were asked for; ``stages`` say
    where the time of the run went, in the order in which they began.
    """

    kind: Literal["report"] = "report"
    layers: tuple[LayerReport, ...]
    plan: Plan
    budget: ErrorBudget | None = None
    network: NetworkTime | None = None
    verification: Verification | None = None
    selector: Selector | None = None
    pareto: tuple[ParetoPoint, ...] = ()
    stages: tuple[StageTime, ...] = ()

    @property
    def dense_us(self) -> float:
        """Time of all layers left dense."""
        return sum(layer.dense.best_us for layer in self.layers)

    @property
    def now_us(self) -> float:
        """Time of all layers as chosen."""
        return sum(layer.now.best_us for layer in self.layers)

    @property
    def least_sure(self) -> tuple[LayerReport, ...]:
        """The layers whose choice is least sure, those first."""
        known = [(layer.certainty, layer) for layer in self.layers if layer.certainty is not None]
        return tuple(layer for _, layer in sorted(known, key=lambda pair: pair[0])[:LEAST_SURE])

    @property
    def changed(self) -> int:
        """Layers that got another algorithm than the reference, the first of the table."""
        return sum(layer.chosen.algorithm != DENSE.name for layer in self.layers)

    @property
    def totals(self) -> tuple[AlgorithmTotal, ...]:
        """One total per algorithm that was chosen, most dense time first."""
        groups: dict[str, list[LayerReport]] = {}
        for layer in self.layers:
            groups.setdefault(layer.chosen.algorithm, []).append(layer)
        totals = (_total(name, layers) for name, layers in groups.items())
        return tuple(sorted(totals, key=lambda total: -total.dense_us))

    @property
    def refusals(self) -> tuple[RefusalTotal, ...]:
        """One total per algorithm that refused a layer, most layers first."""
        reasons: dict[str, Counter[str]] = {}
        for layer in self.layers:
            for refusal in layer.refusals:
                reasons.setdefault(refusal.algorithm, Counter())[refusal.reason] += 1
        totals = (_refusal_total(name, counts) for name, counts in reasons.items())
        return tuple(sorted(totals, key=lambda total: -total.layers))

    def layer(self, name: str) -> LayerReport:
        """The layer called ``name``; raises UsageError that lists what comes near."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        names = [layer.name for layer in self.layers]
        near = [known for known in names if name in known] or names
        listed = ", ".join(near[:5]) + (", ..." if len(near) > 5 else "")
        raise UsageError(f"{self.model.name}: no layer is called {name!r}; give one of: {listed}")


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a report file."""
    return Report.model_json_schema()


def _total(name: str, layers: list[LayerReport]) -> AlgorithmTotal:
    return AlgorithmTotal(
        algorithm=name,
        layers=len(layers),
        dense_us=sum(layer.dense.best_us for layer in layers),
        now_us=sum(layer.now.best_us for layer in layers),
    )


def _refusal_total(name: str, counts: Counter[str]) -> RefusalTotal:
    return RefusalTotal(
        algorithm=name,
        layers=counts.total(),
        reason=counts.most_common(1)[0][0],
        reasons=len(counts),
    )


def _ratio(before: float, after: float) -> float:
    return before / after if after > 0 else 1.0


def _share(taken: float, allowed: float) -> float:
    if taken <= 0:
        return 0.0
    return taken / allowed if allowed > 0 else math.inf
