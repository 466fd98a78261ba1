"""The advice of ``analyze`` and ``explain``, from what a run knows of its network."""

from sparsepass.advice import Advice
from sparsepass.advisor import advise
from sparsepass.cost import CostModel
from sparsepass.graph import Batch
from sparsepass.pipeline.stages import Studied
from sparsepass.run import RunOptions
from sparsepass.runtime.replacements import refuse_opset
from sparsepass.what_if import Network

__all__ = ["advice_of"]


def advice_of(studied: Studied, costs: CostModel, options: RunOptions) -> Advice | None:
    """What pruning would be worth; None for a network without layers."""
    prepared = studied.prepared
    if not studied.layers:
        return None
    network = Network(
        layers=studied.layers,
        stats=studied.stats,
        layouts=studied.layouts,
        target=studied.target,
        costs=costs,
        refuse=lambda row: refuse_opset(row, prepared.opset),
    )
    return advise(
        network,
        prepared.inputs[0].batch if prepared.inputs else 1,
        apart=isinstance(prepared.batch, Batch),
        seed=options.seed,
        progress=options.step("pricing zeros"),
    )
