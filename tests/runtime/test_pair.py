"""Two sparse convolutions in one op: the kernel and the function body are the same."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from native import Conv, Problem, reference
from onnx import helper, numpy_helper
from rounding import tolerance
from sparse_models import (
    CONV,
    attributes_of,
    feeds_of,
    normal,
    open_session,
    payload_of,
    problem,
    with_values,
)

from sparsepass.layer import ACTIVATIONS, Epilogue
from sparsepass.runtime import ops
from sparsepass.runtime.activations import activation_attributes

SPARSE = ops.PAIR.stem
OTHER = Conv(37, 3, 1, 1, 1)
OPSETS = (ops.PAIR.oldest_opset, 17, 21)


def pair_model(
    epilogue: Epilogue,
    parts: tuple[Problem, Problem],
    *,
    opset: int = 17,
    input_shape=("N", 3, "H", "W"),
    output_shape=("N", "K", "P", "Q"),
    without: str = "",
    with_body: bool = True,
) -> onnx.ModelProto:
    attributes: dict[str, object] = {}
    constants = []
    for tag, part in zip(("", ops.SECOND), parts, strict=True):
        own = attributes_of(SPARSE, epilogue, part.conv, opset)
        shared = activation_attributes(epilogue.activation, opset)
        attributes |= {name if name in shared else name + tag: v for name, v in own.items()}
        payload = payload_of(SPARSE, part.weight) | {"B": part.bias}
        constants += [numpy_helper.from_array(v, name + tag) for name, v in payload.items()]
    attributes.pop(without, None)
    node = helper.make_node(
        ops.PAIR.name + epilogue.activation,
        ["x", *(c.name for c in constants)],
        ["y"],
        name="fire",
        domain=ops.DOMAIN,
        **attributes,
    )
    float_type = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", float_type, input_shape)],
        [helper.make_tensor_value_info("y", float_type, output_shape)],
        constants,
    )
    imports = [helper.make_opsetid("", opset), helper.make_opsetid(ops.DOMAIN, 1)]
    made = helper.make_model(graph, opset_imports=imports, ir_version=8)
    if with_body:
        made.functions.append(ops.PAIR.function(epilogue.activation, opset))
    return made


def parts_of(
    epilogue: Epilogue, convs: tuple[Conv, Conv] = (CONV, OTHER), batch: int = 2
) -> tuple[Problem, Problem]:
    first, second = (problem(conv, epilogue, (batch, 9, 7), seed=5) for conv in convs)
    return first, replace(second, x=first.x, bias=normal(second.conv.filters, seed=8))


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_kernel_and_body_concatenate_both_convolutions(activation, opset):
    epilogue = with_values(Epilogue(activation=activation))
    parts = parts_of(epilogue)
    proto = pair_model(epilogue, parts, opset=opset)
    onnx.checker.check_model(proto, full_check=True)

    (kernel,) = open_session(proto).run(None, feeds_of(parts[0]))
    (body,) = open_session(proto, library=False).run(None, feeds_of(parts[0]))

    expected = np.concatenate([reference(part) for part in parts], axis=1)
    allowed = np.concatenate(
        [np.broadcast_to(tolerance("spmm", p), reference(p).shape) for p in parts], axis=1
    )
    assert kernel.shape == body.shape == expected.shape
    assert (np.abs(kernel - expected) <= allowed).all()
    assert (np.abs(body - expected) <= 2 * allowed).all()


def test_batch_and_map_may_change_from_run_to_run():
    parts = parts_of(Epilogue())
    opened = open_session(pair_model(Epilogue(), parts))

    for shape in ((0, 3, 9, 7), (3, 3, 5, 20), (1, 3, 40, 31)):
        x = normal(*shape)
        (y,) = opened.run(None, {"x": x})
        expected = [reference(replace(part, x=x)) for part in parts] if shape[0] else []
        assert y.shape == (shape[0], CONV.filters + OTHER.filters, *shape[2:])
        if expected:
            np.testing.assert_allclose(y, np.concatenate(expected, axis=1), rtol=1e-5, atol=1e-5)


def test_shapes_are_inferred_and_the_batch_keeps_its_name():
    parts = parts_of(Epilogue())
    proto = pair_model(
        Epilogue(), parts, input_shape=("N", 3, 9, 7), output_shape=None, with_body=False
    )

    assert open_session(proto).get_outputs()[0].shape == ["N", 41, 9, 7]


def test_maps_of_different_sizes_are_refused_by_name():
    parts = parts_of(Epilogue(), (CONV, replace(OTHER, stride_h=2)))
    opened = open_session(pair_model(Epilogue(), parts))

    with pytest.raises(Exception, match="'fire': the maps of the two convolutions differ in size"):
        opened.run(None, feeds_of(parts[0]))


@pytest.mark.parametrize("missing", ["w_shape", "pads2", "group2"])
def test_a_missing_attribute_is_refused(missing):
    parts = parts_of(Epilogue())

    with pytest.raises(Exception, match=r"SparseConvPair.*attribute"):
        open_session(pair_model(Epilogue(), parts, without=missing, with_body=False))
