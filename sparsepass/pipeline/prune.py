"""Pruning to a plain ONNX file: zeros in the weights of the original graph, and nothing else.

It buys zeros as ``optimize`` does, layer by layer where they pay, from the rows whose settings are
percentages of ``zeros``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
import onnx_ir as ir

from sparsepass.errors import UsageError
from sparsepass.labels import LabelSource
from sparsepass.model import MOST_BYTES, save
from sparsepass.pictures import ImageTransform
from sparsepass.pipeline.budget import fit
from sparsepass.pipeline.densities import fastest_reaching, sparsest
from sparsepass.pipeline.offers import collect_offers
from sparsepass.pipeline.prices import prices_for
from sparsepass.pipeline.pruning import Pruning
from sparsepass.pipeline.stages import Unproven
from sparsepass.pipeline.study import study, working_on
from sparsepass.plan import Choice
from sparsepass.profile import MachineProfile
from sparsepass.report.schema import PruneReport
from sparsepass.run import FREE, Pattern, Progress, RunOptions, silent
from sparsepass.samples import SampleSource

if TYPE_CHECKING:
    import torch

__all__ = ["Pruned", "prune"]


@dataclass(frozen=True)
class Pruned:
    """A pruned network, and what was pruned of it."""

    model: ir.Model
    report: PruneReport

    def save(self, path: str | Path) -> None:
        """Write the model, whole or not at all; raises UsageError where that is impossible."""
        save(self.model, path)


def prune(
    model: "str | Path | bytes | onnx.ModelProto | ir.Model | torch.nn.Module",
    *,
    samples: SampleSource,
    sparsity: float | None = None,
    max_error: float | None = None,
    speedup: float | None = None,
    pattern: Pattern = FREE,
    labels: LabelSource | None = None,
    image_transform: ImageTransform | None = None,
    threads: int = 1,
    shapes: Mapping[str, Sequence[int]] | None = None,
    example_inputs: tuple[Any, ...] | None = None,
    profile: MachineProfile | None = None,
    isa: str | None = None,
    seed: int = 0,
    max_bytes: int = MOST_BYTES,
    progress: Progress = silent,
) -> Pruned:
    """Set weights of ``model`` to zero that matter little to its outputs, and fit the others.

    One of three says how many: ``sparsity``, the share of zeros among the weights of all layers,
    from 0 to below 1; ``max_error``, the relative error of the outputs on held-out samples, where
    the plan of least predicted time decides; ``speedup``, the predicted time of the layers before
    over that after.  ``pattern`` says where they may be: "free", anywhere, or "1x4", in aligned
    blocks of 4 neighbouring input channels of a filter and tap, for kernels that skip these; times
    are predicted for ours, which skip any.  Biases change too, batch normalisations are folded;
    names stay.  The other arguments are those of ``optimize``, which takes the result.

    Raises ModelError for a model that cannot be used and UsageError for wrong arguments and for
    what cannot be reached.
    """
    check_aim(sparsity, max_error, speedup)
    options = RunOptions(
        threads=threads,
        isa=isa,
        seed=seed,
        progress=progress,
        samples=samples,
        labels=labels,
        image_transform=image_transform,
        shapes=shapes or {},
        max_error=max_error or 0.0,
        pruning=True,
        pattern=pattern,
        max_bytes=max_bytes,
        measure=False,
    )
    prices = prices_for(options, profile)
    options = replace(options, elsewhere=prices.elsewhere is not None)
    with working_on(model):
        studied = study(model, options, example_inputs, prices.target)
        if isinstance(studied, Unproven):
            raise UsageError(f"nothing to prune: {studied.reason}")
        pruning = Pruning.of(collect_offers(studied, prices.costs, options))
        if sparsity is not None:
            choices = sparsest(pruning.offers, sparsity)
        elif speedup is not None:
            choices = fastest_reaching(pruning.offers, speedup)
        else:
            choices = within(pruning, options.max_error)
        pruned, report = pruning.model(choices), pruning.report(choices, prices.warning)
    return Pruned(pruned, report)


def check_aim(sparsity: float | None, max_error: float | None, speedup: float | None) -> None:
    """Raise UsageError unless one aim is given that makes sense."""
    if sum(aim is not None for aim in (sparsity, max_error, speedup)) != 1:
        raise UsageError("give one of --sparsity, --max-error and --speedup: how much to prune")
    if sparsity is not None and not 0 <= sparsity < 1:
        raise UsageError(f"a sparsity of {sparsity} makes no sense; give one from 0 to below 1")
    if max_error is not None and not 0 < max_error < 1:
        raise UsageError(f"a maximal error of {max_error} makes no sense; give one between 0 and 1")
    if speedup is not None and not 1 <= speedup < 1000:
        raise UsageError(f"a speed-up of {speedup} makes no sense; give one from 1 to below 1000")


def within(pruning: Pruning, max_error: float) -> tuple[Choice, ...]:
    """The plan of least predicted time within an error on held-out samples."""
    fitted = fit(pruning.offers.choose, pruning.verify, first=max_error)
    if fitted.best is None:
        raise UsageError(
            f"no zeros that save time keep the outputs within {max_error:g}; allow more"
        )
    return fitted.best.choices
