"""Plans of one network for several machines, and whether one file serves them all."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from sparsepass.algorithms import DENSE
from sparsepass.files import write_text
from sparsepass.plan import Plan
from sparsepass.report import units

__all__ = ["Target", "Targets"]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Target(_Value):
    """A machine and its plan; times are predicted, of the whole network.

    ``losses`` has, for each target in order, the share of time that this plan takes more there than
    the plan made for it; None where an algorithm of this plan is refused there.
    """

    machine: str
    dense_us: float
    network_us: float
    plan: Plan
    losses: tuple[float | None, ...]

    @property
    def changed(self) -> int:
        """Layers that got another algorithm than the reference."""
        return sum(choice.algorithm != DENSE.name for choice in self.plan.choices)

    @property
    def worst(self) -> float:
        """The largest loss anywhere; infinite where the plan does not fit."""
        return max(float("inf") if loss is None else loss for loss in self.losses)


class Targets(_Value):
    """The plans of one network, in the order in which the profiles were given."""

    version: Literal[1] = 1
    kind: Literal["targets"] = "targets"
    tool: str
    model: str
    targets: tuple[Target, ...]

    @property
    def best(self) -> Target:
        """The target whose plan serves all: the least loss where it is worst."""
        return min(self.targets, key=lambda target: target.worst)

    @property
    def same(self) -> bool:
        """Whether all plans choose the same."""
        chosen = [[(c.algorithm, c.parameters) for c in t.plan.choices] for t in self.targets]
        return all(choices == chosen[0] for choices in chosen)

    @property
    def verdict(self) -> str:
        """Whether one file serves all, in one sentence."""
        if self.same:
            return "one file serves all: the plans are the same"
        best = self.best
        if best.worst == float("inf"):
            return "no plan fits all: make a file for each"
        loss = units.percent(max(0.0, best.worst))
        return f"the plan for {best.machine} serves all best: predicted to lose at most {loss}"

    def save(self, path: Path) -> None:
        """Write it as JSON; raises UsageError where ``path`` cannot be written."""
        write_text(path, self.model_dump_json(indent=2) + "\n")
