"""Times of whole networks."""

from sparsepass.report.schema.value import Value, ratio

__all__ = ["Engine", "Latency", "NetworkTime"]


class Latency(Value):
    """Time of one inference over ``runs`` runs."""

    median_ms: float
    p10_ms: float
    p90_ms: float
    runs: int


class Engine(Value):
    """An engine: ours on the optimized model, others on the original.

    ``absent`` says why there is no latency.
    """

    name: str
    version: str = ""
    latency: Latency | None = None
    absent: str = ""


class NetworkTime(Value):
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
        return ratio(self.before.median_ms, self.after.median_ms)
