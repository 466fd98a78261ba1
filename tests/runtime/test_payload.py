"""Files that lie: every wrong payload is an error that names the node, and nothing worse."""

import ctypes
import math
import re
from dataclasses import astuple
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from guarded_memory import Guarded
from native import (
    INSTRUCTION_SETS,
    Arguments,
    Conv,
    Problem,
    RefusedError,
    algorithms,
    call,
    is_here,
    sparse_payload,
    takes_indices,
)
from sparse_models import CONV, WITHOUT, feeds_of, model, open_session, problem

from sparsepass.layer import Epilogue
from sparsepass.runtime import register
from sparsepass.runtime.ops import PAIR

SIZE = (2, 3, 8, 8)
HUGE = 2**31

# --- the test entry -----------------------------------------------------------------------------


def refusal(
    algorithm: str = "spmm", *, shape=SIZE, count: int = 3, indices=(0, 5, 9), **attributes
) -> str:
    """What the library answers to a convolution that is created and not run."""
    conv = Conv(**{**CONV.__dict__, **attributes})
    values = np.ones(max(count, 1), np.float32)
    flat = np.array(indices, np.int32)
    bias = np.zeros(64, np.float32)
    with pytest.raises(RefusedError) as refused:
        call(arguments(algorithm, conv, shape, values, flat, count, bias))
    return str(refused.value)


def arguments(
    algorithm, conv, shape, values, indices, count, bias, *, isa=0, x=None, y=None
) -> Arguments:
    return Arguments(
        algorithm.encode(),
        isa,
        1,
        0 if x is None else 1,
        0,
        (ctypes.c_int64 * 13)(*astuple(conv)),
        (ctypes.c_int64 * 4)(*shape),
        (ctypes.c_float * 3)(1, -math.inf, math.inf),
        values.ctypes.data,
        None if indices is None else indices.ctypes.data,
        count,
        bias.ctypes.data,
        None if x is None else x.address,
        None,
        None if y is None else y.address,
    )


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        ((-1, 5, 9), r"indices\[0\] is -1"),
        ((0, 9, 5), r"indices\[2\] is 5; indices must rise"),
        ((0, 5, 5), r"indices\[2\] is 5; indices must rise"),
        ((0, 5, 108), r"indices\[2\] is 108; indices must rise and stay below 108"),
        ((0, 5, 2**31 - 1), r"indices\[2\] is 2147483647"),
    ],
)
@pytest.mark.parametrize("algorithm", [a for a in algorithms() if takes_indices(a)])
def test_indices_rise_and_stay_inside_the_weight(algorithm, indices, message):
    answer = refusal(algorithm, indices=indices)

    assert re.search(message, answer)


@pytest.mark.parametrize("algorithm", [a for a in algorithms() if not takes_indices(a)])
@pytest.mark.parametrize("count", [0, 107, 109])
def test_a_dense_weight_has_as_many_values_as_its_shape_says(algorithm, count):
    values, bias = np.ones(200, np.float32), np.zeros(4, np.float32)

    with pytest.raises(RefusedError):
        call(arguments(algorithm, CONV, SIZE, values, None, count, bias))


SIZES = [name for name in CONV.__dict__ if not name.startswith("pad")]


@pytest.mark.parametrize("algorithm", algorithms())
@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("value", [0, -1, HUGE, 2**62, -(2**63), 2**63 - 1])
def test_sizes_are_positive_and_below_two_billion(algorithm, name, value):
    assert refusal_in_any_form(algorithm, **{name: value})


@pytest.mark.parametrize("algorithm", algorithms())
@pytest.mark.parametrize("name", ["pad_top", "pad_left", "pad_bottom", "pad_right"])
@pytest.mark.parametrize("value", [-1, HUGE, -(2**63), 2**63 - 1])
def test_pads_are_not_negative_and_below_two_billion(algorithm, name, value):
    assert refusal_in_any_form(algorithm, **{name: value})


