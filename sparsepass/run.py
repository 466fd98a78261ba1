"""A run as a value: what was asked for besides the network, and how it tells how far it is."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, get_args

from sparsepass.bits import Bits, read_bits
from sparsepass.errors import UsageError
from sparsepass.limits import MOST_BYTES, MOST_THREADS

if TYPE_CHECKING:
    from sparsepass.labels import LabelSource
    from sparsepass.pictures import ImageTransform
    from sparsepass.samples import SampleSource

__all__ = [
    "DEFAULTS",
    "FREE",
    "NM_SERIES",
    "OPERATORS",
    "Emit",
    "Pattern",
    "Progress",
    "RunOptions",
    "Steps",
    "Stopwatch",
    "silent",
]

# Where only the answers are limited, no error is given to begin with: classifiers lose their first
# answers at about this.
FIRST_BUDGET = 0.05

Emit = Literal["operators", "nm-series"]
"""What layers become: custom operators beside plain ones, or sums of N:M-structured plain ones."""

OPERATORS: Emit = "operators"
NM_SERIES: Emit = "nm-series"

Pattern = Literal["free", "1x4"]
"""Where pruning sets zeros: anywhere, or in blocks of 4 neighbouring input channels."""

FREE: Pattern = "free"

Steps = Callable[[int, int], None]
"""Called with the number of steps done and the number of all steps of one stage."""


class Progress(Protocol):
    """Told what is going on: a stage, and how many of its steps are done."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Called at the start (0 done) and after each step."""
        ...


def silent(stage: str, done: int, total: int) -> None:
    """A Progress that tells nobody."""


@dataclass
class Stopwatch:
    """A Progress that counts the ``seconds`` of each stage and tells ``progress`` as well.

    A stage lasts until another one begins.
    """

    progress: Progress
    clock: Callable[[], float] = time.perf_counter
    seconds: dict[str, float] = field(default_factory=dict[str, float])

    def __post_init__(self) -> None:
        self.current, self.since = "starting", self.clock()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Count the time since the last call for the stage of that one."""
        self.stop()
        self.current = stage
        self.progress(stage, done, total)

    def stop(self) -> None:
        """Count the time until now."""
        now = self.clock()
        self.seconds[self.current] = self.seconds.get(self.current, 0.0) + now - self.since
        self.since = now


@dataclass(frozen=True)
class RunOptions:
    """What a run was asked for; made once, where it begins.  ``optimize`` explains the fields.

    ``isa`` is one that this machine runs, see ``runtime.library``; None stands for the widest.
    A plan for a machine ``elsewhere`` is verified here and not timed.

    Raises UsageError for values that make no sense.
    """

    threads: int = 1
    isa: str | None = None
    seed: int = 0
    progress: Progress = silent
    samples: "SampleSource | None" = None
    labels: "LabelSource | None" = None
    image_transform: "ImageTransform | None" = None
    shapes: Mapping[str, Sequence[int]] = field(default_factory=dict[str, Sequence[int]])
    max_error: float = 0.0
    max_drop: float | None = None
    pareto: bool = False
    weight_bits: Bits | None = None
    pruning: bool = False
    pattern: Pattern = FREE
    max_memory: int | None = None
    max_bytes: int = MOST_BYTES
    measure: bool = True
    measure_seconds: float = 20.0
    dry_run: bool = False
    elsewhere: bool = False
    emit: Emit = OPERATORS

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise UsageError(f"{self.threads} threads were asked for; at least 1 is needed")
        if self.threads > MOST_THREADS:
            raise UsageError(f"{self.threads} threads were asked for; at most {MOST_THREADS} run")
        if not 0 <= self.max_error < 1:
            raise UsageError(
                f"a maximal error of {self.max_error} makes no sense; give one from 0 to below 1"
            )
        if self.max_drop is not None and not 0 <= self.max_drop < 100:
            raise UsageError(
                f"a drop of {self.max_drop} points makes no sense; give one from 0 to below 100"
            )
        if not self.measure_seconds > 0:
            raise UsageError(
                f"{self.measure_seconds} seconds of measuring make no sense; give more than 0"
            )
        if self.lossy and self.samples is None:
            asked = "a maximal error" if self.max_error > 0 else "a maximal drop"
            asked = asked if self.bounded else "pruning" if self.pruning else "time against error"
            raise UsageError(f"{asked} needs samples to be measured on; give --samples as well")
        if read_bits(self.weight_bits) is not None and not self.bounded:
            raise UsageError("weights in few bits change the outputs; give --max-error as well")
        if self.emit not in (kinds := get_args(Emit)):
            raise UsageError(f"nothing is emitted as {self.emit!r}; give {' or '.join(kinds)}")
        if self.emit == NM_SERIES and not self.bounded:
            raise UsageError(f"{NM_SERIES} changes weights; give --max-error or --max-drop as well")
        if self.pattern not in (known := get_args(Pattern)):
            raise UsageError(f"zeros are not set as {self.pattern!r}; give {' or '.join(known)}")
        if self.labels is not None and self.samples is None:
            raise UsageError("labels say nothing without samples; give --samples as well")
        if self.max_memory is not None and self.max_memory < 1:
            raise UsageError(
                f"a memory limit of {self.max_memory} bytes makes no sense; give more than 0"
            )

    @property
    def bounded(self) -> bool:
        """Whether the outputs may change, within a bound."""
        return self.max_error > 0 or self.max_drop is not None

    @property
    def lossy(self) -> bool:
        """Whether lossy algorithms are looked at."""
        return self.bounded or self.pareto or self.pruning

    @property
    def error_limit(self) -> float:
        """What the outputs may differ by: their own size where only the answers are limited."""
        return self.max_error if self.max_error > 0 or self.max_drop is None else 1.0

    @property
    def first_budget(self) -> float:
        """The error that the first plan is made for."""
        return min(self.error_limit, FIRST_BUDGET) if self.max_error == 0 else self.max_error

    @property
    def timed(self) -> bool:
        """Whether the network is for this machine, so that its time here counts."""
        return not self.elsewhere and self.emit == OPERATORS

    @property
    def measured(self) -> bool:
        """Whether offers are timed inside the network."""
        return self.measure and not self.dry_run and self.timed

    def step(self, stage: str) -> Steps:
        """The callback of one stage; the stage is announced at once."""
        self.progress(stage, 0, 1)
        return lambda done, total: self.progress(stage, done, total)


DEFAULTS = RunOptions()
