"""Custom ops inside ONNX Runtime: the kernel and the function body are the same op."""

import ctypes
import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import native
import numpy as np
import onnx
import onnxruntime
import pytest
from native import NATIVE, Conv, Problem
from onnx import helper, numpy_helper
from rounding import restriction, tolerance
from sparse_models import (
    CONV,
    algorithm_of,
    conv_of,
    feeds_of,
    float_value,
    model,
    normal,
    open_session,
    payload_of,
    problem,
    pruned,
    with_values,
)

from sparsepass.algorithms import ALGORITHMS
from sparsepass.layer import Epilogue
from sparsepass.runtime import library_path, ops, register, session, weight_forms
from sparsepass.runtime.library import instruction_set, registered_ops

SPARSE = ops.PAIR.stem
RELU = Epilogue(activation="Relu")
EXAMPLE = problem(CONV, RELU)
every_stem = pytest.mark.parametrize("stem", ops.STEMS, ids=lambda stem: stem.name)


@cache
def newest_opset() -> int:
    """The newest opset that the installed ONNX Runtime reads."""
    for opset in range(onnx.defs.onnx_opset_version(), 0, -1):
        relu = helper.make_node("Relu", ["x"], ["y"])
        graph = helper.make_graph([relu], "g", [float_value("x", [1])], [float_value("y", [1])])
        imports = [helper.make_opsetid("", opset)]
        try:
            open_session(helper.make_model(graph, opset_imports=imports, ir_version=8))
        except Exception:
            continue
        return opset
    raise AssertionError("ONNX Runtime reads no opset")


EVERY_OP = [
    pytest.param(stem, with_values(epilogue), id=stem.name + epilogue.suffix)
    for stem in ops.STEMS
    for epilogue in ops.EPILOGUES
]
OPSETS = range(SPARSE.oldest_opset, newest_opset() + 1)


# --- the tables ---------------------------------------------------------------------------------


def test_the_library_registers_the_ops_of_the_python_table():
    assert registered_ops() == ops.op_names()


FORMS = {weight_forms.DENSE: "dense", weight_forms.SPARSE: "sparse"}


def native_rows() -> list[tuple[str, ...]]:
    """The rows of ops.inc: their kind, then what is in brackets."""
    text = (NATIVE / "ort" / "ops.inc").read_text()
    rows = re.findall(r"^(SP_\w+)\(([\w, ]+)\)$", text, re.MULTILINE)
    return [(kind, *columns.split(", ")) for kind, columns in rows]


def test_both_tables_have_the_same_rows_with_the_same_form_of_weight():
    def expected(row):
        match row:
            case ops.Stem(name, form):
                return "SP_CONV_OPS", name, FORMS[form]
            case ops.PairOp(name, stem):
                return "SP_PAIR_OPS", name, FORMS[stem.weight]
            case ops.MapOp(name):
                return "SP_MAP_OP", name

    named = [row[:2] if row[0] == "SP_MAP_OP" else (*row[:2], row[3]) for row in native_rows()]

    assert named == [expected(row) for row in ops.OPS]


def test_the_kernel_of_an_op_is_that_of_its_algorithm():
    native_names = {name: algorithm for _, name, algorithm, *_ in native_rows()}

    for row in ALGORITHMS:
        assert not row.op or native_names[row.op] == row.priced_as


def test_the_library_names_the_widest_instruction_set_it_runs_here():
    here = [isa for isa in native.INSTRUCTION_SETS if native.is_here(isa)]

    assert instruction_set() == here[-1]


