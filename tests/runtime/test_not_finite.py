"""Infinities and NaN in the input come out where those of ONNX Runtime's own operators do.

The one difference is decided: a weight that is zero takes no part in a sparse convolution.
"""

import math
from dataclasses import replace
from functools import cache

import numpy as np
import onnx
import onnxruntime
import pytest
from native import EMULATED, Conv, Problem
from sparse_models import (
    CONV,
    algorithm_of,
    conv_of,
    feeds_of,
    map_model,
    model,
    normal,
    problem,
    with_values,
)

from sparsepass.model import to_bytes
from sparsepass.runtime import ops, register
from sparsepass.runtime.ops import KEEP_LARGEST, LRN, MAX_POOL

VALUES = (math.nan, math.inf, -math.inf)
every_value = pytest.mark.parametrize("value", VALUES)
every_op = pytest.mark.parametrize(
    ("stem", "epilogue"),
    [
        pytest.param(stem, with_values(epilogue), id=stem.name + epilogue.suffix)
        for stem in ops.STEMS
        for epilogue in ops.EPILOGUES
    ],
)
# Windows that ONNX Runtime's kernels treat alike in all of its layouts.
USUAL_WINDOWS = (
    ("kernel_shape: ints = [2, 2], strides: ints = [2, 2], pads: ints = [0, 0, 0, 0]", "20", "10"),
    ("kernel_shape: ints = [3, 3], strides: ints = [2, 2], pads: ints = [1, 1, 1, 1]", "20", "10"),
    ("kernel_shape: ints = [3, 3], strides: ints = [2, 2], pads: ints = [0, 0, 1, 1]", "20", "10"),
)


def outputs(proto: bytes, feeds: dict[str, np.ndarray], isa: str | None) -> np.ndarray:
    """What kernels of an instruction set give, or ONNX Runtime's own operators without one."""
    return session_of(proto, isa).run(None, feeds)[0]


def session_of(proto: bytes, isa: str | None) -> onnxruntime.InferenceSession:
    """With one thread: a session that finds another one later divides, and rounds, otherwise."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    if isa:
        register(options, isa)
    return onnxruntime.InferenceSession(proto, options, providers=["CPUExecutionProvider"])


@cache
def own_outputs(proto: bytes, *feeds: tuple[str, bytes, tuple[int, ...]]) -> np.ndarray:
    """Those of ONNX Runtime's own operators, once for all instruction sets."""
    arrays = {name: np.frombuffer(data, np.float32).reshape(shape) for name, data, shape in feeds}
    return outputs(proto, arrays, None)


def assert_the_same_are_not_finite(proto: bytes, feeds: dict[str, np.ndarray], isa: str) -> None:
    if isa in EMULATED:
        pytest.skip("ONNX Runtime does not run under emulation here")
    expected = own_outputs(proto, *((n, a.tobytes(), a.shape) for n, a in feeds.items()))

    actual = outputs(proto, feeds, isa)

    for kind in (np.isnan, np.isposinf, np.isneginf):
        np.testing.assert_array_equal(kind(actual), kind(expected), err_msg=kind.__name__)


def without_zeros(weight: np.ndarray) -> np.ndarray:
    return np.where(weight == 0, np.float32(0.25), weight)


def spoilt(given: Problem, value: float, channels: int | slice) -> Problem:
    """One pixel of the second image, in one channel or all."""
    x = given.x.copy()
    x[1, channels, 4, 3] = value
    return replace(given, x=x)


@every_op
@every_value
@pytest.mark.parametrize("channels", [0, slice(None)], ids=["one", "all"])
def test_they_come_out_where_those_of_onnxruntime_do(stem, epilogue, value, channels, isa):
    given = spoilt(problem(conv_of(stem), epilogue, (2, 11, 13)), value, channels)
    if stem.weight is ops.PAIR.stem.weight:
        given = replace(given, weight=without_zeros(given.weight))
    proto = model(stem, epilogue, given).SerializeToString()

    assert_the_same_are_not_finite(proto, feeds_of(given), isa)


