"""The error that plans are chosen for, fitted to what they are measured to do.

In selection the squares of the layers' errors add up.  What a plan really does may be more or less
than that, so the sum that it is chosen for is scaled by the measured ratio, a secant step on
logarithmic scales, until the plan takes nearly all of what is allowed and no more.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sparsepass.pipeline.trials import Verified
from sparsepass.plan import Choice, is_lossy

__all__ = ["Fitted", "Tried", "fit"]

Choose = Callable[[float], tuple[Choice, ...]]
Verify = Callable[[Sequence[Choice]], Verified]

# Plans that take this share of what is allowed are good enough; a step aims at a little less than
# all of it.  One step scales a budget by at most FARTHEST.
ENOUGH, AIM, FARTHEST = 0.92, 0.97, 4.0
# Steps of a fit, each a verification; and budgets that are too close to tell apart.
MOST_STEPS = 8
CLOSE = 1.02
# Budgets in a row that bring no other plan: offers are steps, and there may be none in between.
MOST_REPEATS = 3


@dataclass(frozen=True)
class Tried:
    """A plan for a budget, and the share of what is allowed that it took: above 1 too much."""

    budget: float
    choices: tuple[Choice, ...]
    spent: float

    @property
    def lossy(self) -> bool:
        """Whether it may change outputs beyond rounding."""
        return any(map(is_lossy, self.choices))

    @property
    def passed(self) -> bool:
        """Whether it keeps what is allowed; false for NaN."""
        return self.spent <= 1


@dataclass(frozen=True)
class Fitted:
    """Plans that were ``tried`` for budgets, in this order."""

    tried: tuple[Tried, ...]

    @property
    def best(self) -> Tried | None:
        """The plan of the largest budget among the lossy ones that passed."""
        passed = (entry for entry in self.tried if entry.passed and entry.lossy)
        return max(passed, key=lambda entry: entry.budget, default=None)

    @property
    def budget(self) -> float:
        """What the best plan was made for, 0 where there is none."""
        return self.best.budget if self.best else 0.0


def fit(choose: Choose, verify: Verify, *, first: float) -> Fitted:
    """Find the budget whose plan passes and takes most of what is allowed, from ``first`` on.

    Each plan is verified once.  A budget is tightened where its plan takes too much and loosened
    where it takes less than enough, while other plans come of it.
    """
    tried: list[Tried] = []
    budget: float | None = first
    repeats = 0
    while budget is not None and len(tried) < MOST_STEPS:
        choices = choose(budget)
        known = next((entry.spent for entry in tried if same(entry.choices, choices)), None)
        repeats = 0 if known is None else repeats + 1
        tried.append(Tried(budget, choices, spent(choices, verify) if known is None else known))
        budget = next_budget(tried, repeats)
    return Fitted(tuple(tried))


def same(one: Sequence[Choice], other: Sequence[Choice]) -> bool:
    """Whether two plans do the same, for whatever reasons."""
    return [c.model_copy(update={"reason": ""}) for c in one] == [
        c.model_copy(update={"reason": ""}) for c in other
    ]


def spent(choices: Sequence[Choice], verify: Verify) -> float:
    """The share of what is allowed that a plan takes; exact ones take none."""
    if not any(map(is_lossy, choices)):
        return 0.0
    return verify(choices).verification.spent


def next_budget(tried: Sequence[Tried], repeats: int) -> float | None:
    """The budget to try after ``tried``, or None where no other would do better.

    The last ``repeats`` budgets gave plans that were there before.
    """
    low = max((t for t in tried if t.passed), key=lambda t: t.budget, default=None)
    high = min((t for t in tried if not t.passed), key=lambda t: t.budget, default=None)
    if low is None:
        assert high is not None
        return high.budget * ratio(high.spent, most=1 / CLOSE)
    if low.spent >= ENOUGH or repeats >= MOST_REPEATS:
        return None
    if high is None:
        return low.budget * ratio(low.spent, least=CLOSE)
    return between(low, high)


def ratio(spent: float, *, least: float = 1 / FARTHEST, most: float = FARTHEST) -> float:
    """What to multiply a budget by, of which ``spent`` was taken."""
    if math.isnan(spent):
        return 1 / FARTHEST
    wanted = AIM / spent if spent > 0 else FARTHEST
    return min(max(wanted, least), most)


def between(low: Tried, high: Tried) -> float | None:
    """The budget between one that passes and one that does not where all should be taken."""
    span = math.log(high.budget / low.budget)
    if span < math.log(CLOSE):
        return None
    share = 0.5
    if low.spent > 0 and high.spent < math.inf:
        share = math.log(AIM / low.spent) / math.log(high.spent / low.spent)
    return low.budget * math.exp(span * min(max(share, 0.1), 0.9))
