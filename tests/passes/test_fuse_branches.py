import numpy as np
import onnx_ir as ir
import pytest

from models_in_text import assert_same_outputs, model_of, normal, op_types
from sparsepass.graph import branches, layers
from sparsepass.passes import FuseBranches
from sparsepass.pipeline.rewrite import rewrite
from sparsepass.pipeline.stages import Prepared, Studied
from sparsepass.plan import Choice
from sparsepass.runtime.ops import DOMAIN
from sparsepass.runtime.replacements import pairs
from sparsepass.samples import inputs_of, random_samples
from sparsepass.shapes import infer
from sparsepass.sparsity import Stats, weight_stats
from sparsepass.target import Target


def pruned(*shape: int, seed: int) -> np.ndarray:
    kept = np.random.default_rng(seed).random(shape) < 0.2
    return np.where(kept, normal(*shape, seed=seed), np.float32(0))


def fire(
    second: str = "Relu(b)",
    concat: str = "Concat<axis = 1>(r, s)",
    source: str = "x",
    outputs: str = "float[N, M, H, W] y",
) -> ir.Model:
    return model_of(
        f"""
        g (float[2, 8, 9, 9] x, float[2, 8, 9, 9] x2) => ({outputs}) {{
          [one] a = Conv(x, w1, b1)
          [relu1] r = Relu(a)
          [three] b = Conv<pads = [1, 1, 1, 1]>({source}, w2)
          [relu2] s = {second}
          [join] c = {concat}
          [end] y = Sigmoid(c)
        }}
        """,
        w1=pruned(6, 8, 1, 1, seed=1), w2=pruned(10, 8, 3, 3, seed=2), b1=normal(6),
    )  # fmt: skip


def lowered(model: ir.Model, algorithm: str = "spmm", fused: bool = True) -> ir.Model:
    choices = [Choice(layer="one", algorithm="spmm"), Choice(layer="three", algorithm=algorithm)]
    return rewrite(studied(model), choices, fused=fused)


def foreseen(model: ir.Model) -> list[tuple[str, str]]:
    """The pairs that a plan counts on."""
    known = infer(model)
    return list(branches(model, layers(model, known).layers, known.shapes).values())


def studied(model: ir.Model) -> Studied:
    """A network as it is: cleaning it would take away what a test needs."""
    known = infer(model)
    found = layers(model, known)
    prepared = Prepared("test", model, b"", model, (), inputs_of(model), known, found)
    stats = {layer.name: Stats(weight_stats(layer)) for layer in found.layers}
    return Studied(prepared, stats, None, random_samples(prepared.inputs), Target("avx512", 16))


def test_two_sparse_convolutions_of_one_input_become_one_op():
    model = fire()

    made = lowered(model)

    assert op_types(made) == ["SparseConvPairRelu", "Sigmoid"]
    assert foreseen(model) == [("one", "three")]
    assert_same_outputs(model, made)


def test_the_order_is_that_of_the_concat():
    model = fire(concat="Concat<axis = -3>(s, r)")

    made = lowered(model)

    assert op_types(made) == ["SparseConvPairRelu", "Sigmoid"]
    assert foreseen(model) == [("three", "one")]
    assert_same_outputs(model, made)


@pytest.mark.parametrize(
    "changes",
    [
        {"second": "LeakyRelu(b)"},
        {"concat": "Concat<axis = 2>(r, r)"},
        {"concat": "Concat<axis = 1>(r, r)"},
        {"concat": "Concat<axis = 1>(r, s, s)"},
        {"source": "x2"},
        {"outputs": "float[N, M, H, W] y, float[2, 6, 9, 9] r"},
    ],
    ids=str,
)
def test_other_concats_are_kept(changes):
    model = fire(**changes)

    made = lowered(model)

    assert "Concat" in op_types(made)
    assert foreseen(model) == []
    assert_same_outputs(model, made)


def test_another_algorithm_is_kept():
    assert "Concat" in op_types(lowered(fire(), algorithm="im2col"))


def test_slopes_that_differ_are_kept_apart():
    model = fire(second="LeakyRelu<alpha = 0.3>(b)")
    model.graph.node("relu1").op_type = "LeakyRelu"

    assert "Concat" in op_types(lowered(model))
    assert foreseen(model) == []


def test_layers_keep_nodes_of_their_own_for_measuring():
    assert op_types(lowered(fire(), fused=False)).count("SparseConvRelu") == 2


def test_a_second_run_changes_nothing():
    made = lowered(fire())

    assert not FuseBranches(DOMAIN, pairs(17))(made).modified


def test_an_opset_that_lacks_lists_in_constants_has_no_pairs():
    assert pairs(11) == {}
