"""Layers added up: by algorithm, by refusal, by how good the predictions were."""

from collections import Counter
from collections.abc import Sequence

from sparsepass.report.schema.layers import LayerReport
from sparsepass.report.schema.value import Value, ratio

__all__ = ["AlgorithmTotal", "RefusalTotal", "Selector", "refusal_total", "total"]


class Selector(Value):
    """How good the predictions were, over the ``layers`` of which two offers or more have times.

    ``best_share`` is the share of layers whose predicted best is the measured best; ``regret`` the
    times of the former, added up, over those of the latter, minus one.
    """

    layers: int
    best_share: float
    regret: float


class AlgorithmTotal(Value):
    """All layers of one algorithm together."""

    algorithm: str
    layers: int
    dense_us: float
    now_us: float

    @property
    def speedup(self) -> float:
        """Dense time over the time now."""
        return ratio(self.dense_us, self.now_us)


class RefusalTotal(Value):
    """All refusals of one algorithm; ``reason`` is the commonest of ``reasons`` different ones."""

    algorithm: str
    layers: int
    reason: str
    reasons: int


def total(name: str, layers: Sequence[LayerReport]) -> AlgorithmTotal:
    """The total of the ``layers`` that have the algorithm called ``name``."""
    return AlgorithmTotal(
        algorithm=name,
        layers=len(layers),
        dense_us=sum(layer.dense.best_us for layer in layers),
        now_us=sum(layer.now.best_us for layer in layers),
    )


def refusal_total(name: str, counts: Counter[str]) -> RefusalTotal:
    """The total of an algorithm's refusals, ``counts`` by reason."""
    return RefusalTotal(
        algorithm=name,
        layers=counts.total(),
        reason=counts.most_common(1)[0][0],
        reasons=len(counts),
    )
