"""The whole run, on small networks."""

from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import numpy_helper

import sparsepass
from models_in_text import assert_same_outputs, model_of, normal, op_types, outputs_of, proto_of
from sparsepass import profile
from sparsepass.errors import PlanError, SparsepassError, UsageError
from sparsepass.model import load, to_bytes
from sparsepass.network import plain_session, runner
from sparsepass.pipeline import offers
from sparsepass.pipeline.rewrite import rewrite
from sparsepass.pipeline.study import study
from sparsepass.pipeline.trials import Candidate, Trials, open_trials
from sparsepass.plan import PLAN_KEY, Choice, Plan, Tiling
from sparsepass.profile import MachineProfile
from sparsepass.run import RunOptions
from sparsepass.runtime import library, session
from sparsepass.runtime.library import instruction_sets
from sparsepass.runtime.ops import DOMAIN
from sparsepass.tuning import tuning_for

# Large enough that 95 % zeros win by a margin that no busy machine hides.
NET = """
<ir_version: 8, opset_import: ["": 17]>
g (float[N, 64, 28, 28] x) => (float[N, 64, 28, 28] y) {
  [first] a = Conv<pads=[1,1,1,1]>(x, w1, b1)
  r = Relu(a)
  [second] c = Conv<pads=[1,1,1,1]>(r, w2, b2)
  s = Add(c, r)
  y = Relu(s)
}
"""
DENSE_NET = """
g (float[1, 8, 10, 10] x) => (float[1, 8, 10, 10] y) {
  [first] a = Conv<pads=[1,1,1,1]>(x, w)
  y = Relu(a)
}
"""


def pruned(*shape: int, seed: int, zeros: float = 0.95) -> np.ndarray:
    weight = normal(*shape, seed=seed)
    weight[np.random.default_rng(seed).random(shape) < zeros] = 0
    return weight


def network() -> onnx.ModelProto:
    weights = {f"w{i}": pruned(64, 64, 3, 3, seed=i) for i in (1, 2)}
    return proto_of(NET, **weights, **{f"b{i}": normal(64, seed=i) for i in (1, 2)})


@pytest.fixture(scope="module")
def result() -> sparsepass.Result:
    return sparsepass.optimize(network(), measure=False)


def with_library(model: ir.Model, batch: int = 2) -> dict[str, np.ndarray]:
    return runner(session(to_bytes(model), threads=1))({"x": normal(batch, 64, 28, 28)})


def plan_of(*choices: Choice, max_error: float = 0.0) -> Plan:
    return Plan(tool="test", machine="any", threads=1, max_error=max_error, choices=choices)


def test_sparse_layers_become_custom_ops_with_their_epilogues(result):
    assert [op for op in op_types(result.model) if op.startswith("Sparse")] == [
        "SparseConvRelu",
        "SparseConvAddRelu",
    ]


def test_the_file_gives_the_same_outputs_with_and_without_the_library(result):
    assert_same_outputs(to_bytes(load(network())), result.model)
    expected = outputs_of(to_bytes(load(network())))["y"]
    # Two sums of about 64 * 9 / 20 products; the largest output stands for the largest term.
    tolerance = 2 * 30 * np.finfo(np.float32).eps * np.abs(expected).max()
    np.testing.assert_allclose(with_library(result.model)["y"], expected, rtol=0, atol=tolerance)


def test_an_open_batch_stays_open_and_is_verified_at_another_size(result):
    assert not isinstance(result.model.graph.inputs[0].shape[0], int)
    # Four samples of noise, of one image each, and one of three.
    assert result.report.verification.samples == 5


def test_the_model_given_is_not_changed():
    proto = network()
    before = proto.SerializeToString()

    sparsepass.optimize(proto, dry_run=True)

    assert proto.SerializeToString() == before


def test_the_file_says_who_made_it_and_by_which_plan(result):
    assert result.model.producer_name == "sparsepass"
    assert Plan.model_validate_json(result.model.metadata_props[PLAN_KEY]) == result.plan


