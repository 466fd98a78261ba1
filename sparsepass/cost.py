"""Counted work to microseconds.

The time of a layer is a sum over what ``algorithms.Work`` counts, each with a price of its own.
Prices differ between kinds of layers, because ONNX Runtime runs them on different kernels: in its
blocked layout, from NCHW into it (first layers), grouped, depthwise, or through im2col where blocks
of channels do not fit.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sparsepass.algorithms import DENSE, Algorithm, Option, Work, algorithm, dense_work
from sparsepass.errors import PlanError
from sparsepass.graph.layout import convolution_ends
from sparsepass.layer import Layer
from sparsepass.profile import MachineProfile, Rates, Transfer
from sparsepass.target import Target

__all__ = ["FEATURES", "CostModel", "features", "kind"]

# What has a price, in the order of ``features``.
FEATURES = (
    "nodes", "macs", "moves", "input_bytes", "output_bytes", "weight_bytes", "copied_bytes",
)  # fmt: skip

MILLION = 1e6


def features(work: Work) -> tuple[float, ...]:
    """What is paid for: nodes, and millions of the rest; idle multiply-adds take time too."""
    return (
        float(work.nodes),
        (work.macs + work.idle_macs) / MILLION,
        work.moves / MILLION,
        work.input_bytes / MILLION,
        work.output_bytes / MILLION,
        work.weight_bytes / MILLION,
        work.copied_bytes / MILLION,
    )


def kind(row: Algorithm, layer: Layer, block: int) -> str:
    """Which prices a layer has: layers of one kind run on one kernel."""
    if row.op:
        return row.kernel(layer)
    if layer.op_type != "Conv":
        return "product"
    reads, writes = convolution_ends(layer, block)
    if writes and not reads:
        return "first-pointwise" if layer.is_pointwise else "first"
    if not reads:
        return "unblocked" if layer.groups == 1 else "unblocked-groups"
    if layer.groups > 1:
        return "depthwise" if layer.is_depthwise else "grouped"
    return "pointwise" if layer.is_pointwise else "spatial"


@dataclass(frozen=True)
class CostModel:
    """Prices of one machine; see ``MachineProfile``.

    They are ``trusted`` where that is the machine at hand.
    """

    profile: MachineProfile
    trusted: bool = True

    @property
    def target(self) -> Target:
        """What the work is counted for that the prices were fitted to."""
        return self.profile.target

    def knows(self, algorithm_name: str) -> bool:
        """Tell whether the profile has prices for an algorithm."""
        return bool(self.profile.rates.get(algorithm_name))

    def price(self, row: Algorithm, layer: Layer, option: Option) -> float:
        """Microseconds of one option; a chain costs what its dense layers cost."""
        chain = sum(
            self.predict(DENSE.name, part, dense_work(part, self.target.block))
            for part in option.chain
        )
        if option.chain and not row.op:
            return chain
        around = self.around(option.chain) if option.chain else 0.0
        return self.predict(row.priced_as, layer, option.work) + chain + around

    def around(self, chain: Sequence[Layer]) -> float:
        """Microseconds of the layout changes at both ends of a chain between NCHW tensors."""
        reads, _ = convolution_ends(chain[0], self.target.block)
        _, writes = convolution_ends(chain[-1], self.target.block)
        into = self.to_blocked(4 * chain[0].input_size) if reads else 0.0
        return into + (self.from_blocked(4 * chain[-1].output_size) if writes else 0.0)

    def predict(self, algorithm_name: str, layer: Layer, work: Work) -> float:
        """Microseconds of one layer inside a network, without layout changes.

        Raises PlanError where the profile does not know the algorithm.
        """
        return priced(self.rates(algorithm_name, layer), work)

    def error(self, algorithm_name: str, layer: Layer) -> float:
        """Median error of predictions of this kind, a share of the time."""
        return self.rates(algorithm_name, layer).median_error

    def rates(self, algorithm_name: str, layer: Layer) -> Rates:
        """Prices of this kind of layer, or of the kind that was measured most."""
        row, known = algorithm(algorithm_name), self.profile.rates.get(algorithm_name)
        if row is None or not known:
            raise PlanError(
                f"the profile of {self.profile.cpu} has no prices for {algorithm_name}; "
                "run sparsepass calibrate"
            )
        most = max(known.values(), key=lambda rates: rates.samples)
        return known.get(kind(row, layer, self.target.block), most)

    def to_blocked(self, size: float) -> float:
        """Microseconds to bring a tensor of ``size`` bytes into ONNX Runtime's blocked layout."""
        return transfer(self.profile.to_blocked, size)

    def from_blocked(self, size: float) -> float:
        """Microseconds to bring a tensor of ``size`` bytes back to NCHW."""
        return transfer(self.profile.from_blocked, size)

    def pass_over(self, size: float) -> float:
        """Microseconds of a node that only moves ``size`` bytes in all, such as an Add."""
        return transfer(self.profile.pass_over, size)

    def unblocked(self, op_type: str, size: float) -> float:
        """Microseconds that a node that moves ``size`` bytes takes more in NCHW than blocked."""
        price = self.profile.unblocked.get(op_type)
        return transfer(price, size) if price else 0.0


def priced(rates: Rates, work: Work) -> float:
    return sum(
        getattr(rates, name) * amount for name, amount in zip(FEATURES, features(work), strict=True)
    )


def transfer(rates: Transfer, size: float) -> float:
    return rates.fixed + rates.bytes * size / MILLION
