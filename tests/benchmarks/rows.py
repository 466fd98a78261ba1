"""What the benchmarks measure, one row each."""

from datetime import date

from pydantic import BaseModel, ConfigDict, Field

from sparsepass.report.schema import Engine, Latency, Machine, PairedAnswers
from sparsepass.runtime.library import instruction_set


class Row(BaseModel):
    """A measurement, with where and when it was taken.

    ``host`` is the widest instruction set of the machine, which the other engines run with.
    """

    model_config = ConfigDict(frozen=True)

    machine: Machine
    host: str = Field(default_factory=instruction_set)
    day: str = Field(default_factory=lambda: date.today().isoformat())

    @property
    def place(self) -> str:
        """The processor and the instruction set of our kernels: rows of two are never mixed."""
        return place_of(self.machine, self.host)


def place_of(machine: Machine, host: str) -> str:
    """The heading that a machine and an instruction set have on the pages."""
    kernels = machine.isa if machine.isa == host else f"{machine.isa} kernels on {host}"
    return f"{machine.cpu}, {kernels}"


class LayerRow(BaseModel):
    """A layer: its algorithm, multiply-adds and microseconds, as given and as optimized."""

    model_config = ConfigDict(frozen=True)

    name: str
    shape: str
    zeros: float
    algorithm: str
    dense_macs: float
    macs: float
    before_us: float
    after_us: float


class NetworkRow(Row):
    """A network of a sparsity in percent before and after, and its layers.

    ``peak_gflops`` is what the machine can do at most with as many threads.
    """

    network: str
    sparsity: int
    batch: int
    before: Latency
    after: Latency
    peak_gflops: float
    layers: tuple[LayerRow, ...]

    @property
    def speedup(self) -> float:
        return self.before.median_ms / self.after.median_ms


class PeerRow(Row):
    """A model in every engine there is, by input: the first one it was optimized with.

    ``algorithms`` counts layers.
    """

    algorithms: dict[str, int]
    runs: dict[str, tuple[Engine, ...]]


class KernelRow(Row):
    """An algorithm for one layer, without ONNX Runtime, on the instruction set of ``machine``.

    ``weight_zeros`` and ``input_zeros`` are shares; rates count two operations per multiply-add, of
    the dense layer and of what the algorithm really does.
    """

    network: str
    layer: str
    shape: str
    algorithm: str
    weight_zeros: float
    input_zeros: float
    microseconds: float
    dense_gflops: float
    gflops: float
    peak_gflops: float


class OfferRow(BaseModel):
    """An offer for a layer: microseconds inside the network, predicted and measured."""

    model_config = ConfigDict(frozen=True)

    layer: str
    shape: str
    kind: str
    algorithm: str
    parameters: dict[str, int]
    predicted_us: float
    measured_us: float


class PlanRow(BaseModel):
    """A plan of a network by the way it was chosen, timed in turn with all others."""

    model_config = ConfigDict(frozen=True)

    method: str
    median_ms: float
    p10_ms: float


class SelectorRow(Row):
    """A network: every offer of every layer, and the plans that were chosen from them."""

    network: str
    offers: tuple[OfferRow, ...]
    plans: tuple[PlanRow, ...]


class LossyTime(BaseModel):
    """One of the networks of a lossy case: its time, its size, and what it does to the outputs.

    ``error`` is relative, ``answers`` and ``agreement`` (a share) are those of classifiers,
    ``psnr_db`` is that of networks that enlarge pictures, the mean of some whose truth is known.
    """

    model_config = ConfigDict(frozen=True)

    network: str
    median_ms: float
    size_bytes: int
    error: float
    answers: PairedAnswers | None
    agreement: float | None
    psnr_db: float | None = None


class LossyRow(Row):
    """A network within a limit, fitted on one ``half`` of its pictures and judged on the other.

    ``asked_error`` is what the run measured on pictures that it held out itself; it took
    ``seconds``.
    """

    case: str
    half: str
    seconds: float
    asked_error: float | None
    lossy_layers: int
    times: tuple[LossyTime, ...]

    def speedup(self, base: str, network: str) -> float:
        """The time of ``base`` over that of ``network``."""
        times = {time.network: time.median_ms for time in self.times}
        return times[base] / times[network]
