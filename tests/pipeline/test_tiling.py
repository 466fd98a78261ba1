"""Groups of images, from the choice to the file."""

from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

import sparsepass
from models_in_text import model_of, normal, op_types, proto_of
from sparsepass.errors import PlanError
from sparsepass.graph import batch_of, nodes_before
from sparsepass.model import to_bytes
from sparsepass.network import plain_session, runner
from sparsepass.passes import TileBatch
from sparsepass.pipeline import tiling
from sparsepass.pipeline.search import Outcome
from sparsepass.pipeline.tiling import ends, tile
from sparsepass.pipeline.trials import Candidate, Trials, Verified
from sparsepass.plan import Choice, Plan, Tiling
from sparsepass.run import RunOptions
from sparsepass.runtime.session import session
from sparsepass.runtime.timing import Timing

NET = """
g (float[{batch}, 8, 24, 24] x) => (float[{batch}, 8] y) {{
  [first] a = Conv<pads=[1,1,1,1]>(x, w1)
  [relu] r = Relu(a)
  [half] h = MaxPool<kernel_shape=[2,2], strides=[2,2]>(r)
  [second] c = Conv<pads=[1,1,1,1]>(h, w2)
  [add] s = Add(c, h)
  [pool] p = GlobalAveragePool(s)
  [flat] y = Flatten(p)
}}
"""
WEIGHTS = {"w1": normal(8, 8, 3, 3, seed=1), "w2": normal(8, 8, 3, 3, seed=2)}


def timing(milliseconds: float) -> Timing:
    return Timing(milliseconds, milliseconds, milliseconds, 10)


@dataclass
class Tried:
    """Trials whose networks take as long as ``times`` say, by micro-batch; 10 ms untiled."""

    times: dict[int, float]
    images: int = 4
    right: bool = True
    made: list[Tiling] = field(default_factory=list)
    options: RunOptions = field(default_factory=RunOptions)

    def __post_init__(self) -> None:
        self.model = model_of(NET.format(batch=4), **WEIGHTS)
        prepared = SimpleNamespace(model=self.model, batch=batch_of(self.model))
        self.studied = SimpleNamespace(prepared=prepared, held_out=[{}])

    def make(self, choices: tuple[Choice, ...], tiling: Tiling) -> Candidate:
        self.made.append(tiling)
        return replace(self.untiled(), tiling=tiling)

    def untiled(self) -> Candidate:
        return Candidate((), self.model, 0, lambda feed: {})

    def time(self, candidates: list[Candidate]) -> tuple[Timing, tuple[Timing, ...]]:
        groups = [c.tiling.micro_batch if c.tiling else 0 for c in candidates]
        return timing(20.0), tuple(timing(self.times.get(m, 10.0)) for m in groups)

    def verify(self, candidate: Candidate) -> Verified:
        return cast(Any, SimpleNamespace(passed=self.right))

    def tile(self, given: Tiling | None = None) -> Outcome:
        verified = cast(Any, SimpleNamespace(passed=True))
        found = Outcome(self.untiled(), verified, timing(20.0), timing(10.0), {})
        return tile(found, cast(Trials, self), given)


def test_a_faster_group_replaces_the_batch():
    outcome = Tried({1: 5.0}).tile(Tiling(micro_batch=1))

    assert outcome.candidate.tiling == Tiling(micro_batch=1)
    assert outcome.after.median_ms == 5.0


def test_a_group_that_is_not_faster_is_given_up():
    assert Tried({1: 9.95}).tile(Tiling(micro_batch=1)).candidate.tiling is None


def test_a_group_that_is_not_right_is_given_up():
    assert Tried({1: 5.0}, right=False).tile(Tiling(micro_batch=1)).candidate.tiling is None


def test_a_single_image_is_not_divided():
    tried = Tried({1: 5.0}, images=1)

    assert tried.tile().candidate.tiling is None
    assert tried.made == []


