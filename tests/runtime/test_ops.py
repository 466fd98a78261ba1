"""Custom ops inside ONNX Runtime: the kernel and the function body are the same op."""

import ctypes
import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import cache
from pathlib import Path

import native
import numpy as np
import onnx
import onnxruntime
import pytest
from native import NATIVE, Conv
from onnx import helper
from rounding import tolerance
from sparse_models import (
    BIAS,
    CONV,
    WEIGHT,
    X,
    algorithm_of,
    feeds_of,
    model,
    normal,
    open_session,
    problem_of,
    pruned,
    with_values,
)

from sparsepass.layer import Epilogue
from sparsepass.runtime import library_path, ops, register, session
from sparsepass.runtime.library import instruction_set, registered_ops

SPARSE = next(stem for stem in ops.STEMS if stem.sparse)
RELU = Epilogue(activation="Relu")


@cache
def newest_opset() -> int:
    """The newest opset that the installed ONNX Runtime reads."""
    for opset in range(onnx.defs.onnx_opset_version(), 0, -1):
        value = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
        output = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
        graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [value], [output])
        imports = [helper.make_opsetid("", opset)]
        try:
            open_session(helper.make_model(graph, opset_imports=imports, ir_version=8))
        except Exception:
            continue
        return opset
    raise AssertionError("ONNX Runtime reads no opset")


EVERY_OP = [
    pytest.param(stem, with_values(epilogue), id=stem.name + epilogue.suffix)
    for stem, epilogue in ops.all_ops()
]
OPSETS = range(ops.OLDEST_SPARSE_OPSET, newest_opset() + 1)


# --- the tables ---------------------------------------------------------------------------------


def test_the_library_registers_the_ops_of_the_python_table():
    assert registered_ops() == tuple(stem.name + e.suffix for stem, e in ops.all_ops())


def test_the_library_names_the_widest_instruction_set_it_runs_here():
    here = [isa for isa in native.INSTRUCTION_SETS if native.is_here(isa)]

    assert instruction_set() == here[-1]


def declared_slots() -> dict[str, int]:
    rows = re.findall(
        r"^\s+SP_ORT_SLOT\((\d+), (\w+),", (NATIVE / "ort_abi.h").read_text(), re.MULTILINE
    )
    return {name: int(slot) for slot, name in rows}


def api_base() -> ctypes.c_void_p:
    """What ONNX Runtime hands to an op library: GetApi first, GetVersionString second."""
    for path in sorted(Path(onnxruntime.__file__).parent.glob("capi/*onnxruntime*")):
        if path.is_file() and path.suffix not in (".py", ".pyi"):
            get = getattr(ctypes.CDLL(str(path)), "OrtGetApiBase", None)
            if get is not None:
                get.restype = ctypes.POINTER(ctypes.c_void_p)
                return get()
    pytest.skip("this wheel of onnxruntime keeps its C API to itself")


def test_every_declared_slot_of_the_abi_answers():
    get_api = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_uint32)(api_base()[0])
    slots = declared_slots()

    api = ctypes.cast(get_api(17), ctypes.POINTER(ctypes.c_void_p))

    assert len(slots) > 20
    addresses = {name: api[slot] for name, slot in slots.items()}
    assert all(addresses.values())
    assert len(set(addresses.values())) == len(slots)


def test_an_api_newer_than_the_runtime_is_not_asked_for():
    text = (NATIVE / "ort_abi.h").read_text()

    assert "kApiVersion = 17" in text
    assert max(declared_slots().values()) < 275  # the size of that version's table


# --- kernel against body ------------------------------------------------------------------------


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize(("stem", "epilogue"), EVERY_OP)
def test_the_body_equals_the_kernel(stem, epilogue, opset):
    proto = model(stem, epilogue, WEIGHT, BIAS, opset=opset)
    onnx.checker.check_model(proto, full_check=True)
    feeds = feeds_of(epilogue)

    (kernel,) = open_session(proto).run(None, feeds)
    (body,) = open_session(proto, library=False).run(None, feeds)

    # Either may be off by the tolerance.
    allowed = 2 * tolerance(algorithm_of(stem), problem_of(epilogue, feeds))
    assert kernel.shape == body.shape
    assert (np.abs(kernel - body) <= allowed).all()


