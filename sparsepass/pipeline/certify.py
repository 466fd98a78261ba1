"""The proof, for two files: does the optimized model give the outputs of the original?"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx_ir as ir
from pydantic import ValidationError

from sparsepass.errors import PlanError, UsageError, VerificationError
from sparsepass.graph import layers
from sparsepass.model import load, to_bytes
from sparsepass.pictures import ImageTransform
from sparsepass.pipeline.noise import rounding_noise
from sparsepass.pipeline.prepare import prepare
from sparsepass.pipeline.prove import is_lossy, open_batches, with_other_batches
from sparsepass.pipeline.stages import Progress, step
from sparsepass.pipeline.study import RANDOM_SAMPLES, SampleSource, naming
from sparsepass.plan import PLAN_KEY, Plan
from sparsepass.report.schema import Verification
from sparsepass.runtime.session import plain_session, runner, session
from sparsepass.samples import inputs_of, load_samples, random_samples
from sparsepass.verify import compare, rounding_tolerances

__all__ = ["certify", "plan_in"]


def plan_in(model: ir.Model) -> Plan | None:
    """The plan that an optimized file carries, or None; raises PlanError where it is broken."""
    text = model.metadata_props.get(PLAN_KEY)
    try:
        return None if text is None else Plan.model_validate_json(text)
    except ValidationError as error:
        raise PlanError(
            "the plan in its metadata is not one; optimize the original again"
        ) from error


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
    """Compare outputs with the op library and without; raises VerificationError where they differ.

    A network with an open batch is compared at other batches too.
    Files whose plan is exact are held to the rounding of the arithmetic, others to the budget that
    the plan was made for.  ``max_error`` overrules both; 0 asks for rounding only.
    """
    with naming(original):
        source = load(original, shapes=shapes)
        inputs = inputs_of(source, shapes)
        prepared = source.clone()
        prepare(prepared)
        found = layers(prepared, shapes).layers
        given = (
            random_samples(inputs, seed=seed, count=RANDOM_SAMPLES)
            if samples is None
            else load_samples(samples, inputs, transform=image_transform, seed=seed)
        )
        reference = runner(plain_session(to_bytes(source), threads=threads))
        noise = rounding_noise(
            prepared, found, given,
            threads=threads, seed=seed, progress=step(progress, "measuring rounding"),
        )  # fmt: skip
        given = with_other_batches(given, open_batches(source), reference)
    proofs: dict[str, Verification] = {}
    with naming(optimized):
        rewritten = load(optimized, shapes=shapes)
        plan = plan_in(rewritten)
        choices = plan.choices if plan else ()
        if max_error is None:
            max_error = plan.max_error if plan and any(map(is_lossy, choices)) else 0.0
        tolerances = rounding_tolerances(noise, found)
        if {v.name for v in rewritten.graph.inputs} - set(rewritten.graph.initializers) != {
            spec.name for spec in inputs
        }:
            names = ", ".join(spec.name for spec in inputs)
            raise UsageError(
                f"{optimized}: has other inputs than {original} ({names}); give what was made of it"
            )
        content = to_bytes(rewritten)
        for name, open_session in (("with the op library", session), ("without", plain_session)):
            run = runner(open_session(content, threads=threads))
            compared = compare(reference, run, given, step(progress, f"comparing {name}"))
            proofs[name] = compared.within(max_error) if max_error else compared.exact(tolerances)
    for name, proof in proofs.items():
        if not proof.passed:
            raise VerificationError(
                f"{optimized}: {name}, outputs differ by {proof.max_absolute_error:.3g}, allowed "
                f"are {proof.tolerance:.3g} ({proof.derivation}); optimize {original} again"
            )
    return proofs