def test_the_plan_names_every_layer_with_a_reason(result):
    assert [choice.layer for choice in result.plan.choices] == ["first", "second"]
    assert all(choice.reason for choice in result.plan.choices)


def test_the_report_has_times_verification_and_sizes(result):
    report = result.report

    assert report.network.speedup > 1
    assert report.verification.passed
    assert report.model.after_bytes < report.model.before_bytes
    assert {layer.chosen.algorithm for layer in report.layers} == {"spmm"}


def test_the_saved_file_is_the_model(result, tmp_path):
    path = tmp_path / "m.sparse.onnx"

    result.save(path)

    np.testing.assert_array_equal(
        runner(session(path, threads=1))({"x": normal(2, 64, 28, 28)})["y"],
        with_library(result.model)["y"],
    )


@pytest.mark.parametrize("isa", instruction_sets())
def test_every_session_of_a_run_has_its_instruction_set(isa, monkeypatch):
    module = import_module("sparsepass.runtime.session")
    told: set[str | None] = set()

    def register(options: object, wanted: str | None) -> None:
        told.add(wanted)
        library.register(options, wanted)

    monkeypatch.setattr(module, "register", register)

    made = sparsepass.optimize(network(), isa=isa)

    assert told == {isa}
    assert made.report.machine.isa == isa
    assert made.report.verification.passed


@pytest.mark.parametrize("isa", instruction_sets())
def test_memory_is_that_of_the_form_that_runs(isa):
    layer = sparsepass.optimize(network(), isa=isa, dry_run=True).report.layers[0]

    kept = np.count_nonzero(pruned(64, 64, 3, 3, seed=1))
    assert layer.chosen.algorithm == "spmm"
    assert (layer.memory_bytes > 10 * kept) == tuning_for(isa).prefers_code


def test_an_instruction_set_that_is_not_here_is_refused():
    with pytest.raises(UsageError, match="give one of baseline"):
        sparsepass.optimize(network(), isa="avx9")


def test_an_optimized_model_can_be_optimized_again(result):
    again = sparsepass.optimize(to_bytes(result.model), dry_run=True)

    assert [choice.algorithm for choice in again.plan.choices] == ["spmm", "spmm"]


@pytest.mark.parametrize("form", ["path", "text path", "bytes", "proto", "ir"])
def test_a_model_comes_in_any_form(form, tmp_path):
    proto = network()
    path = tmp_path / "net.onnx"
    onnx.save(proto, path)
    forms = {
        "path": path,
        "text path": str(path),
        "bytes": proto.SerializeToString(),
        "proto": proto,
        "ir": ir.from_proto(proto),
    }

    found = sparsepass.optimize(forms[form], dry_run=True)

    assert [choice.algorithm for choice in found.plan.choices] == ["spmm", "spmm"]


def test_a_torch_module_is_exported_first():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU())

    found = sparsepass.optimize(module, example_inputs=(torch.zeros(1, 3, 9, 9),), dry_run=True)

    assert len(found.plan.choices) == 1


def test_the_same_seed_gives_the_same_plan_and_samples():
    first, second = (
        sparsepass.optimize(network(), dry_run=True, seed=7, samples=samples(6)) for _ in range(2)
    )

    assert first.plan == second.plan
    assert first.report.layers == second.report.layers


def samples(count: int) -> np.ndarray:
    return normal(count, 64, 28, 28, seed=5)


def test_half_of_the_samples_are_held_out():
    report = sparsepass.optimize(network(), samples=samples(6), measure=False).report

    assert report.samples.count == 6
    # Three held out, and once more as one of three images.
    assert report.verification.samples == 4
    assert report.layers[0].input.samples == 3


# --- where there is nothing to gain --------------------------------------------------------------


