"""Where a network is sparse and what pruning it would be worth; nothing is changed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
import onnx_ir as ir

from sparsepass.limits import MOST_BYTES
from sparsepass.pictures import ImageTransform
from sparsepass.pipeline.advising import advice_of
from sparsepass.pipeline.assemble import analysis_of, unproven_analysis
from sparsepass.pipeline.prices import prices_for
from sparsepass.pipeline.stages import Unproven
from sparsepass.pipeline.study import study, working_on
from sparsepass.profile import MachineProfile
from sparsepass.report.schema import Analysis
from sparsepass.run import Progress, RunOptions, silent
from sparsepass.samples import SampleSource

if TYPE_CHECKING:
    import torch

__all__ = ["analyze"]


def analyze(
    model: "str | Path | bytes | onnx.ModelProto | ir.Model | torch.nn.Module",
    *,
    samples: SampleSource | None = None,
    image_transform: ImageTransform | None = None,
    threads: int = 1,
    shapes: Mapping[str, Sequence[int]] | None = None,
    example_inputs: tuple[Any, ...] | None = None,
    profile: MachineProfile | None = None,
    isa: str | None = None,
    seed: int = 0,
    max_bytes: int = MOST_BYTES,
    progress: Progress = silent,
) -> Analysis:
    """Measure where ``model`` is sparse, say what pruning would be worth, and change nothing.

    See ``optimize`` for the arguments.  The advice is predicted, by the prices of ``profile``, or
    those for this machine.
    """
    options = RunOptions(
        threads=threads,
        isa=isa,
        seed=seed,
        progress=progress,
        samples=samples,
        image_transform=image_transform,
        shapes=shapes or {},
        max_bytes=max_bytes,
    )
    prices = prices_for(options, profile)
    with working_on(model):
        studied = study(model, options, example_inputs, prices.target)
        if isinstance(studied, Unproven):
            return unproven_analysis(studied, options)
        advice = advice_of(studied, prices.costs, options)
    warnings = () if prices.warning is None else (prices.warning,)
    return analysis_of(studied, options, prices.elsewhere).model_copy(
        update={"advice": advice, "warnings": warnings}
    )
