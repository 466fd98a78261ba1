"""The Plan: which algorithm each layer gets, and why.  A value: JSON in, JSON out.

Field order is the order of the file, so that two plans can be compared with ``diff``.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sparsepass.algorithms import Numerics, algorithm
from sparsepass.bits import Bits
from sparsepass.errors import PlanError
from sparsepass.files import read_document, write_text

__all__ = [
    "PLAN_KEY",
    "Answer",
    "Choice",
    "Offer",
    "Plan",
    "Refusal",
    "Tiling",
    "changes_outputs",
    "is_custom",
    "is_lossy",
    "numerics_of",
    "offered",
]

# Under this key of its metadata an optimized model carries its plan.
PLAN_KEY = "ai.sparsepass.plan"


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Offer(_Value):
    """An algorithm that can compute a layer: predicted microseconds and relative output error.

    ``measured`` is microseconds inside the network, where that was measured.  ``error`` is the
    expected relative error of the layer's output (0 for exact algorithms).
    """

    kind: Literal["offer"] = "offer"
    algorithm: str
    parameters: dict[str, int] = Field(default_factory=dict)
    predicted: float
    measured: float | None = None
    error: float = 0.0

    @property
    def microseconds(self) -> float:
        """The best knowledge there is: measured, else predicted."""
        return self.predicted if self.measured is None else self.measured


class Refusal(_Value):
    """An algorithm that cannot compute a layer, and the reason, a short phrase."""

    kind: Literal["refusal"] = "refusal"
    algorithm: str
    reason: str


Answer = Offer | Refusal
"""What an algorithm says of a layer."""


class Choice(_Value):
    """The algorithm of one layer; ``parameters`` are the algorithm's own, such as a rank."""

    layer: str
    algorithm: str
    parameters: dict[str, int] = Field(default_factory=dict)
    reason: str = ""


class Tiling(_Value):
    """A batch goes through the network ``micro_batch`` images at a time.

    With ``until``, the name of a value, only as far as there; the rest runs on the whole batch.
    """

    micro_batch: int = Field(ge=1)
    until: str | None = None


class Plan(_Value):
    """One choice per layer.  Layers that are not named stay dense.

    Outputs may differ by ``max_error``, right answers drop by ``max_drop`` percentage points.  The
    file holds weights in ``weight_bits`` where they are given.
    """

    version: Literal[1] = 1
    tool: str
    machine: str
    threads: int = Field(ge=1)
    max_error: float = Field(default=0.0, ge=0.0)
    max_drop: float | None = Field(default=None, ge=0.0)
    weight_bits: Bits | None = None
    tiling: Tiling | None = None
    choices: tuple[Choice, ...]

    @property
    def output_error(self) -> float:
        """How much the outputs may differ, relative; 0 where only rounding may change them."""
        return self.max_error if changes_outputs(self.choices, self.weight_bits) else 0.0

    def choice(self, layer: str) -> Choice | None:
        """The choice for ``layer``, or None where the plan does not name it."""
        return next((c for c in self.choices if c.layer == layer), None)

    def save(self, path: Path) -> None:
        """Write the plan as JSON; raises UsageError where ``path`` cannot be written."""
        write_text(path, self.model_dump_json(indent=2) + "\n")

    @classmethod
    def load(cls, path: Path) -> "Plan":
        """Read a plan; raises PlanError where the file is absent or is not a plan."""
        try:
            return cls.model_validate_json(read_document(path))
        except OSError as error:
            raise PlanError(
                f"{path}: cannot be read ({error.strerror}); give a plan file"
            ) from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the file"
            raise PlanError(
                f"{path}: not a sparsepass plan ({where}: {first['msg']}); "
                "save one with --save-plan"
            ) from error


def offered(choice: Choice, answers: Iterable[Answer]) -> Offer | None:
    """The offer behind a choice, or None where it is not among the ``answers`` for its layer."""
    offers = (answer for answer in answers if isinstance(answer, Offer))
    wanted = (choice.algorithm, choice.parameters)
    return next((o for o in offers if (o.algorithm, o.parameters) == wanted), None)


def is_custom(offer: Offer) -> bool:
    """Whether an offer is of an operator of ours."""
    row = algorithm(offer.algorithm)
    return row is not None and bool(row.op)


def numerics_of(choice: Choice | Offer) -> Numerics:
    """What the choice may do to the outputs."""
    row = algorithm(choice.algorithm)
    return "reference" if row is None else row.numerics


def is_lossy(choice: Choice | Offer) -> bool:
    """Whether the choice may change outputs beyond rounding."""
    return numerics_of(choice) == "lossy"


def changes_outputs(choices: Sequence[Choice], weight_bits: Bits | None) -> bool:
    """Whether a plan of ``choices``, with weights in so many bits, does more than round outputs."""
    return weight_bits is not None or any(map(is_lossy, choices))