@pytest.mark.parametrize(
    "changes",
    [
        {"stride_h": 2, "stride_w": 3},
        {"dilation_h": 2, "dilation_w": 1},
        {"pad_top": 0, "pad_left": 2, "pad_bottom": 1, "pad_right": 3},
        {"filters": 6, "channels_per_group": 1, "groups": 3},
        {"filters": 4, "channels_per_group": 2, "groups": 2, "kernel_h": 1, "kernel_w": 1},
    ],
)
def test_the_body_equals_the_kernel_for_every_attribute(changes):
    conv = Conv(**{**asdict(CONV), **changes})
    weight, bias = pruned(*conv.weight_shape), normal(conv.filters)
    feeds = {"x": normal(*conv.input_shape(2, 9, 8))}
    attributes = {
        "strides": (conv.stride_h, conv.stride_w),
        "dilations": (conv.dilation_h, conv.dilation_w),
        "pads": (conv.pad_top, conv.pad_left, conv.pad_bottom, conv.pad_right),
        "group": conv.groups,
    }
    proto = model(
        SPARSE, RELU, weight, bias, attributes=attributes, input_shape="NCHW", output_shape="NKPQ"
    )

    (kernel,) = open_session(proto).run(None, feeds)
    (body,) = open_session(proto, library=False).run(None, feeds)

    problem = problem_of(RELU, feeds, weight=weight, bias=bias, conv=conv)
    assert kernel.shape == body.shape
    assert (np.abs(kernel - body) <= 2 * tolerance("spmm", problem)).all()


def test_a_weight_of_zeros_only_gives_the_bias():
    proto = model(SPARSE, RELU, np.zeros_like(WEIGHT), BIAS)

    for library in (True, False):
        (actual,) = open_session(proto, library=library).run(None, {"x": X})

        expected = np.maximum(BIAS, 0).reshape(1, 4, 1, 1)
        np.testing.assert_array_equal(actual, np.broadcast_to(expected, (2, 4, 9, 7)))


@pytest.mark.parametrize("epilogue", [Epilogue(), RELU])
def test_without_the_library_onnx_runtime_folds_the_body_into_one_convolution(epilogue, tmp_path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    # Above this level layouts depend on the machine.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    proto = model(SPARSE, epilogue, WEIGHT, BIAS)

    onnxruntime.InferenceSession(proto.SerializeToString(), options)

    optimized = onnx.load(options.optimized_model_filepath)
    fused = {"": "Conv", "Relu": "FusedConv"}[epilogue.activation]
    assert [node.op_type for node in optimized.graph.node] == [fused]


# --- shapes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("stem", ops.STEMS, ids=lambda stem: stem.name)
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((2, 3, 9, 7), [2, 4, 9, 7]),
        (("batch", 3, 9, 7), ["batch", 4, 9, 7]),
        (("batch", 3, "H", 7), ["batch", 4, None, 7]),
        (("batch", "C", "H", "W"), ["batch", 4, None, None]),
    ],
)
def test_kernels_infer_shapes_and_keep_the_name_of_the_batch(stem, given, expected):
    proto = model(stem, RELU, WEIGHT, BIAS, input_shape=given, output_shape=None, with_body=False)

    output = open_session(proto).get_outputs()[0]

    shape = [d if e is not None else None for d, e in zip(output.shape, expected, strict=True)]
    assert shape == expected
    assert all(isinstance(d, int) or d == "batch" or d is None or "unk" in d for d in output.shape)


