"""The proof, for two files: does the optimized model give the outputs of the original?"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx_ir as ir

from sparsepass.errors import VerificationError
from sparsepass.graph import layers
from sparsepass.model import load, to_bytes
from sparsepass.pictures import ImageTransform
from sparsepass.pipeline.prepare import prepare
from sparsepass.pipeline.prove import DERIVATION, LOSSY_DERIVATION, is_lossy, runner
from sparsepass.pipeline.stages import Progress, step
from sparsepass.pipeline.study import RANDOM_SAMPLES, SampleSource
from sparsepass.plan import PLAN_KEY, Plan
from sparsepass.report.schema import Verification
from sparsepass.runtime.session import plain_session, session
from sparsepass.samples import inputs_of, load_samples, random_samples
from sparsepass.verify import compare, rounding_tolerance

__all__ = ["certify", "plan_in"]


def plan_in(model: ir.Model) -> Plan | None:
    """The plan that an optimized file carries, or None."""
    text = model.metadata_props.get(PLAN_KEY)
    return None if text is None else Plan.model_validate_json(text)


def certify(
    original: Path,
    optimized: Path,
    *,
    samples: SampleSource | None,
    image_transform: ImageTransform | None,
    shapes: Mapping[str, Sequence[int]],
    threads: int,
    max_error: float | None,
    seed: int,
    progress: Progress,
) -> dict[str, Verification]:
    """Compare outputs with the op library and without; raises VerificationError where one differs.

    Files whose plan is exact are held to the rounding of the arithmetic, others to ``max_error`` or,
    without it, to the budget the plan was made for.
    """
    source, rewritten = load(original, shapes=shapes), load(optimized, shapes=shapes)
    inputs = inputs_of(source, shapes)
    given = (
        random_samples(inputs, seed=seed, count=RANDOM_SAMPLES)
        if samples is None
        else load_samples(samples, inputs, transform=image_transform, seed=seed)
    )
    plan = plan_in(rewritten)
    lossy = plan is not None and any(map(is_lossy, plan.choices))
    allowed = max_error or (plan.max_error if plan is not None else 0.0)
    prepared = source.clone()
    prepare(prepared)
    tolerance = rounding_tolerance(layers(prepared, shapes).layers)
    reference = runner(plain_session(to_bytes(source), threads=threads))
    content = to_bytes(rewritten)
    proofs: dict[str, Verification] = {}
    for name, open_session in (("with the op library", session), ("without", plain_session)):
        compared = compare(
            reference,
            runner(open_session(content, threads=threads)),
            given,
            step(progress, f"comparing {name}"),
        )
        if lossy or max_error:
            proof = Verification(
                max_absolute_error=compared.relative,
                max_relative_error=compared.relative,
                tolerance=allowed,
                derivation=LOSSY_DERIVATION,
                samples=compared.samples,
                top1_agreement=compared.top1,
            )
        else:
            proof = compared.verification(tolerance, DERIVATION)
        if not proof.passed:
            raise VerificationError(
                f"{optimized}: {name}, outputs differ by {proof.max_absolute_error:.3g}, allowed are "
                f"{proof.tolerance:.3g}; optimize {original} again"
            )
        proofs[name] = proof
    return proofs