@pytest.mark.parametrize("stem", ops.STEMS, ids=lambda stem: stem.name)
@every_value
def test_those_of_the_residual_come_out(stem, value, isa):
    epilogue = with_values(next(e for e in ops.EPILOGUES if e.suffix == "AddRelu"))
    given = problem(conv_of(stem), epilogue, (2, 11, 13))
    residual = given.residual.copy()
    residual[1, 2, 3, 4:7] = value
    given = replace(given, residual=residual)

    assert_the_same_are_not_finite(
        model(stem, epilogue, given).SerializeToString(), feeds_of(given), isa
    )


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("size", [(1, 40, 3), (2, 30, 31)], ids=str)
@every_value
def test_sparse_convolutions_of_every_layout_let_them_pass(kernel, size, value, isa):
    pad = kernel // 2
    conv = Conv(40, 24, 1, kernel, kernel, pad_top=pad, pad_left=pad, pad_bottom=pad, pad_right=pad)
    epilogue = with_values(next(e for e in ops.EPILOGUES if e.suffix == "Clip"))
    given = problem(conv, epilogue, size)
    x = given.x.copy()
    x[-1, :, ::9, ::2] = value
    given = replace(given, x=x, weight=without_zeros(given.weight))

    assert_the_same_are_not_finite(
        model(ops.PAIR.stem, epilogue, given).SerializeToString(), feeds_of(given), isa
    )


@every_value
def test_a_zero_weight_takes_no_part_in_a_sparse_convolution(value, isa):
    if isa in EMULATED:
        pytest.skip("ONNX Runtime does not run under emulation here")
    given = spoilt(problem(CONV, ops.EPILOGUES[0]), value, slice(None))
    weight = given.weight.copy()
    weight[0] = 0
    proto = model(ops.PAIR.stem, ops.EPILOGUES[0], replace(given, weight=weight))

    kernel = outputs(proto.SerializeToString(), feeds_of(given), isa)
    body = outputs(proto.SerializeToString(), feeds_of(given), None)

    np.testing.assert_array_equal(kernel[:, 0], np.full_like(kernel[:, 0], given.bias[0]))
    assert np.isnan(body[1, 0, 3:6, 2:5]).all()


@pytest.mark.parametrize(("attributes", "given", "made"), USUAL_WINDOWS)
@every_value
def test_a_max_pool_forgets_what_onnxruntime_forgets(attributes, given, made, value, isa):
    op = map_model(MAX_POOL, attributes, f"1, 16, {given}, {given}", f"1, 16, {made}, {made}")
    x = normal(1, 16, 20, 20)
    x[np.random.default_rng(3).random(x.shape) < 0.1] = value

    assert_the_same_are_not_finite(to_bytes(op), {"x": x}, isa)


@every_value
def test_a_response_normalisation_has_them_where_onnxruntime_has(value, isa):
    attributes = "size: int = 5, alpha: float = 0.1, beta: float = 0.75, bias: float = 1.0"
    op = map_model(LRN, attributes, "1, 16, 9, 9", "1, 16, 9, 9")
    x = normal(1, 16, 9, 9)
    x[0, 7, 4, 4] = value

    assert_the_same_are_not_finite(to_bytes(op), {"x": x}, isa)


@every_value
def test_the_largest_channels_keep_them(value, isa):
    op = map_model(KEEP_LARGEST, "kept: int = 2, block: int = 4", "1, 16, 9, 9", "1, 16, 9, 9")
    x = normal(1, 16, 9, 9)
    x[0, 7, 4, 4] = value

    assert_the_same_are_not_finite(to_bytes(op), {"x": x}, isa)


@pytest.mark.parametrize("stem", ops.STEMS, ids=lambda stem: stem.name)
def test_an_image_that_is_finite_again_is_as_before(stem, isa):
    """What is kept for images that are not must not change the others."""
    if isa in EMULATED:
        pytest.skip("ONNX Runtime does not run under emulation here")
    given = problem(conv_of(stem), ops.EPILOGUES[0], (2, 11, 13))
    proto: onnx.ModelProto = model(stem, ops.EPILOGUES[0], given)
    session = session_of(proto.SerializeToString(), isa)

    (before,) = session.run(None, feeds_of(given))
    (spoiled,) = session.run(None, feeds_of(spoilt(given, math.nan, 0)))
    (after,) = session.run(None, feeds_of(given))

    np.testing.assert_array_equal(before, after)
    np.testing.assert_array_equal(before[0], spoiled[0])
    assert algorithm_of(stem)