@pytest.mark.parametrize("stem", ops.STEMS, ids=lambda stem: stem.name)
def test_onnx_infers_shapes_through_the_body(stem):
    proto = model(
        stem, RELU, WEIGHT, BIAS, input_shape=("batch", 3, 9, 7), output_shape=(None,) * 4
    )

    inferred = onnx.shape_inference.infer_shapes(proto, strict_mode=True, data_prop=True)

    dims = inferred.graph.output[0].type.tensor_type.shape.dim
    assert dims[0].dim_param == "batch"
    assert [d.dim_value for d in dims[2:]] == [9, 7]


def test_batch_and_map_may_change_from_run_to_run():
    proto = model(SPARSE, RELU, WEIGHT, BIAS)
    kernel, body = open_session(proto), open_session(proto, library=False)
    sizes = [(1, 9, 7), (3, 9, 7), (1, 20, 5), (2, 1, 1), (1, 33, 40), (1, 6, 6), (1, 9, 7)]

    for batch, height, width in sizes:
        feeds = {"x": normal(batch, 3, height, width)}
        (actual,), (expected,) = kernel.run(None, feeds), body.run(None, feeds)

        allowed = 2 * tolerance("spmm", problem_of(RELU, feeds))
        assert (np.abs(actual - expected) <= allowed).all()


# --- sessions -----------------------------------------------------------------------------------


def test_registering_twice_changes_nothing():
    options = onnxruntime.SessionOptions()
    proto = model(SPARSE, RELU, WEIGHT, BIAS, with_body=False)

    register(options)
    register(options)

    (actual,) = onnxruntime.InferenceSession(proto.SerializeToString(), options).run(None, {"x": X})
    assert actual.shape == (2, 4, 9, 7)


def test_sessions_share_the_library_and_outlive_each_other():
    proto = model(SPARSE, RELU, WEIGHT, BIAS, with_body=False)
    first, second = open_session(proto), open_session(proto)
    (expected,) = first.run(None, {"x": X})
    del first

    (actual,) = second.run(None, {"x": X})

    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("stem", ops.STEMS, ids=lambda stem: stem.name)
def test_runs_at_the_same_time_do_not_disturb_each_other(stem):
    # More sizes than a layer keeps programs for, and enough work to be shared out among threads.
    weight, bias = pruned(24, 16, 3, 3), normal(24)
    proto = model(
        stem, RELU, weight, bias, input_shape=("N", 16, "H", "W"), output_shape=None,
        with_body=False,
    )  # fmt: skip
    shared = open_session(proto, threads=2)
    alone = open_session(proto, threads=1)
    inputs = [normal(1 + i % 2, 16, 20 + i % 6, 30, seed=i) for i in range(24)]
    expected = [alone.run(None, {"x": x})[0] for x in inputs]

    with ThreadPoolExecutor(4) as pool:
        actual = list(pool.map(lambda x: shared.run(None, {"x": x})[0], inputs))

    for x, one, other in zip(inputs, actual, expected, strict=True):
        conv = Conv(24, 16, 1, 3, 3, pad_top=1, pad_left=1, pad_bottom=1, pad_right=1)
        problem = problem_of(RELU, {"x": x}, weight=weight, bias=bias, conv=conv)
        assert (np.abs(one - other) <= 2 * tolerance(algorithm_of(stem), problem)).all()


def test_the_profile_shows_our_ops(tmp_path):
    content = model(SPARSE, RELU, WEIGHT, BIAS).SerializeToString()
    profiled = session(content, threads=1, profile=tmp_path / "profile")
    profiled.run(None, {"x": X})

    events = json.loads((tmp_path / profiled.end_profiling()).read_text())

    nodes = {e["name"]: e["args"]["op_name"] for e in events if e.get("cat") == "Node"}
    assert nodes["conv_7_kernel_time"] == "SparseConvRelu"


def test_the_library_is_a_file_that_any_binding_can_load():
    assert library_path().is_file()
    assert hasattr(ctypes.CDLL(str(library_path())), "RegisterCustomOps")