def refusal_in_any_form(algorithm: str, **attributes) -> str:
    if takes_indices(algorithm):
        return refusal(algorithm, **attributes)
    conv = Conv(**{**CONV.__dict__, **attributes})
    values, bias = np.ones(108, np.float32), np.zeros(4, np.float32)
    with pytest.raises(RefusedError) as refused:
        call(arguments(algorithm, conv, SIZE, values, None, 108, bias))
    return str(refused.value)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"groups": 3}, "group 3 does not divide 4 filters"),
        ({"filters": 2**30, "kernel_h": 2**30}, "2^31 or more elements"),
        ({"kernel_h": 2**16, "kernel_w": 2**16}, "2^31 or more elements"),
        ({"channels_per_group": 2**30}, "2^31 or more elements"),
        ({"dilation_h": 2**30}, "dilated kernel or the channel count is out of range"),
        ({"dilation_w": 2**31 - 1}, "dilated kernel or the channel count is out of range"),
        ({"stride_h": 2**20, "stride_w": 2**20}, "stride is out of range"),
        ({"shape": (2, 4, 8, 8)}, "input has 4 channels, the weight needs 3"),
        ({"shape": (2, 3, 0, 8)}, "input map is empty or out of range"),
        ({"shape": (-1, 3, 8, 8)}, "input map is empty or out of range"),
        ({"shape": (1, 3, HUGE, 8)}, "input map is empty or out of range"),
        ({"shape": (1, 3, 8, 1), "pad_left": 0}, "input map 8x1 is smaller than the kernel"),
        ({"shape": (2**60, 3, 8, 8)}, "output is larger than memory can be"),
        ({"pad_top": 2**31 - 1, "pad_left": 2**31 - 1}, "output is larger than memory can be"),
    ],
)
def test_products_and_shapes_are_checked(attributes, message):
    assert message in refusal("spmm", **attributes)


@pytest.mark.parametrize(
    "attributes",
    [
        {"dilation_h": 2**29, "dilation_w": 2**29, "pad_bottom": 2**30, "pad_right": 2**30},
        {"pad_bottom": 23_500, "pad_right": 23_500, "kernel_h": 23_500, "kernel_w": 23_500},
    ],
)
def test_padding_that_does_not_fit_into_memory_is_an_error_at_the_run(attributes):
    conv = Conv(**{**CONV.__dict__, "filters": 1, "channels_per_group": 1, **attributes})
    ones, zero = np.ones(1, np.float32), np.zeros(1, np.int32)
    shape = conv.output_shape(1, 1, 1)
    x, y = Guarded(np.ones((1, 1, 1, 1), np.float32)), Guarded(np.zeros(shape, np.float32))

    with pytest.raises(RefusedError, match="larger than 2 GiB"):
        call(arguments("spmm", conv, (1, 1, 1, 1), ones, zero, 1, ones, x=x, y=y))


def test_strides_beyond_the_map_take_no_memory():
    conv = Conv(1, 1, 1, 1, 1, stride_h=46_340, stride_w=46_340)
    ones, zero = np.ones(1, np.float32), np.zeros(1, np.int32)
    x, y = Guarded(np.ones((1, 1, 1, 1), np.float32)), Guarded(np.zeros(1, np.float32))

    call(arguments("spmm", conv, (1, 1, 1, 1), ones, zero, 1, ones, x=x, y=y))

    assert y.array[0] == 2


STRANGE = (-(2**63), -HUGE, -1, 0, 1, 2, 3, 5, 17, 2**15, 2**16, 2**30, HUGE - 1, HUGE, 2**62)
BASES = [
    (CONV, SIZE),
    (Conv(40, 20, 1, 1, 1), (1, 20, 5, 5)),
    (Conv(6, 2, 3, 2, 3, 2, 3, 2, 1, 1, 2, 0, 1), (2, 6, 9, 9)),
    (Conv(8, 1, 8, 3, 3), (2, 8, 9, 9)),
]
MOST_ELEMENTS = 1 << 16