def test_a_dense_network_stays_dense():
    # Prices of this machine may favour another algorithm for so small a layer.
    prices = Path(sparsepass.__file__).parent / "profiles" / "x86-64-avx512-1.json"
    found = sparsepass.optimize(
        proto_of(DENSE_NET, w=normal(8, 8, 3, 3)),
        measure=False,
        profile=MachineProfile.load(prices),
    )

    assert DOMAIN not in {node.domain for node in found.model.graph}
    assert found.report.verification.max_absolute_error == 0


def test_a_memory_limit_binds_the_plan():
    # At 55 % zeros the code of a layer is larger than its dense weight.
    weights = {f"w{i}": pruned(64, 64, 3, 3, seed=i, zeros=0.55) for i in (1, 2)}
    net = proto_of(NET, **weights, **{f"b{i}": normal(64, seed=i) for i in (1, 2)})
    limit = 360_000

    free = sparsepass.optimize(net, measure=False)
    bound = sparsepass.optimize(net, measure=False, max_memory=limit)

    held = [sum(layer.memory_bytes for layer in r.report.layers) for r in (free, bound)]
    assert held[0] > limit >= held[1]
    assert any("memory limit" in choice.reason for choice in bound.plan.choices)
    with pytest.raises(PlanError, match="memory limit; raise it"):
        sparsepass.optimize(net, measure=False, max_memory=1000)
    with pytest.raises(UsageError, match="memory limit of 0 bytes"):
        sparsepass.optimize(net, measure=False, max_memory=0)


def test_a_network_without_layers_is_left_alone():
    found = sparsepass.optimize(proto_of("g (float[1, 3] x) => (float[1, 3] y) { y = Relu(x) }"))

    assert found.plan.choices == ()
    assert found.report.verification.passed


def test_several_inputs_and_outputs_of_several_types_are_compared():
    text = """
    g (float[1, 4, 8, 8] p, float[1, 4, 8, 8] q) => (float[1, 4, 8, 8] y, int64[1, 8, 8] label, z) {
      [conv] y = Conv<pads=[1,1,1,1]>(p, w)
      label = ArgMax<axis=1, keepdims=0>(y)
      z = Greater(y, q)
    }
    """.replace(", z)", ", bool[1, 4, 8, 8] z)")

    found = sparsepass.optimize(proto_of(text, w=pruned(4, 4, 3, 3, seed=1)), measure=False)

    assert found.report.verification.passed
    assert [value.name for value in found.model.graph.outputs] == ["y", "label", "z"]


def test_outputs_that_are_not_finite_are_reported():
    text = DENSE_NET.replace("y = Relu(a)", "l = Log(a) y = Mul(l, l)")

    found = sparsepass.optimize(proto_of(text, w=normal(8, 8, 3, 3)), measure=False)

    assert any("output y" in warning and "NaN" in warning for warning in found.report.warnings)


def test_prices_of_another_machine_do_not_cost_the_plan(monkeypatch, tmp_path):
    shipped = next(profile.shipped())
    costly = {
        kind: rates.model_copy(update={"macs": 100 * rates.macs, "nodes": 1000.0})
        for kind, rates in shipped.rates["spmm"].items()
    }
    wrong = shipped.model_copy(update={"cpu": "another", "rates": shipped.rates | {"spmm": costly}})

    monkeypatch.setattr(profile, "shipped", lambda: iter([wrong]))
    monkeypatch.setattr(profile.platformdirs, "user_cache_path", lambda *_, **__: tmp_path)

    found = sparsepass.optimize(network())

    assert [choice.algorithm for choice in found.plan.choices] == ["spmm", "spmm"]
    assert all(layer.certainty > 0.5 for layer in found.report.layers)
    assert any("prices are of another" in warning for warning in found.report.warnings)


# --- other machines ------------------------------------------------------------------------------