def declared_slots() -> dict[str, int]:
    rows = re.findall(
        r"^\s+SP_ORT_SLOT\((\d+), (\w+),", (NATIVE / "ort" / "abi.h").read_text(), re.MULTILINE
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
    text = (NATIVE / "ort" / "abi.h").read_text()

    assert "kApiVersion = 17" in text
    assert max(declared_slots().values()) < 275  # the size of that version's table


# --- kernel against body ------------------------------------------------------------------------


def assert_same(actual, expected, algorithm: str, given: Problem) -> None:
    """Either may be off by the tolerance."""
    assert actual.shape == expected.shape
    assert (np.abs(actual - expected) <= 2 * tolerance(algorithm, given)).all()


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize(("stem", "epilogue"), EVERY_OP)
def test_the_body_equals_the_kernel(stem, epilogue, opset):
    given = problem(conv_of(stem), epilogue)
    proto = model(stem, epilogue, given, opset=opset)
    onnx.checker.check_model(proto, full_check=True)

    (kernel,) = open_session(proto).run(None, feeds_of(given))
    (body,) = open_session(proto, library=False).run(None, feeds_of(given))

    assert_same(kernel, body, algorithm_of(stem), given)


@every_stem
@pytest.mark.parametrize(
    "changes",
    [
        {"stride_h": 2, "stride_w": 3},
        {"dilation_h": 2, "dilation_w": 1},
        {"pad_top": 0, "pad_left": 2, "pad_bottom": 1, "pad_right": 3},
        {"kernel_h": 4, "kernel_w": 2},
        {"filters": 6, "channels_per_group": 1, "groups": 3},
        {"filters": 4, "channels_per_group": 2, "groups": 2},
    ],
)
def test_the_body_equals_the_kernel_for_every_attribute(stem, changes):
    conv = Conv(**{**asdict(conv_of(stem)), **changes})
    if reason := restriction(algorithm_of(stem), conv):
        pytest.skip(reason)
    given = problem(conv, RELU)
    proto = model(stem, RELU, given)

    (kernel,) = open_session(proto).run(None, feeds_of(given))
    (body,) = open_session(proto, library=False).run(None, feeds_of(given))

    assert_same(kernel, body, algorithm_of(stem), given)


@every_stem
def test_a_weight_of_zeros_only_gives_the_bias(stem):
    given = problem(conv_of(stem), RELU)
    given = replace(given, weight=np.zeros_like(given.weight))

    for library in (True, False):
        (actual,) = open_session(model(stem, RELU, given), library=library).run(
            None, feeds_of(given)
        )

        expected = np.maximum(given.bias, 0).reshape(1, -1, 1, 1)
        np.testing.assert_array_equal(actual, np.broadcast_to(expected, actual.shape))


@pytest.mark.parametrize("epilogue", [Epilogue(), RELU])
def test_without_the_library_onnx_runtime_folds_the_body_into_one_convolution(epilogue, tmp_path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    # Above this level layouts depend on the machine.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    proto = model(SPARSE, epilogue, problem(CONV, epilogue))

    onnxruntime.InferenceSession(proto.SerializeToString(), options)

    optimized = onnx.load(options.optimized_model_filepath)
    fused = {"": "Conv", "Relu": "FusedConv"}[epilogue.activation]
    assert [node.op_type for node in optimized.graph.node] == [fused]


# --- shapes -------------------------------------------------------------------------------------


@every_stem
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((2, 3, 9, 7), [2, 9, 7]),
        (("batch", 3, 9, 7), ["batch", 9, 7]),
        (("batch", 3, "H", 7), ["batch", None, 7]),
        (("batch", "C", "H", "W"), ["batch", None, None]),
    ],
)
def test_kernels_infer_shapes_and_keep_the_name_of_the_batch(stem, given, expected):
    conv = conv_of(stem)
    proto = model(
        stem, RELU, problem(conv, RELU), input_shape=given, output_shape=None, with_body=False
    )

    output = open_session(proto).get_outputs()[0]

    batch, filters, *spatial = output.shape
    assert filters == conv.filters
    for size, inferred in zip(expected, (batch, *spatial), strict=True):
        # ONNX Runtime invents a name for a size that nobody knows.
        assert inferred == size or (size is None and not isinstance(inferred, int))


@every_stem
@pytest.mark.parametrize("given", [(2, 3, "H", "W"), (2, 3, None, None), ("N", 3, "H", None)])
def test_the_shape_of_a_map_of_open_size_is_not_taken_for_known(stem, given):
    example = problem(conv_of(stem), RELU)
    proto = model(stem, RELU, example, input_shape=given, output_shape=None, with_body=False)
    proto.graph.node.append(helper.make_node("Shape", ["y"], ["shape"]))
    proto.graph.output.append(helper.make_tensor_value_info("shape", onnx.TensorProto.INT64, [4]))

    y, shape = open_session(proto).run(None, feeds_of(example))

    assert tuple(shape) == y.shape


def test_sizes_of_one_name_are_equal():
    names = []
    for changes in ({}, {"stride_w": 2}, {"stride_w": 2, "pad_left": 2}, {"kernel_w": 1}):
        conv = replace(CONV, **changes)
        proto = model(
            SPARSE, RELU, problem(conv, RELU), input_shape=(1, 3, 9, "W"), output_shape=None
        )
        names.append(open_session(proto).get_outputs()[0].shape[3])

    assert names == ["W", "(W-1)/2+1", "(W+0)/2+1", "(W+1)/1+1"]


@every_stem
def test_onnx_infers_shapes_through_the_body(stem):
    proto = model(
        stem, RELU, problem(conv_of(stem), RELU), input_shape=("batch", 3, 9, 7),
        output_shape=(None,) * 4,
    )  # fmt: skip

    inferred = onnx.shape_inference.infer_shapes(proto, strict_mode=True, data_prop=True)

    dims = inferred.graph.output[0].type.tensor_type.shape.dim
    assert dims[0].dim_param == "batch"
    assert [d.dim_value for d in dims[2:]] == [9, 7]


