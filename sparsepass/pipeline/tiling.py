"""Groups of images that go through the network together, found by timing.

Op by op, a large batch is bound by memory: the feature maps of all images leave the caches between
any two layers.  Those of a few images stay there, but each group reads the weights again.  So the
late layers, of small feature maps and large weights, may be faster on the whole batch.
"""

import math
from collections.abc import Iterable
from dataclasses import replace

import onnx_ir as ir

from sparsepass.errors import PlanError
from sparsepass.graph import Batch, nodes_before
from sparsepass.passes import TileBatch
from sparsepass.pipeline.search import Outcome, faster
from sparsepass.pipeline.stages import Studied
from sparsepass.pipeline.trials import Candidate, Trials
from sparsepass.plan import Tiling
from sparsepass.runtime.timing import interleave

__all__ = ["check_tiling", "tile"]

# Larger groups than single images, tried as far as those go best.
GROUPS = (2, 4)
# Points of the network up to which groups are tried, the last ones: each costs rounds of timing.
MOST_ENDS = 3


def check_tiling(studied: Studied, tiling: Tiling) -> None:
    """Raise PlanError where the network cannot be run in the groups that a plan asks for."""
    prepared = studied.prepared
    batch = prepared.batch
    reason = batch if isinstance(batch, str) else tiler(batch, tiling).refuse(prepared.model)
    if reason:
        raise PlanError(
            f"plan: groups of {tiling.micro_batch} images: {reason}; remove tiling or plan again"
        )


def tile(outcome: Outcome, trials: Trials, given: Tiling | None = None) -> Outcome:
    """The outcome with its batch in groups of images, where that is faster and verified.

    Single images are tried first, through the whole network and up to the points of ``ends``, then
    larger groups up to the best of these.  ``given``, of a replayed plan, is tried alone, and
    needs only be right where the plan is for another machine.
    """
    prepared, whole = trials.studied.prepared, outcome.candidate
    batch = prepared.batch
    if isinstance(batch, str) or trials.images == 1 or (not trials.options.timed and not given):
        return outcome
    model = prepared.model if outcome.untouched else whole.model

    def candidates(tilings: Iterable[Tiling]) -> list[Candidate]:
        possible = [t for t in tilings if tiler(batch, t).refuse(model) is None]
        return [trials.make(whole.choices, tiling) for tiling in possible]

    if given:
        found = candidates([given])
    else:
        points = (None, *ends(model.graph, batch))
        found = candidates(Tiling(micro_batch=1, until=point) for point in points)
        if found:
            best = fastest(found, trials)
            until = best.tiling.until if best.tiling else None
            groups = candidates(Tiling(micro_batch=m, until=until) for m in GROUPS)
            found = [fastest([best, *groups], trials)]
    if not found:
        return outcome
    if not trials.options.timed:
        return replace(outcome, candidate=found[0]) if trials.verify(found[0]).passed else outcome
    before, (plain, after) = trials.time([whole, *found])
    if not (faster(after, plain) and faster(after, before)):
        return outcome
    verified = trials.verify(found[0])
    if not verified.passed:
        return outcome
    return Outcome(found[0], verified, before, after, outcome.fates, fitted=outcome.fitted)


def tiler(batch: Batch, tiling: Tiling) -> TileBatch:
    """The pass that carries out ``tiling``."""
    return TileBatch(batch, tiling.micro_batch, tiling.until)


def ends(graph: ir.Graph, batch: Batch) -> list[str]:
    """The last points where later nodes need one tensor only, before feature maps shrink."""
    last: dict[tuple[int, ...], str] = {}
    for node in reversed(graph):
        value = node.outputs[0]
        name = value.name or ""
        size = batch.shapes.get(name, ())[2:]
        if len(last) == MOST_ENDS:
            break
        # Asked last: the answer takes a walk through all that comes before.
        new = size not in last and name in batch.images and math.prod(size) > 1
        if new and nodes_before(graph, value):
            last[size] = name
    return list(last.values())[::-1]


def fastest(candidates: list[Candidate], trials: Trials) -> Candidate:
    """The candidate of least median time, timed in turn."""
    if len(candidates) == 1:
        return candidates[0]
    feed = trials.studied.held_out[0]
    timings = interleave(
        [lambda run=candidate.run: run(feed) for candidate in candidates],
        progress=trials.options.step("timing groups of images"),
    )
    best = min(range(len(candidates)), key=lambda i: timings[i].median_ms)
    return candidates[best]
