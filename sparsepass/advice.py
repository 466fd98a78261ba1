"""What pruning would be worth, as a value: for each layer, for a few together, for all of them."""

from dataclasses import dataclass, field

__all__ = ["Advice", "Curve", "CurvePoint", "FirstLayer", "LayerAdvice"]


@dataclass(frozen=True)
class LayerAdvice:
    """One layer; times in microseconds, zeros as shares of its weights.

    ``now_us`` is of the layer by ``algorithm`` in the predicted plan.  From ``pays_from`` on (None:
    never) another algorithm wins than without zeros, from ``enough_at`` on more zeros save little:
    between the two lies the window for pruning.  ``savings_us`` maps shares of zeros ("80%") and
    patterns ("2:4") to what the whole network would take less, 0 where the layer has as many
    already.  ``weight_zeros_us`` and ``input_zeros_us`` are what the zeros that it has now are
    worth in the layer, each kind alone; the latter is None without samples.
    """

    layer: str
    algorithm: str
    now_us: float
    pays_from: float | None
    enough_at: float | None
    savings_us: dict[str, float]
    weight_zeros_us: float
    input_zeros_us: float | None = None

    @property
    def worth_more(self) -> str:
        """Which zeros save more time: of the "weights", of the "input", or "neither"."""
        if self.input_zeros_us is None or max(self.input_zeros_us, self.weight_zeros_us) <= 0:
            return "neither" if self.weight_zeros_us <= 0 else "weights"
        return "input" if self.input_zeros_us > self.weight_zeros_us else "weights"


@dataclass(frozen=True)
class FirstLayer:
    """A layer to prune, after those before it: what that saves, and the network's time then."""

    layer: str
    zeros: float
    saves_us: float
    network_us: float


@dataclass(frozen=True)
class CurvePoint:
    """The network with the same share of zeros in every layer but the first ones."""

    zeros: float
    network_us: float
    speedup: float


@dataclass(frozen=True)
class Curve:
    """Time over zeros for a batch; ``dense_us`` is plain ONNX Runtime's."""

    batch: int
    dense_us: float
    points: tuple[CurvePoint, ...]


@dataclass(frozen=True)
class Advice:
    """What pruning would be worth, by the prices of ``profile``.

    Times are of the whole network and the batch of the plan: layers, layout changes, and the other
    operators (``rest_us``) as passes over their data.  ``kept`` are the first layers of the
    network, which ``first`` and ``curves`` leave as they are.
    """

    profile: str
    dense_us: float
    now_us: float
    rest_us: float
    layers: tuple[LayerAdvice, ...]
    first: tuple[FirstLayer, ...]
    kept: tuple[str, ...] = ()
    curves: tuple[Curve, ...] = field(default_factory=tuple)

    def layer(self, name: str) -> LayerAdvice | None:
        """The advice on one layer."""
        return next((found for found in self.layers if found.layer == name), None)