@pytest.mark.parametrize("algorithm", algorithms())
def test_no_mutation_of_a_payload_crashes(algorithm):
    rng = np.random.default_rng(0)
    outcomes = {"ran": 0, "refused": 0, "left out": 0}
    for _ in range(2000):
        conv, shape = BASES[rng.integers(len(BASES))]
        size = math.prod(conv.weight_shape)
        numbers = [*astuple(conv), *shape]
        for _ in range(rng.integers(1, 4)):
            numbers[rng.integers(len(numbers))] = int(STRANGE[rng.integers(len(STRANGE))])
        indices = np.flatnonzero(rng.random(size) < 0.2).astype(np.int32)
        if len(indices) and rng.integers(4) == 0:
            indices[rng.integers(len(indices))] = np.int64(rng.choice(STRANGE)).astype(np.int32)

        outcomes[outcome(algorithm, numbers, indices, size)] += 1

    assert outcomes["ran"]
    assert outcomes["refused"] > 1000


def outcome(algorithm: str, numbers: list[int], indices: np.ndarray, size: int) -> str:
    """What becomes of a payload; where its arrays are small enough, it also runs."""
    conv, shape = Conv(*numbers[:13]), tuple(numbers[13:])
    # Whoever calls an algorithm has checked that there is a bias for each filter.
    if MOST_ELEMENTS < conv.filters < HUGE:
        return "left out"
    bias = Guarded(np.ones(min(max(conv.filters, 1), MOST_ELEMENTS), np.float32))
    sparse = takes_indices(algorithm)
    values = Guarded(np.ones(len(indices) if sparse else size, np.float32))
    flat = Guarded(indices) if sparse else None
    x = y = None
    if are_small(shape) and min(conv.stride_h, conv.stride_w) > 0:
        produced = conv.output_shape(shape[0], *shape[2:])
        if are_small(produced):
            x = Guarded(np.ones(shape, np.float32))
            y = Guarded(np.full(produced, np.nan, np.float32))
    isa = sum(map(is_here, INSTRUCTION_SETS)) - 1  # the widest
    try:
        call(
            arguments(
                algorithm, conv, shape, values.array, flat and flat.array, len(values.array),
                bias.array, isa=isa, x=x, y=y,
            )
        )  # fmt: skip
    except RefusedError:
        return "refused"
    if y is not None:
        y.check()
        assert not np.isnan(y.array).any()
    return "ran"


def are_small(sizes) -> bool:
    return all(0 <= size <= MOST_ELEMENTS for size in sizes) and math.prod(sizes) <= MOST_ELEMENTS


# --- sessions -----------------------------------------------------------------------------------

SPARSE = PAIR.stem
WEIGHT = np.zeros((4, 3, 3, 3), np.float32)
WEIGHT.reshape(-1)[[0, 5, 9]] = 1
PLAIN = Epilogue()
FEEDS = {"x": np.ones(SIZE, np.float32)}
PROBLEM = Problem(CONV, WEIGHT, np.zeros(4, np.float32), FEEDS["x"])


