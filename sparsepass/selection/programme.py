"""An integer programme, stated row by row."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from scipy import optimize
from scipy.sparse import csr_array

from sparsepass.errors import PlanError
from sparsepass.muted import muted

_optimize = cast(Any, optimize)  # its types are partial

__all__ = ["Problem"]

SOLVER_SECONDS = 60.0


@dataclass
class Problem:
    """An integer programme that grows: least cost under linear constraints, variables in [0, 1]."""

    costs: list[float] = field(default_factory=list[float])
    integral: list[int] = field(default_factory=list[int])
    rows: list[tuple[list[int], list[float], float, float]] = field(
        default_factory=list[tuple[list[int], list[float], float, float]]
    )

    def binary(self, cost: float) -> int:
        """Add a variable that is 0 or 1 and return its index."""
        self.integral.append(1)
        self.costs.append(cost)
        return len(self.costs) - 1

    def continuous(self, cost: float) -> int:
        """Add a variable between 0 and 1; integral where the variables that bound it are."""
        self.integral.append(0)
        self.costs.append(cost)
        return len(self.costs) - 1

    def pick_one(self, variables: Sequence[int]) -> None:
        """Demand that exactly one variable is 1."""
        self.rows.append((list(variables), [1.0] * len(variables), 1.0, 1.0))

    def at_most(self, variables: Sequence[int], factors: Sequence[float], limit: float) -> None:
        """Demand that the weighted sum is at most ``limit``."""
        self.rows.append((list(variables), list(factors), -math.inf, limit))

    def solve(self) -> list[float]:
        """Return the best values; raises PlanError where there are none or time runs out."""
        matrix = csr_array(
            (
                [f for _, factors, _, _ in self.rows for f in factors],
                [v for variables, _, _, _ in self.rows for v in variables],
                np.cumsum([0, *(len(row[0]) for row in self.rows)]),
            ),
            shape=(len(self.rows), len(self.costs)),
        )
        matrix.sum_duplicates()
        _, _, low, high = zip(*self.rows, strict=True)
        with muted():
            result = _optimize.milp(
                self.costs,
                integrality=self.integral,
                bounds=_optimize.Bounds(0, 1),
                constraints=_optimize.LinearConstraint(matrix, low, high),
                options={"time_limit": SOLVER_SECONDS, "mip_rel_gap": 0.0},
            )
        if result.status == 2:
            raise PlanError("no plan fits the memory limit; raise it")
        if result.x is None or result.status != 0:
            raise PlanError(
                f"no plan found in {SOLVER_SECONDS:.0f} s ({result.message}); set a smaller budget"
            )
        return [float(v) for v in result.x]
