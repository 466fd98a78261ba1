"""Zeros in blocks of four input channels, and nowhere else, in the file that is written."""

import math

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import sparsepass
from models_in_text import normal, proto_of
from sparsepass.cli import main
from sparsepass.report.schema import PruneReport

NET = """
g (float[1, 3, 14, 14] x) => (float[1, 4] y) {
  [stem] a = Conv<pads=[1,1,1,1]>(x, stem_weight)
  b = Relu(a)
  [short] c = Conv<pads=[1,1,1,1]>(b, short_weight, short_bias)
  d = Relu(c)
  [grouped] e = Conv<group=2, pads=[1,1,1,1]>(d, grouped_weight)
  f = Relu(e)
  [pointwise] h = Conv(f, pointwise_weight)
  i = Relu(h)
  p = GlobalAveragePool(i)
  q = Flatten(p)
  [head] y = Gemm(q, head_weight)
}
"""
SHAPES = {
    "stem": (10, 3, 3, 3),
    "short": (24, 10, 3, 3),
    "grouped": (20, 12, 3, 3),
    "pointwise": (16, 20, 1, 1),
    "head": (16, 4),
}


def network() -> onnx.ModelProto:
    weights = {
        f"{name}_weight": normal(*shape, seed=seed) / math.sqrt(math.prod(shape[1:]))
        for seed, (name, shape) in enumerate(SHAPES.items())
    }
    return proto_of(NET, **weights, short_bias=normal(24, seed=9))


def images() -> np.ndarray:
    return normal(64, 3, 14, 14, seed=11)


def zeros_of(proto: onnx.ModelProto) -> dict[str, np.ndarray]:
    """Where the weight of each layer is zero, filters first."""
    found = {t.name: numpy_helper.to_array(t) == 0 for t in proto.graph.initializer}
    masks = {name: found[f"{name}_weight"] for name in SHAPES}
    return {**masks, "head": masks["head"].T[..., None, None]}


def in_blocks(zeros: np.ndarray) -> bool:
    firsts = range(0, zeros.shape[1], 4)
    some, whole = (
        ufunc.reduceat(zeros, firsts, axis=1) for ufunc in (np.logical_or, np.logical_and)
    )
    return bool(np.all(some == whole))


@pytest.mark.parametrize(
    "aim", [{"sparsity": 0.85}, {"sparsity": 0.5}, {"max_error": 0.5}], ids=str
)
def test_zeros_are_whole_blocks(aim, tmp_path):
    found = sparsepass.prune(network(), samples=images(), pattern="1x4", **aim)

    found.save(tmp_path / "pruned.onnx")
    zeros = zeros_of(onnx.load(tmp_path / "pruned.onnx"))
    assert all(map(in_blocks, zeros.values()))
    assert not zeros["stem"].any()
    assert found.report.pattern == "1x4"
    assert found.report.sparsity == pytest.approx(
        sum(mask.sum() for mask in zeros.values()) / sum(mask.size for mask in zeros.values())
    )


def test_layers_of_every_kind_are_pruned():
    found = sparsepass.prune(network(), samples=images(), pattern="1x4", sparsity=0.85)

    zeros = {layer.name: layer.zeros for layer in found.report.layers}
    assert min(zeros[name] for name in ("short", "grouped", "pointwise")) >= 0.5


def test_without_a_pattern_zeros_are_free_and_cost_less():
    free, blocks = (
        sparsepass.prune(network(), samples=images(), sparsity=0.6, **pattern)
        for pattern in ({}, {"pattern": "1x4"})
    )

    errors = [found.report.verification.max_relative_error for found in (free, blocks)]
    assert free.report.pattern == "free"
    assert errors[0] < errors[1]


def test_the_command_writes_blocks_and_says_so(tmp_path, capsys):
    onnx.save(network(), tmp_path / "m.onnx")
    np.save(tmp_path / "s.npy", images())
    options = ["--samples", tmp_path / "s.npy", "--sparsity", "0.6", "--pattern", "1x4"]
    written = ["-o", tmp_path / "p.onnx", "--json", tmp_path / "p.json"]

    with pytest.raises(SystemExit) as ended:
        main(["prune", *map(str, [tmp_path / "m.onnx", *options, *written])])

    assert not ended.value.code
    assert "of the weights are zero (1x4)" in capsys.readouterr().out
    assert all(map(in_blocks, zeros_of(onnx.load(tmp_path / "p.onnx")).values()))
    assert PruneReport.load(tmp_path / "p.json").pattern == "1x4"


def test_an_unknown_pattern_is_an_error_of_usage(tmp_path, capsys):
    onnx.save(network(), tmp_path / "m.onnx")

    with pytest.raises(SystemExit) as ended:
        main(["prune", str(tmp_path / "m.onnx"), "--sparsity", "0.6", "--pattern", "4x1"])

    assert ended.value.code == 2
    assert "--pattern" in capsys.readouterr().err
