"""Every file that ``optimize`` writes is a model like any other, at every opset."""

from collections.abc import Sequence

import numpy as np
import onnx
import pytest

import sparsepass
from models_in_text import normal, op_types, proto_of
from sparsepass.cli import main
from sparsepass.pipeline.trials import Candidate, Trials
from sparsepass.pipeline.warnings import AGAIN
from sparsepass.runtime.ops import DOMAIN
from sparsepass.runtime.timing import Timing

NEWEST = onnx.defs.onnx_opset_version()
OPSETS = range(7, NEWEST + 1)
CLIP = {False: "Clip<min = 0.0, max = 2.0>(c)", True: "Clip(c, low, high)"}


def network(opset: int) -> onnx.ModelProto:
    """A sparse convolution, a clipped one and, behind them, a product of rows."""
    text = f"""
    <ir_version: 8, opset_import: ["": {opset}]>
    g (float[1, 64, 14, 14] x) => (float[1, 64, 14, 32] y) {{
      [first] a = Conv<pads = [1, 1, 1, 1]>(x, w1, b)
      r = Relu(a)
      [second] c = Conv<pads = [1, 1, 1, 1]>(r, w2, b)
      k = {CLIP[opset >= 11]}
      [rows] y = MatMul(k, w3)
    }}
    """
    bounds = {"low": np.float32(0), "high": np.float32(2)} if opset >= 11 else {}
    weights = {"w1": pruned(64, 64, 3, 3), "w2": pruned(64, 64, 3, 3), "w3": pruned(14, 32)}
    return proto_of(text, b=normal(64), **weights, **bounds)


def pruned(*shape: int) -> np.ndarray:
    kept = np.random.default_rng(0).random(shape) < 0.05
    return np.where(kept, normal(*shape), 0).astype(np.float32)


def runs(opset: int) -> bool:
    """Whether the ONNX Runtime that is installed takes the opset."""
    try:
        sparsepass.analyze(network(opset))
    except sparsepass.errors.ModelError:
        return False
    return True


@pytest.fixture
def won_races(monkeypatch):
    """Plans keep all of their layers, however long a busy machine makes their networks take."""

    def timing(candidate: Candidate) -> Timing:
        milliseconds = 1 / (1 + len(candidate.choices))
        return Timing(milliseconds, milliseconds, milliseconds, 10)

    def time(trials: Trials, candidates: Sequence[Candidate]) -> tuple[Timing, tuple[Timing, ...]]:
        return timing(trials.original), tuple(map(timing, candidates))

    monkeypatch.setattr(Trials, "time", time)


@pytest.mark.usefixtures("won_races")
@pytest.mark.parametrize("opset", OPSETS)
def test_every_command_reads_what_optimize_wrote(opset, tmp_path, capsys):
    if not runs(opset):
        pytest.skip(f"ONNX Runtime does not take opset {opset}")
    model, optimized, inlined, again = (tmp_path / f"{n}.onnx" for n in ("m", "o", "i", "a"))
    onnx.save(network(opset), model)
    quick = ["--no-measure", "--quiet"]

    codes = [
        run("optimize", model, "-o", optimized, *quick),
        run("analyze", optimized),
        run("verify", model, optimized),
        run("inline", optimized, "-o", inlined),
        run("verify", model, inlined),
        run("optimize", optimized, "-o", again, *quick),
        run("verify", model, again),
        run("bench", model, optimized, "--seconds", "0.1", "--quiet"),
    ]

    assert codes == [0] * len(codes), capsys.readouterr()
    assert "".join(capsys.readouterr().out.split()).count("".join(AGAIN.split()))
    assert not any(node.domain for node in onnx.load(inlined).graph.node)
    if opset >= 9:
        written, rewritten = (onnx.load(path).graph.node for path in (optimized, again))
        ours = [node.op_type for node in written if node.domain == DOMAIN]
        assert ours
        assert ours == [node.op_type for node in rewritten if node.domain == DOMAIN]


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return ended.value.code or 0


@pytest.mark.usefixtures("won_races")
def test_the_plan_is_remade_from_the_source_layers():
    first = sparsepass.optimize(network(17), measure=False)

    second = sparsepass.optimize(first.model, measure=False)

    assert [c.layer for c in second.plan.choices] == [c.layer for c in first.plan.choices]
    assert [c.algorithm for c in second.plan.choices] == [c.algorithm for c in first.plan.choices]
    ours = [[op for op in op_types(r.model) if op.startswith("Sparse")] for r in (first, second)]
    assert ours[0] == ours[1]
