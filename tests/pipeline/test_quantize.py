"""Weights in few bits, through the whole run and in every form that a layer takes."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import sparsepass
from models_in_text import normal, proto_of
from sparsepass.errors import UsageError
from sparsepass.model import save, to_bytes
from sparsepass.network import plain_session, runner
from sparsepass.passes import TileBatch
from sparsepass.pipeline import quantize as module
from sparsepass.pipeline.held_weights import coded_bytes
from sparsepass.pipeline.optimize import signed
from sparsepass.pipeline.quantize import quantize
from sparsepass.pipeline.rewrite import rewrite
from sparsepass.pipeline.study import study
from sparsepass.pipeline.trials import Trials
from sparsepass.pipeline.verification import verify_files
from sparsepass.plan import Choice, Plan
from sparsepass.run import RunOptions
from sparsepass.runtime import session
from sparsepass.runtime.timing import Timing

NET = """
<ir_version: 8, opset_import: ["": 17]>
g (float[N, 16, 12, 12] x) => (float[N, 10] y) {
  [first] a = Conv<pads=[1,1,1,1]>(x, w1, b1)
  r = Relu(a)
  [second] c = Conv<pads=[1,1,1,1]>(r, w2, b2)
  s = Relu(c)
  [groups] d = Conv<group=2>(s, w3, b3)
  [each] e = Conv<group=32, pads=[1,1,1,1]>(d, w4, b4)
  p = GlobalAveragePool(e)
  f = Flatten(p)
  [last] y = Gemm<transB=1>(f, w5, b5)
}
"""
CHAINS = [
    Choice(layer="second", algorithm="low-rank", parameters={"rank": 8}),
    Choice(layer="second", algorithm="separable", parameters={"rank": 8}),
    Choice(layer="second", algorithm="tucker", parameters={"inputs": 8, "outputs": 8}),
]


ALIKE = ("w", "w_1", "w_2")
SPARSE = [Choice(layer=name, algorithm="spmm") for name in ("first", "second")]
OTHER = Choice(layer="first", algorithm="winograd2")
FORMS = [[], SPARSE[1:], SPARSE, [OTHER], *[[choice] for choice in CHAINS]]


def network(zeros: float = 0.0):
    shapes = {
        1: (32, 16, 3, 3),
        2: (32, 32, 3, 3),
        3: (32, 16, 1, 1),
        4: (32, 1, 3, 3),
        5: (10, 32),
    }
    weights = {f"w{i}": normal(*shape, seed=i) for i, shape in shapes.items()}
    weights["w2"][np.random.default_rng(0).random(weights["w2"].shape) < zeros] = 0
    return proto_of(NET, **weights, **{f"b{i}": normal(s[0], seed=i) for i, s in shapes.items()})


def named_as_ours(zeros: float):
    """The network with the names for its constants that operators of ours would have."""
    model = network(zeros)
    layers = ("first", "second", "groups", "each", "last")
    names = {f"w{i}": f"{layer}.weight" for i, layer in enumerate(layers, 1)}
    names |= {f"b{i}": f"{layer}.bias" for i, layer in enumerate(layers, 1)}
    for value in model.graph.initializer:
        value.name = names[value.name]
    for node in model.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
    return model


def samples(count: int = 12) -> np.ndarray:
    mixing = normal(16, 16, seed=7)
    return np.einsum("cd,ndhw->nchw", mixing, normal(count, 16, 12, 12, seed=8)).astype(np.float32)


def studied(zeros: float = 0.0):
    return study(network(zeros), RunOptions(samples=samples(), max_error=0.5))


def run(model, x, library=False):
    content = to_bytes(model)
    opened = session(content, threads=1) if library else plain_session(content)
    return runner(opened)({"x": x})["y"]


def equally_fast(trials, candidates):
    """Times by which a network stays as it was made, however busy the machine is."""
    same = Timing(1.0, 1.0, 1.0, 10)
    return same, (same,) * len(candidates)


def change(found, expected):
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


@pytest.mark.parametrize("library", [False, True])
@pytest.mark.parametrize(("bits", "most"), [(8, 0.02), (4, 0.3)])
@pytest.mark.parametrize(
    "choices", FORMS, ids=lambda choices: "+".join(c.algorithm for c in choices) or "dense"
)
def test_network_changes_little_in_every_form(choices, bits, most, library):
    found = studied(zeros=0.7 if any(c.algorithm == "spmm" for c in choices) else 0.0)
    exact, coded = rewrite(found, choices), rewrite(found, choices)

    quantize(found, coded, bits)

    x = samples(4)
    original = run(found.prepared.model, x)
    before = change(run(exact, x, library), original)
    assert change(run(coded, x, library), original) < before + most
    assert not np.array_equal(run(coded, x, library), run(exact, x, library))


@pytest.mark.parametrize("choices", [[], *[[choice] for choice in CHAINS]], ids=str)
def test_means_of_a_layer_stay(choices):
    found = studied()
    exact, coded = rewrite(found, choices), rewrite(found, choices)
    quantize(found, coded, 4)
    x = np.concatenate([feed["x"] for feed in found.calibration])

    means = []
    for model in (exact, coded):
        model.graph.outputs[:] = [v for n in model.graph for v in n.outputs if v.name == "a"]
        means.append(runner(plain_session(to_bytes(model)))({"x": x})["a"].mean(axis=(0, 2, 3)))

    np.testing.assert_allclose(means[1], means[0], atol=1e-3 * np.abs(means[0]).max())


@pytest.mark.parametrize(
    "choices", FORMS, ids=lambda choices: "+".join(c.algorithm for c in choices) or "dense"
)
def test_names_that_are_taken_hide_no_weight(choices):
    zeros = 0.7 if any(c.algorithm == "spmm" for c in choices) else 0.0
    found = study(named_as_ours(zeros), RunOptions(samples=samples(), max_error=0.5))
    model = rewrite(found, choices)

    quantize(found, model, 8)

    left = {
        name: value.const_value.nbytes
        for name, value in model.graph.initializers.items()
        if value.dtype == ir.DataType.FLOAT and value.uses() and value.const_value.size > 64
    }
    assert left == {}
    held = sum(coded_bytes(model, found.layers).values())
    assert held > sum(np.count_nonzero(layer.weight) for layer in found.layers[-3:])


def test_a_weight_is_not_charged_for_one_whose_name_begins_alike():
    lines = " ".join(f"[l{i}] x{i + 1} = Conv(x{i}, {name})" for i, name in enumerate(ALIKE))
    text = f"""
    <ir_version: 8, opset_import: ["": 17]>
    g (float[1, 16, 8, 8] x0) => (float[1, 16, 8, 8] x{len(ALIKE)}) {{ {lines} }}
    """
    given = proto_of(text, **{name: normal(16, 16, 1, 1, seed=1) / 8 for name in ALIKE})
    found = study(given, RunOptions(samples=normal(8, 16, 8, 8), max_error=0.5))
    model = rewrite(found, [])

    quantize(found, model, 8)

    codes, scales = 16 * 16, 4 * 16
    assert {*coded_bytes(model, found.layers).values()} == {codes + scales}


def test_layers_make_up_for_the_rounding_of_those_before_them(monkeypatch):
    found = study(network(), RunOptions(samples=samples(40), max_error=0.5))
    x, exact = samples(40)[-8:], rewrite(found, [])
    errors = []
    for in_order in (True, False):
        if not in_order:
            monkeypatch.setattr(module, "rounded_in_order", lambda *given: {})
        coded = rewrite(found, [])
        quantize(found, coded, 8)
        errors.append(change(run(coded, x), run(exact, x)))

    assert errors[0] < errors[1]


def test_finer_layers_are_those_that_cost_the_outputs_most():
    found = studied()
    errors = []
    for share in (0.0, 0.5, 1.0):
        model = rewrite(found, [])
        quantize(found, model, 4, share)
        x = samples(4)
        errors.append(change(run(model, x), run(rewrite(found, []), x)))

    assert errors[0] > errors[1] > errors[2]


@pytest.mark.parametrize("bits", [4, 8])
def test_the_run_writes_a_smaller_file_within_the_budget(bits):
    result = sparsepass.optimize(
        network(), samples=samples(), max_error=0.3, weight_bits=bits, measure=False
    )

    report = result.report
    assert report.budget.measured <= 0.3
    if not any("the file is the original" in warning for warning in report.warnings):
        assert result.plan.weight_bits == bits
        held = sum(layer.packed_bytes for layer in report.layers)
        assert held < 0.3 * sum(layer.dense_bytes for layer in report.layers)
        assert report.model.after_bytes < 0.6 * report.model.before_bytes


@pytest.mark.parametrize(("bits", "held"), [(8, "8 bits alone"), (4, "4 bits, 90% of them in 8,")])
def test_a_budget_that_bits_exceed_leaves_float32_and_says_why(bits, held):
    result = sparsepass.optimize(
        network(), samples=samples(), max_error=1e-6, weight_bits=bits, measure=False
    )

    assert result.plan.weight_bits is None
    (warning,) = [found for found in result.report.warnings if "they stay float32" in found]
    assert warning.startswith(f"weights in {held} change the outputs by ")


def test_a_dense_file_in_few_bits_is_verified_with_the_error_of_its_plan(tmp_path):
    found = studied()
    model = rewrite(found, [])
    quantize(found, model, 8)
    plan = Plan(tool="test", machine="any", threads=1, max_error=0.1, weight_bits=8, choices=())
    original, coded = tmp_path / "net.onnx", tmp_path / "coded.onnx"
    onnx.save(network(), original)
    save(signed(model, plan), coded)

    verified = verify_files(original, coded, RunOptions(samples=samples()))

    assert verified["without"].passed
    assert verified["without"].tolerance == 0.1


@pytest.mark.parametrize("budget", [{}, {"max_error": 0.2}], ids=["its own budget", "another"])
def test_a_replayed_plan_keeps_its_bits(budget, monkeypatch):
    plan = Plan(tool="test", machine="any", threads=1, max_error=0.1, weight_bits=8, choices=())
    monkeypatch.setattr(Trials, "time", equally_fast)

    again = sparsepass.optimize(network(), samples=samples(), plan=plan, measure=False, **budget)

    assert again.plan.weight_bits == 8
    assert again.plan.max_error == budget.get("max_error", 0.1)


def test_bits_need_a_budget_and_are_8_or_4():
    with pytest.raises(UsageError, match="--max-error"):
        sparsepass.optimize(network(), samples=samples(), weight_bits=8)
    with pytest.raises(UsageError, match="give 8 or 4"):
        sparsepass.optimize(network(), samples=samples(), max_error=0.1, weight_bits=5)


@pytest.mark.parametrize("library", [False, True])
def test_groups_of_images_compute_the_same(library):
    found = studied(zeros=0.7)
    whole, tiled = rewrite(found, SPARSE), rewrite(found, SPARSE)
    batch = found.prepared.batch
    for model in (whole, tiled):
        quantize(found, model, 4)

    assert TileBatch(batch, 1)(tiled).modified

    x = samples(4)
    expected = run(whole, x, library)
    # The same sums of up to 288 products, in another order.
    atol = 288 * np.finfo(np.float32).eps * np.abs(expected).max()
    np.testing.assert_allclose(run(tiled, x, library), expected, rtol=0, atol=atol)
