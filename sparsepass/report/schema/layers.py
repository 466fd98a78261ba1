"""A layer as it came, and what became of it."""

from pydantic import Field

from sparsepass.plan import Answer, Choice, Offer, Refusal
from sparsepass.report.schema.value import Value, ratio
from sparsepass.sparsity import ActivationStats, WeightStats

__all__ = ["Bought", "LayerAnalysis", "LayerReport", "LayerTime", "LossyOption"]

# A choice that won fewer of its turns is a close call.
SURE = 0.75


class LayerAnalysis(Value):
    """One layer as it came.  ``macs`` are dense multiply-adds of the whole batch."""

    name: str
    op_type: str
    shape: str
    macs: int
    weight: WeightStats
    input: ActivationStats | None = None

    @property
    def weight_zeros(self) -> float:
        """Share of zero weights."""
        return 1.0 - self.weight.density

    @property
    def input_zeros(self) -> float | None:
        """Mean share of zeros in the input, or None where no samples were given."""
        return None if self.input is None else self.input.zeros_mean


class LayerTime(Value):
    """Time of one layer; measured means inside the network."""

    predicted_us: float
    measured_us: float | None = None

    @property
    def best_us(self) -> float:
        """The best knowledge there is: measured, else predicted."""
        return self.predicted_us if self.measured_us is None else self.measured_us


class LossyOption(Value):
    """An offer with the relative error of the layer, and what it is expected to do to outputs."""

    algorithm: str
    parameters: dict[str, int] = Field(default_factory=dict[str, int])
    microseconds: float
    layer_error: float
    output_error: float


class Bought(Value):
    """What a lossy layer takes, and its neighbours among the offers that nothing beats.

    ``cheaper`` has less error and takes longer, ``dearer`` is faster for more error.
    """

    taken: LossyOption
    cheaper: LossyOption | None = None
    dearer: LossyOption | None = None


class LayerReport(LayerAnalysis):
    """One layer and what became of it.

    ``fate`` is empty where the first choice stood, else says why it did not, such as "returned to
    dense: the whole network was not faster".  ``epilogue`` names the ops fused into the layer.
    ``packed_bytes`` is what the weight takes in the file, ``memory_bytes`` about what it takes in
    the form that its kernel holds, generated code included.  ``workspace_bytes`` is what kernels
    hold of the input of one image at the mean density, where that grows with the layer;
    ``paper_workspace_bytes`` is what algorithms need by the formulas of arXiv 2104.08314.  Both are
    empty where the input is not known.  ``certainty`` is the share of turns in which the chosen
    offer took less time than the best other one; None where these two were not measured.
    ``bought`` is there for lossy choices.
    """

    bids: tuple[Answer, ...]
    chosen: Choice
    dense: LayerTime
    now: LayerTime
    certainty: float | None = None
    dense_bytes: int
    packed_bytes: int
    memory_bytes: int
    workspace_bytes: dict[str, int] = Field(default_factory=dict[str, int])
    paper_workspace_bytes: dict[str, int] = Field(default_factory=dict[str, int])
    epilogue: str = ""
    fate: str = ""
    bought: Bought | None = None

    @property
    def speedup(self) -> float:
        """Dense time over the time now."""
        return ratio(self.dense.best_us, self.now.best_us)

    @property
    def is_close_call(self) -> bool:
        """Whether the best other offer may well be as fast as the choice."""
        return self.certainty is not None and self.certainty < SURE

    @property
    def offers(self) -> tuple[Offer, ...]:
        """What could compute the layer, fastest first."""
        offers = (answer for answer in self.bids if isinstance(answer, Offer))
        return tuple(sorted(offers, key=lambda offer: offer.microseconds))

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """What could not, in the order it was asked."""
        return tuple(answer for answer in self.bids if isinstance(answer, Refusal))

    def is_chosen(self, offer: Offer) -> bool:
        """Whether ``offer`` is the one that was taken."""
        taken = (self.chosen.algorithm, self.chosen.parameters)
        return (offer.algorithm, offer.parameters) == taken