def test_a_size_of_one_that_only_a_run_shows_is_read_with_its_axes():
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["": 17]> net (float[1, 1, 4, 4] x) => (float[a, b] y)
        <float[1, 3] w = {1, 0, 2}, int64[1] zero = {0}> {
          scanned = Scan <num_scan_inputs = 1, body = images (float[?, ?, ?] image) => (
            float[?, ?, ?] same
          ) {
            four = Unsqueeze (image, zero)
            same = Squeeze (four, zero)
          }> (x)
          pooled = GlobalAveragePool (scanned)
          flat = Flatten (pooled)
          y = MatMul (flat, w)
        }"""
    )

    found = sparsepass.optimize(model, measure=False)

    (layer,) = found.report.layers
    assert (layer.name, layer.shape) == ("MatMul_y", "1 -> 3")


def profile_of_another(**changes) -> MachineProfile:
    shipped = next(profile.shipped())
    return shipped.model_copy(update={"cpu": "another", "threads": 4} | changes)


@pytest.mark.parametrize("isa", ["avx2", "avx512"])
def test_a_plan_for_another_machine_is_verified_here_and_not_timed(isa, monkeypatch):
    monkeypatch.setattr(Trials, "time", None)
    monkeypatch.setattr(offers, "measure", None)

    found = sparsepass.optimize(network(), profile=profile_of_another(isa=isa, block=None))

    report = found.report
    assert [choice.algorithm for choice in found.plan.choices] == ["spmm", "spmm"]
    assert (found.plan.machine, found.plan.threads) == ("another", 4)
    assert (report.machine.cpu, report.machine.isa, report.machine.cores) == ("another", isa, None)
    assert report.verification.passed
    assert report.network is None
    assert all(layer.now.measured_us is None for layer in report.layers)
    assert any("nothing was timed" in warning for warning in report.warnings)


def test_work_and_memory_are_counted_for_the_machine_that_was_planned_for():
    wide, narrow = (
        sparsepass.optimize(network(), profile=profile_of_another(isa=isa), dry_run=True)
        for isa in ("avx512", "avx2")
    )

    for one, other in zip(wide.report.layers, narrow.report.layers, strict=True):
        assert one.memory_bytes != other.memory_bytes


def test_groups_of_images_are_kept_for_another_machine_where_the_plan_has_them():
    plan = plan_of(Choice(layer="first", algorithm="spmm")).model_copy(
        update={"tiling": Tiling(micro_batch=1)}
    )

    given, without = (
        sparsepass.optimize(
            network(), plan=p, profile=profile_of_another(), shapes={"x": (2, 64, 28, 28)}
        )
        for p in (plan, None)
    )

    assert given.plan.tiling == plan.tiling
    assert without.plan.tiling is None


# --- plans ---------------------------------------------------------------------------------------


def test_a_plan_is_replayed():
    plan = plan_of(Choice(layer="second", algorithm="spmm"))

    found = sparsepass.optimize(network(), plan=plan, measure=False)

    assert {c.layer: c.algorithm for c in found.plan.choices} == {
        "first": "dense",
        "second": "spmm",
    }


def test_a_plan_that_loses_is_given_up_aloud():
    weight = pruned(64, 64, 3, 3, seed=1, zeros=0.02)
    text = DENSE_NET.replace("8, 10, 10", "64, 28, 28")

    found = sparsepass.optimize(
        proto_of(text, w=weight), plan=plan_of(Choice(layer="first", algorithm="spmm"))
    )

    assert [choice.algorithm for choice in found.plan.choices] == ["dense"]
    assert "not faster" in found.report.layers[0].fate
    assert any("first" in warning for warning in found.report.warnings)


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (Choice(layer="third", algorithm="spmm"), "no layer 'third'"),
        (Choice(layer="first", algorithm="spam"), "no algorithm is called 'spam'"),
        (Choice(layer="first", algorithm="low-rank", parameters={"rank": 8}), "needs --max-error"),
        (Choice(layer="first", algorithm="spmm", parameters={"rank": 8}), "not offered with"),
    ],
)
@pytest.mark.parametrize("dry_run", [True, False])
def test_a_plan_that_does_not_fit_is_refused(choice, words, dry_run):
    with pytest.raises(PlanError, match=words) as caught:
        sparsepass.optimize(network(), plan=plan_of(choice), dry_run=dry_run)

    assert "\n" not in str(caught.value)


def test_a_layer_that_a_plan_names_twice_is_refused():
    plan = plan_of(*[Choice(layer="first", algorithm="spmm")] * 2)

    with pytest.raises(PlanError, match="twice"):
        sparsepass.optimize(network(), plan=plan, dry_run=True)


def test_a_lossy_plan_needs_samples():
    plan = plan_of(
        Choice(layer="first", algorithm="low-rank", parameters={"rank": 8}), max_error=0.3
    )

    with pytest.raises(UsageError, match="--samples"):
        sparsepass.optimize(network(), plan=plan, dry_run=True)


def test_an_add_of_two_layers_goes_to_the_one_that_becomes_an_op():
    text = """
    g (float[1, 8, 10, 10] x) => (float[1, 8, 10, 10] y) {
      [left] a = Conv<pads=[1,1,1,1]>(x, w1)
      [right] b = Conv<pads=[1,1,1,1]>(x, w2)
      [sum] s = Add(a, b)
      [end] y = Relu(s)
    }
    """
    model = model_of(text, w1=pruned(8, 8, 3, 3, seed=1), w2=normal(8, 8, 3, 3))
    studied = study(model, RunOptions())

    rewritten = rewrite(studied, [Choice(layer="left", algorithm="spmm")])

    assert op_types(rewritten) == ["Conv", "SparseConvAddRelu"]
    assert_same_outputs(model, rewritten)


# --- lossy ---------------------------------------------------------------------------------------


def low_rank_network() -> onnx.ModelProto:
    """Two layers whose outputs have rank 4, and nearly no zero weights."""
    proto = network()
    for tensor in proto.graph.initializer:
        if tensor.name.startswith("w"):
            weight = normal(64, 4, seed=1) @ normal(4, 64 * 9, seed=2) / 24
            tensor.CopyFrom(numpy_helper.from_array(weight.reshape(64, 64, 3, 3), tensor.name))
    return proto


def test_a_lossy_plan_keeps_its_budget_on_samples_it_did_not_see():
    found = sparsepass.optimize(
        low_rank_network(), samples=samples(8), max_error=0.05, measure=False
    )

    assert {"low-rank", "separable", "tucker"} & {choice.algorithm for choice in found.plan.choices}
    assert found.report.budget.measured <= 0.05
    assert found.report.verification.tolerance == 0.05


@pytest.mark.parametrize("max_error", [-0.1, 1.0, 7])
def test_senseless_budgets_are_refused(max_error):
    with pytest.raises(UsageError, match="makes no sense"):
        sparsepass.optimize(network(), samples=samples(2), max_error=max_error)


# --- verification fails --------------------------------------------------------------------------


def spoilt(model: ir.Model) -> ir.Model:
    """A copy in which one value of one weight is wrong."""
    copy = model.clone()
    value = next(v for name, v in copy.graph.initializers.items() if name.endswith("values"))
    array = value.const_value.numpy().copy()
    array[0] *= 1.01
    value.const_value = ir.tensor(array, name=value.name)
    return copy


def test_a_wrong_weight_fails_verification(result):
    trials, right = opened(result)
    wrong = replace(right, run=runner(session(to_bytes(spoilt(right.model)), threads=1)))

    assert trials.verify(right).passed
    assert not trials.verify(wrong).passed


def test_a_wrong_function_body_fails_verification(result):
    trials, right = opened(result)

    verified = trials.verify(replace(right, model=spoilt(right.model)))

    assert not verified.passed


def test_exact_layers_of_a_lossy_plan_are_held_to_rounding(result):
    trials, right = opened(result, max_error=0.5)
    lossy = (*right.choices, Choice(layer="x", algorithm="low-rank", parameters={"rank": 8}))
    wrong = runner(session(to_bytes(spoilt(right.model)), threads=1))

    assert trials.verify(replace(right, choices=lossy)).passed
    assert not trials.verify(replace(right, choices=lossy, run=wrong)).passed


def opened(result: sparsepass.Result, max_error: float = 0.0) -> tuple[Trials, Candidate]:
    """The trials of a network, and a candidate that is right."""
    options = RunOptions(samples=samples(2), max_error=max_error)
    trials = open_trials(study(network(), options), options)
    return trials, trials.make(result.plan.choices)


def test_what_onnx_runtime_cannot_load_is_one_line_that_names_the_node():
    text = "g (bfloat16[1, 4, 8, 8] x) => (bfloat16[1, 4, 8, 8] y) { [odd] y = Conv(x, w) }"
    model = proto_of(text)
    weight = onnx.helper.make_tensor("w", onnx.TensorProto.BFLOAT16, (4, 4, 1, 1), [0.5] * 16)
    model.graph.initializer.append(weight)

    with pytest.raises(SparsepassError) as caught:
        sparsepass.optimize(model, measure=False)

    assert "\n" not in str(caught.value)


def test_analyze_changes_nothing_and_lists_all_layers():
    proto = network()

    analysis = sparsepass.analyze(proto, samples=samples(2))

    assert [layer.name for layer in analysis.layers] == ["first", "second"]
    assert analysis.layers[1].input.zeros_mean > 0.3
    assert analysis.samples.count == 2
    assert model_of(NET).graph.name == analysis.model.name


def test_a_network_without_outputs_is_left_alone():
    proto = proto_of(
        "g (float[1, 4, 8, 8] x) => () { [c] y = Conv(x, w) }", w=pruned(4, 4, 3, 3, seed=1)
    )

    found = sparsepass.optimize(proto)

    assert "nothing to optimize: it has no outputs" in found.report.warnings
    plain_session(to_bytes(found.model))


@pytest.mark.parametrize("lossy", [{}, {"max_error": 0.1, "weight_bits": 8}])
def test_a_sequence_of_outputs_is_compared_entry_by_entry(lossy):
    text = """
    g (float[1, 8, 9, 9] x) => (seq(float[1, 16, 9, 9]) s) {
      [conv] y = Conv<pads=[1,1,1,1]>(x, w)
      z = Neg(y)
      s = SequenceConstruct(y, z)
    }
    """
    samples = np.random.default_rng(0).standard_normal((8, 8, 9, 9)).astype(np.float32)
    proto = proto_of(text, w=pruned(16, 8, 3, 3, seed=1))

    found = sparsepass.optimize(proto, measure=False, samples=samples, **lossy)

    assert found.report.verification.passed


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38])
@pytest.mark.filterwarnings("error")
def test_weights_that_are_no_numbers_cause_no_warning(value):
    text = """
    g (float[1, 4, 8, 8] x) => (float[1, 4, 8, 8] y) {
      [c] a = Conv<pads=[1,1,1,1]>(x, w)
      [b] b = BatchNormalization(a, one, zero, zero, one)
      [m] y = Mul(b, k)
    }
    """
    one, zero = np.ones(4, np.float32), np.zeros(4, np.float32)
    scale = np.array([1, value, 1, 1], np.float32).reshape(1, 4, 1, 1)

    found = sparsepass.optimize(
        proto_of(text, w=pruned(4, 4, 3, 3, seed=1), one=one, zero=zero, k=scale), measure=False
    )

    assert found.report.verification.passed


def test_a_layer_behind_an_operator_of_another_domain_is_seen():
    text = """
    <ir_version: 8, opset_import: ["": 17, "com.microsoft": 1]>
    g (float[1, 16, 20, 20] x) => (float[1, 32, 20, 20] y) {
      a = com.microsoft.Gelu(x)
      [conv] y = Conv<pads=[1,1,1,1]>(a, w)
    }
    """

    found = sparsepass.optimize(
        proto_of(text, w=pruned(32, 16, 3, 3, seed=1)), measure=False, dry_run=True
    )

    (choice,) = found.plan.choices
    assert choice.algorithm == "spmm"
