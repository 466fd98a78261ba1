"""Numbers below the normal ones: our kernels treat them as the session's threads do.

ONNX Runtime sets the state of its threads, and that of the thread that makes the first session of a
process: so each state is looked at in a process of its own.
"""

import json
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from native import EMULATED, Conv
from sparse_models import conv_of, feeds_of, model, problem

from sparsepass.runtime import ops, register
from sparsepass.runtime.library import instruction_sets

RELU = next(epilogue for epilogue in ops.EPILOGUES if epilogue.suffix == "Relu")


def nonzeros(stem: ops.Stem, isa: str | None, flushes: str) -> int:
    """Outputs that are not zero, of inputs below the normal numbers, on two threads."""
    conv = conv_of(stem)
    wide = Conv(16 * conv.groups, conv.channels_per_group, conv.groups, 3, 3)
    given = problem(wide, RELU, (2, 34, 34))
    tiny = np.float32(np.finfo(np.float32).smallest_normal / 8)
    x = np.clip(given.x, -1, 1) * tiny
    given = replace(given, x=x, bias=np.zeros_like(given.bias))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 2
    options.add_session_config_entry("session.set_denormal_as_zero", flushes)
    if isa:
        register(options, isa)
    proto = model(stem, RELU, given, input_shape=given.x.shape)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options)
    # Threads are counted in the first runs.
    outputs = [session.run(None, feeds_of(given))[0] for _ in range(3)]
    return min(int(np.count_nonzero(output)) for output in outputs)


@cache
def counted(flushes: str) -> dict[str, int]:
    """Those of every op on every instruction set, and of ONNX Runtime's operators."""
    return json.loads(in_process(f"t.main({flushes!r})"))


def in_process(code: str) -> bytes:
    """What ``code`` prints in a process of its own, where this file is ``t``."""
    folders = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    code = f"import sys; sys.path[:0] = {folders}; import test_denormals as t; {code}"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, check=True)
    return done.stdout


def main(flushes: str) -> None:
    """Print what ``counted`` returns."""
    sets = [None, *instruction_sets()]
    found = {f"{s.name} {isa}": nonzeros(s, isa, flushes) for s in ops.STEMS for isa in sets}
    print(json.dumps(found))


every_stem = pytest.mark.parametrize("stem", ops.STEMS, ids=lambda stem: stem.name)


@every_stem
def test_they_are_kept_where_the_session_keeps_them(stem, isa):
    if isa in EMULATED:
        pytest.skip("ONNX Runtime does not run under emulation here")

    found = counted("0")

    assert found[f"{stem.name} None"] > 0
    assert found[f"{stem.name} {isa}"] > 0


@every_stem
def test_they_are_zero_where_the_session_sets_them_to_zero(stem, isa):
    if isa in EMULATED:
        pytest.skip("ONNX Runtime does not run under emulation here")

    found = counted("1")

    assert found[f"{stem.name} None"] == 0
    assert found[f"{stem.name} {isa}"] == 0


def run_apart(stem: str, isa: str) -> None:
    """Two sessions: the second one's threads count such inputs as zero, and the caller does not."""
    conv = Conv(16, 1024, 1, 1, 1)
    found = next(s for s in ops.STEMS if s.name == stem)
    given = problem(conv, RELU, (1, 48, 48))
    drawn = np.random.default_rng(0).random(given.x.shape)
    x = np.where(drawn < 0.2, np.float32(1e-40), np.float32(0))
    given = replace(given, x=np.where(drawn < 0.02, np.float32(1), x))
    proto = model(found, RELU, given, input_shape=given.x.shape).SerializeToString()
    sessions = []
    for flushes in ("0", "1"):
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 4
        options.add_session_config_entry("session.set_denormal_as_zero", flushes)
        register(options, isa)
        sessions.append(onnxruntime.InferenceSession(proto, options))
    (expected,) = sessions[0].run(None, feeds_of(given))
    for _ in range(20):
        (actual,) = sessions[1].run(None, feeds_of(given))
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize("stem", ["CpoConv", "CpsConv"])
def test_threads_that_differ_in_them_count_and_encode_alike(stem, isa):
    if isa in EMULATED:
        pytest.skip("ONNX Runtime does not run under emulation here")
    in_process(f"t.run_apart({stem!r}, {isa!r})")
