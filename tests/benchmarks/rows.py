"""What the benchmarks measure, one row each."""

from datetime import date

from pydantic import BaseModel, ConfigDict, Field

from sparsepass.report.schema import Engine, Latency, Machine


class Row(BaseModel):
    """A measurement, with where and when it was taken."""

    model_config = ConfigDict(frozen=True)

    machine: Machine
    day: str = Field(default_factory=lambda: date.today().isoformat())


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
    """An algorithm on an instruction set for one layer, without ONNX Runtime.

    ``weight_zeros`` and ``input_zeros`` are shares; rates count two operations per multiply-add, of
    the dense layer and of what the algorithm really does.
    """

    network: str
    layer: str
    shape: str
    algorithm: str
    isa: str
    weight_zeros: float
    input_zeros: float
    microseconds: float
    dense_gflops: float
    gflops: float
    peak_gflops: float