def int32(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


WRONG_PAYLOADS = {
    "negative index": ({"inputs": {"indices": int32(-1, 5, 9)}}, "indices[0] is -1"),
    "falling indices": ({"inputs": {"indices": int32(9, 5, 0)}}, "indices must rise"),
    "index out of range": ({"inputs": {"indices": int32(0, 5, 108)}}, "stay below 108"),
    "fewer indices than values": ({"inputs": {"indices": int32(0, 5)}}, "differ in length"),
    "no indices": ({"inputs": {"indices": int32()}}, "differ in length"),
    "bias too long": ({"inputs": {"B": np.zeros(5, np.float32)}}, "one value per filter"),
    "bias of one": ({"inputs": {"B": np.zeros((), np.float32)}}, "one value per filter"),
    "no bias": ({"inputs": {"B": np.zeros(0, np.float32)}}, "one value per filter"),
    "weight of 2^80": ({"attributes": {"w_shape": [2**20] * 4}}, "2^31 or more elements"),
    "weight without channels": ({"attributes": {"w_shape": [4, 0, 3, 3]}}, "out of range"),
    "negative weight shape": ({"attributes": {"w_shape": [4, -3, 3, 3]}}, "out of range"),
    "weight of three axes": ({"attributes": {"w_shape": [4, 3, 9]}}, "4 dimensions"),
    "weight of a thousand axes": ({"attributes": {"w_shape": [1] * 1000}}, "4 dimensions"),
    "stride 0": ({"attributes": {"strides": [0, 1]}}, "stride is 0"),
    "one stride": ({"attributes": {"strides": [1]}}, "4 dimensions, strides"),
    "dilation 0": ({"attributes": {"dilations": [1, 0]}}, "dilation is 0"),
    "negative pad": ({"attributes": {"pads": [0, 0, 0, -1]}}, "pad is -1"),
    "group 3 of 4 filters": ({"attributes": {"group": 3}}, "does not divide 4 filters"),
    "group 0": ({"attributes": {"group": 0}}, "group is 0"),
    "no strides": ({"attributes": {"strides": WITHOUT}}, "missing"),
    "no group": ({"attributes": {"group": WITHOUT}}, "missing"),
    "no weight shape": ({"attributes": {"w_shape": WITHOUT}}, "missing"),
    "pads as text": ({"attributes": {"pads": "SAME_UPPER"}}, "pads 4 values"),
    "values fed": ({"fed": ["values"]}, "values is not a constant"),
    "indices fed": ({"fed": ["indices"]}, "indices is not a constant"),
    "bias fed": ({"fed": ["B"]}, "bias is not a constant"),
    "64-bit indices": ({"inputs": {"indices": np.array([0, 5, 9])}}, "tensor(int64)"),
    "double values": ({"inputs": {"values": np.ones(3)}}, "tensor(double)"),
    "half values": ({"inputs": {"values": np.ones(3, np.float16)}}, "tensor(float16)"),
}


@pytest.mark.parametrize("wrong", WRONG_PAYLOADS)
def test_a_session_names_the_node_and_what_is_wrong_with_its_payload(wrong):
    changes, message = WRONG_PAYLOADS[wrong]
    proto = model(SPARSE, PLAIN, PROBLEM, with_body=False, **changes)

    with pytest.raises(Exception) as error:  # noqa: PT011 - ORT has a dozen classes
        open_session(proto)

    assert message in str(error.value)
    assert "conv_7" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_node_of_a_long_name_is_named():
    inputs = {"B": np.zeros(5, np.float32)}
    proto = model(SPARSE, PLAIN, PROBLEM, inputs=inputs, node_name="n" * 999)

    with pytest.raises(Exception, match="n" * 999):
        open_session(proto)


@pytest.mark.parametrize(
    ("activation", "attributes"),
    [("Clip", {"min": WITHOUT}), ("Clip", {"max": 6}), ("LeakyRelu", {"alpha": WITHOUT})],
)
def test_an_activation_without_its_parameter_names_the_node(activation, attributes):
    epilogue = Epilogue(activation=activation, low=0, high=6)
    proto = model(SPARSE, epilogue, PROBLEM, attributes=attributes, with_body=False)

    with pytest.raises(Exception, match=r"conv_7.*attribute is missing"):
        open_session(proto)


WRONG_INPUTS = {
    "other channels": ({}, {"x": np.ones((2, 5, 8, 8), np.float32)}, "input has 5 channels"),
    "three axes": ({}, {"x": np.ones((2, 3, 8), np.float32)}, "input must have 4 dimensions"),
    "no rows": ({}, {"x": np.ones((2, 3, 0, 8), np.float32)}, "input map is empty"),
    "a map smaller than the kernel": (
        {"attributes": {"pads": [0, 0, 0, 0]}},
        {"x": np.ones((2, 3, 8, 2), np.float32)},
        "input map 8x2 is smaller than the kernel",
    ),
    "padding of 2^30": ({"attributes": {"pads": [2**30] * 4}}, FEEDS, "larger than memory can be"),
}


@pytest.mark.parametrize("wrong", WRONG_INPUTS)
def test_a_run_names_the_node_and_what_is_wrong_with_its_input(wrong):
    changes, feeds, message = WRONG_INPUTS[wrong]
    axes = [f"axis{i}" for i in range(feeds["x"].ndim)]
    session = open_session(
        model(SPARSE, PLAIN, PROBLEM, input_shape=axes, with_body=False, **changes)
    )

    with pytest.raises(Exception, match="conv_7") as error:
        session.run(None, feeds)

    assert message in str(error.value)


def is_sanitized() -> bool:
    return hasattr(ctypes.CDLL(None), "__asan_init")


@pytest.mark.skipif(is_sanitized(), reason="AddressSanitizer ends the process out of memory")
def test_an_output_of_terabytes_is_an_error_that_names_the_node():
    proto = model(SPARSE, PLAIN, PROBLEM, attributes={"pads": [2**18] * 4})
    session = open_session(proto)

    with pytest.raises(Exception, match=r"conv_7.*cannot be allocated"):
        session.run(None, FEEDS)


@pytest.mark.parametrize("shape", [(2, 4, 8, 7), (1, 4, 8, 8), (2, 4, 64), (2, 3, 8, 8), (1,)])
def test_a_residual_of_another_shape_is_an_error_not_a_broadcast(shape):
    axes = [f"axis{i}" for i in range(len(shape))]
    proto = model(SPARSE, Epilogue(residual=True), PROBLEM, residual_shape=axes, with_body=False)
    session = open_session(proto)

    with pytest.raises(Exception, match=r"conv_7.*residual's shape differs"):
        session.run(None, FEEDS | {"R": np.ones(shape, np.float32)})


def test_a_session_goes_on_after_a_wrong_input():
    session = open_session(model(SPARSE, PLAIN, PROBLEM))
    before = session.run(None, FEEDS)[0]
    with pytest.raises(Exception, match="5 channels"):
        session.run(None, {"x": np.ones((2, 5, 8, 8), np.float32)})

    after = session.run(None, FEEDS)[0]

    np.testing.assert_array_equal(after, before)


def test_a_batch_of_none_gives_none():
    session = open_session(model(SPARSE, PLAIN, PROBLEM))

    (actual,) = session.run(None, {"x": np.ones((0, 3, 8, 8), np.float32)})

    assert actual.shape == (0, 4, 8, 8)


def test_no_mutation_of_the_attributes_crashes_a_session():
    rng = np.random.default_rng(0)
    opened = failed = 0
    for _ in range(150):
        attributes = {
            "w_shape": list(CONV.weight_shape), "strides": [1, 1], "dilations": [1, 1],
            "pads": [1, 1, 1, 1], "group": [1],
        }  # fmt: skip
        for _ in range(rng.integers(1, 3)):
            values = attributes[str(rng.choice(list(attributes)))]
            values[rng.integers(len(values))] = int(rng.choice(STRANGE))
        attributes["group"] = attributes["group"][0]
        proto = model(SPARSE, PLAIN, PROBLEM, attributes=attributes, with_body=False)

        try:
            open_session(proto)
            opened += 1
        except Exception as error:
            failed += "conv_7" in str(error)

    assert opened
    assert opened + failed == 150


def test_indices_that_change_below_a_session_are_an_error(tmp_path, monkeypatch):
    """ONNX Runtime maps external data, and a first run reads the indices again."""
    monkeypatch.chdir(tmp_path)
    conv = Conv(64, 64, 1, 3, 3, pad_top=1, pad_left=1, pad_bottom=1, pad_right=1)
    given = problem(conv, PLAIN)
    proto = model(SPARSE, PLAIN, given)
    onnx.save(proto, "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    register(options)
    session = onnxruntime.InferenceSession("m.onnx", options)
    indices = sparse_payload(given.weight)[1].tobytes()
    content = Path("m.data").read_bytes()
    with Path("m.data").open("r+b") as file:
        file.seek(content.index(indices))
        file.write(np.full(len(indices) // 4, HUGE - 1, np.int32).tobytes())

    with pytest.raises(Exception, match="indices of the weight changed"):
        session.run(None, feeds_of(given))