def test_single_images_are_tried_up_to_several_points_and_then_groups():
    tried = Tried({1: 5.0, 2: 5.0, 4: 5.0})

    tried.tile()

    singles = [tiling.until for tiling in tried.made if tiling.micro_batch == 1]
    assert singles == [None, "r", "s"]
    # Groups of 4 are the whole batch.
    assert [tiling.micro_batch for tiling in tried.made[3:]] == [2]


def test_points_are_the_last_before_maps_shrink():
    model = model_of(NET.format(batch=4), **WEIGHTS)

    assert ends(model.graph, batch_of(model)) == ["r", "s"]


def test_layers_of_one_size_are_looked_at_from_the_last_one(monkeypatch):
    steps = 20
    lines = " ".join(f"r{i + 1} = Relu(r{i})" for i in range(steps))
    lines = f"{lines} y = GlobalMaxPool(r{steps})"
    model = model_of(f"g (float[4, 2, 8, 8] r0) => (float[4, 2, 1, 1] y) {{ {lines} }}")
    asked = []

    def counted(graph, value):
        asked.append(value.name)
        return nodes_before(graph, value)

    monkeypatch.setattr(tiling, "nodes_before", counted)

    assert ends(model.graph, batch_of(model)) == [f"r{steps}"]
    assert asked == [f"r{steps}"]


# --- the whole run -------------------------------------------------------------------------------


def plan_of(**tiling: Any) -> Plan:
    return Plan(tool="test", machine="any", threads=1, tiling=Tiling(**tiling), choices=())


def test_a_network_in_groups_goes_through_the_whole_run(shared):
    path = shared / "models" / "resnet20-cifar10.onnx"

    result = sparsepass.optimize(path, shapes={"input": (8, 3, 32, 32)}, measure=False)

    content = to_bytes(result.model)
    feed = {"input": normal(3, 3, 32, 32)}
    before = runner(plain_session(path, threads=1))(feed)
    tolerance = result.report.verification.tolerance
    for opened in (session(content, threads=1), plain_session(content, threads=1)):
        after = runner(opened)(feed)
        for name, array in before.items():
            np.testing.assert_allclose(after[name], array, rtol=0, atol=2 * tolerance)
    assert ("Scan" in op_types(result.model)) == (result.plan.tiling is not None)


@pytest.mark.parametrize("tiling", [{"micro_batch": 2}, {"micro_batch": 1, "until": "r"}])
def test_groups_of_a_plan_are_replayed_or_given_up_aloud(tiling):
    proto = proto_of(NET.format(batch=4), **WEIGHTS)

    found = sparsepass.optimize(proto, plan=plan_of(**tiling), measure=False)

    if found.plan.tiling is None:
        assert any("not faster" in warning for warning in found.report.warnings)
    else:
        assert found.plan.tiling == Tiling(**tiling)
        assert "Scan" in op_types(found.model)
    assert found.report.verification.passed


@pytest.mark.parametrize(
    ("batch", "tiling", "words"),
    [
        (4, {"micro_batch": 3}, "several groups of 3"),
        ("N", {"micro_batch": 2}, "the batch is open"),
        (4, {"micro_batch": 2, "until": "c"}, "'c' is not all"),
    ],
)
@pytest.mark.parametrize("dry_run", [True, False])
def test_groups_that_cannot_be_are_refused(batch, tiling, words, dry_run):
    proto = proto_of(NET.format(batch=batch), **WEIGHTS)

    with pytest.raises(PlanError, match=words) as caught:
        sparsepass.optimize(proto, plan=plan_of(**tiling), dry_run=dry_run)

    assert "\n" not in str(caught.value)


def test_a_network_in_groups_is_planned_again_from_the_start():
    model = model_of(NET.format(batch=4), **WEIGHTS)
    TileBatch(batch_of(model), 2)(model)

    found = sparsepass.optimize(model, dry_run=True)

    assert [choice.layer for choice in found.plan.choices] == ["first", "second"]