@every_stem
def test_batch_and_map_may_change_from_run_to_run(stem):
    conv = conv_of(stem)
    proto = model(stem, RELU, problem(conv, RELU))
    kernel, body = open_session(proto), open_session(proto, library=False)
    sizes = [(1, 9, 7), (3, 9, 7), (1, 20, 5), (2, 1, 1), (1, 33, 40), (1, 6, 6), (1, 9, 7)]

    for size in sizes:
        given = problem(conv, RELU, size)
        (actual,), (expected,) = (s.run(None, feeds_of(given)) for s in (kernel, body))

        assert_same(actual, expected, algorithm_of(stem), given)


# --- sessions -----------------------------------------------------------------------------------


def test_registering_twice_changes_nothing():
    options = onnxruntime.SessionOptions()
    proto = model(SPARSE, RELU, EXAMPLE, with_body=False)

    register(options)
    register(options)

    (actual,) = onnxruntime.InferenceSession(proto.SerializeToString(), options).run(
        None, feeds_of(EXAMPLE)
    )
    assert actual.shape == (2, 4, 9, 7)


def test_sessions_share_the_library_and_outlive_each_other():
    proto = model(SPARSE, RELU, EXAMPLE, with_body=False)
    first, second = open_session(proto), open_session(proto)
    (expected,) = first.run(None, feeds_of(EXAMPLE))
    del first

    (actual,) = second.run(None, feeds_of(EXAMPLE))

    np.testing.assert_array_equal(actual, expected)


@every_stem
def test_runs_at_the_same_time_do_not_disturb_each_other(stem):
    # More sizes than a layer keeps programs for, and enough work to be shared out among threads.
    sizes = {"groups": 24} if conv_of(stem).groups > 1 else {"channels_per_group": 16}
    conv = replace(conv_of(stem), filters=48, **sizes)
    problems = [problem(conv, RELU, (1 + i % 2, 20 + i % 6, 30), seed=i) for i in range(24)]
    proto = model(stem, RELU, problems[0], with_body=False)
    shared, alone = open_session(proto, threads=2), open_session(proto, threads=1)
    expected = [alone.run(None, feeds_of(p))[0] for p in problems]

    with ThreadPoolExecutor(4) as pool:
        actual = list(pool.map(lambda p: shared.run(None, feeds_of(p))[0], problems))

    for given, one, other in zip(problems, actual, expected, strict=True):
        assert_same(one, other, algorithm_of(stem), given)


def test_a_residual_that_is_read_again_keeps_its_values():
    weight, x = pruned(3, 3, 1, 1), normal(1, 3, 7, 9)
    constants = payload_of(SPARSE, weight) | {"B": np.zeros(3, np.float32)}
    wide = dict.fromkeys(("strides", "dilations"), (1, 1)) | {"pads": (0,) * 4, "group": 1}

    def add(read: str, residual: str, made: str) -> onnx.NodeProto:
        return helper.make_node(
            SPARSE.name + "Add", [read, *constants, residual], [made], domain=ops.DOMAIN,
            w_shape=weight.shape, **wide,
        )  # fmt: skip

    # The residual is the graph's input, then the layer's own input, then what a later node reads.
    nodes = [add("x", "x", "a"), add("a", "a", "b"), add("b", "a", "c"), add("c", "b", "d")]
    nodes.append(helper.make_node("Sum", ["a", "b", "c", "d"], ["y"]))
    shape = [float_value(name, x.shape) for name in ("x", "y")]
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "g", shape[:1], shape[1:], initializers)
    imports = [helper.make_opsetid("", 17), helper.make_opsetid(ops.DOMAIN, 1)]
    proto = helper.make_model(graph, opset_imports=imports, ir_version=8)
    given = x.copy()

    (actual,) = open_session(proto).run(None, {"x": given})

    def layer(read, residual):
        return np.einsum("kc,nchw->nkhw", weight[:, :, 0, 0], read) + residual

    a = layer(x, x)
    b = layer(a, a)
    c = layer(b, a)
    np.testing.assert_allclose(actual, a + b + c + layer(c, b), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(given, x)


def test_the_profile_shows_our_ops(tmp_path):
    content = model(SPARSE, RELU, EXAMPLE).SerializeToString()
    profiled = session(content, threads=1, profile=tmp_path / "profile")
    profiled.run(None, feeds_of(EXAMPLE))

    events = json.loads((tmp_path / profiled.end_profiling()).read_text())

    nodes = {e["name"]: e["args"]["op_name"] for e in events if e.get("cat") == "Node"}
    assert nodes["conv_7_kernel_time"] == "SparseConvRelu"


def test_the_library_is_a_file_that_any_binding_can_load():
    assert library_path().is_file()
    assert hasattr(ctypes.CDLL(str(library_path())), "RegisterCustomOps")


def test_the_library_that_ships_has_no_entries_of_the_tests():
    assert not hasattr(ctypes.CDLL(str(library_path())), "sparsepass_test")
