"""Verification of two files: does the optimized model give the outputs of the original?"""

from dataclasses import replace
from functools import partial
from pathlib import Path

import onnx_ir as ir
from pydantic import ValidationError

from sparsepass.errors import PlanError, UsageError, VerificationError
from sparsepass.model import load, to_bytes
from sparsepass.network import plain_session, runner
from sparsepass.passes import without_cuts
from sparsepass.pipeline.judging import judged
from sparsepass.pipeline.noise import rounding_noise
from sparsepass.pipeline.stages import Prepared, Unproven
from sparsepass.pipeline.study import read, samples_for, working_on
from sparsepass.pipeline.trials import EXACT_SAMPLES, open_batches, with_other_batches
from sparsepass.plan import PLAN_KEY, Plan
from sparsepass.report.schema import Verification
from sparsepass.run import RunOptions
from sparsepass.runtime.ops import DOMAIN
from sparsepass.runtime.session import session
from sparsepass.samples import inputs_of
from sparsepass.verify import compare, rounding_tolerances

__all__ = ["plan_in", "verify_files"]


def plan_in(model: ir.Model) -> Plan | None:
    """The plan that an optimized file carries, or None; raises PlanError where it is broken."""
    text = model.metadata_props.get(PLAN_KEY)
    try:
        return None if text is None else Plan.model_validate_json(text)
    except ValidationError as error:
        raise PlanError(
            "the plan in its metadata is not one; optimize the original again"
        ) from error


def verify_files(
    original: Path, optimized: Path, options: RunOptions, *, max_error: float | None = None
) -> dict[str, Verification]:
    """Compare outputs with the op library and without; raises VerificationError where they differ.

    A network with an open batch is compared at other batches too.
    Files whose plan is exact are held to the rounding of the arithmetic, others to the budget that
    the plan was made for.  ``max_error`` overrules both; 0 asks for rounding only.  A maximal drop
    of ``options`` is held by files of lossy plans besides.  Within a budget the op library is held
    to what the function bodies of the same file give, with inputs as they are, see ``Trials``.
    """
    with working_on(original):
        prepared = fed(read(original, options), options)
        given = samples_for(prepared.inputs, options)
        if options.samples is not None:
            given, _ = judged(prepared, given, options)
        reference = runner(plain_session(prepared.content, threads=options.threads))
        noise = rounding_noise(prepared, given, options)
        given = with_other_batches(given, open_batches(prepared.original), reference)
    verified: dict[str, Verification] = {}
    with working_on(optimized):
        rewritten = load(optimized, shapes=options.shapes)
        plan = plan_in(rewritten)
        if max_error is None:
            max_error = plan.output_error if plan else 0.0
        tolerances = rounding_tolerances(noise, prepared.found.layers)
        names = [spec.name for spec in prepared.inputs]
        if {v.name for v in rewritten.graph.inputs} - set(rewritten.graph.initializers) != {*names}:
            raise UsageError(
                f"{optimized}: has other inputs than {original} ({', '.join(names)}); "
                "give what was made of it"
            )
        content = to_bytes(rewritten)
        ours = partial(session, isa=options.isa)
        for name, open_session in (("with the op library", ours), ("without", plain_session)):
            run = runner(open_session(content, threads=options.threads))
            compared = compare(reference, run, given, options.step(f"comparing {name}"))
            verified[name] = (
                compared.within(max_error, options.max_drop)
                if max_error
                else compared.exact(tolerances)
            )
        if max_error and any(node.domain == DOMAIN for node in rewritten.graph.all_nodes()):
            smooth, few = to_bytes(without_cuts(rewritten)), given.last(EXACT_SAMPLES)
            bodies, library = (
                runner(open_session(smooth, threads=options.threads))
                for open_session in (plain_session, ours)
            )
            name = "the op library against function bodies"
            done = options.step(f"comparing {name}")
            verified[name] = compare(bodies, library, few, done).exact(tolerances)
    for name, found in verified.items():
        if not found.drop_passed and found.answers is not None:
            raise VerificationError(
                f"{optimized}: {name}, right answers drop by {found.answers.judged[0]:.3g} "
                f"points, allowed are {options.max_drop:g}; optimize {original} again"
            )
        if not found.passed:
            raise VerificationError(
                f"{optimized}: {name}, outputs differ by {found.max_absolute_error:.3g}, allowed "
                f"are {found.tolerance:.3g} ({found.derivation}); optimize {original} again"
            )
    return verified


def fed(found: Prepared | Unproven, options: RunOptions) -> Prepared:
    """A network with its inputs; raises UsageError where nothing can be made up for one."""
    if isinstance(found, Prepared):
        return found
    return replace(found.prepared, inputs=inputs_of(found.prepared.original, options.shapes))
