import onnx_ir as ir
import pytest

from models_in_text import assert_same_outputs, model_of, op_types
from sparsepass.passes import LowerMaxPool
from sparsepass.runtime.ops import DOMAIN, MAX_POOL, VERSION
from sparsepass.runtime.replacements import add_functions
from sparsepass.shapes import open_values


def lower(model: ir.Model, wanted=lambda node: True) -> ir.passes.PassResult:
    known = open_values(model)
    return LowerMaxPool(DOMAIN, MAX_POOL.name, VERSION, known, wanted)(model)


def pooled(attributes: str, shape: str = "1, 9, 14, 17", element: str = "float") -> ir.Model:
    return model_of(
        f"g ({element}[{shape}] x) => ({element}[A, B, C, D] y) "
        f"{{ y = MaxPool <{attributes}> (x) }}"
    )


@pytest.mark.parametrize(
    "attributes",
    [
        "kernel_shape = [2, 2]",
        "kernel_shape = [3, 2], strides = [2, 3], pads = [1, 0, 2, 1]",
        "kernel_shape = [3, 3], strides = [2, 2], ceil_mode = 1",
        "kernel_shape = [2, 2], strides = [3, 3], ceil_mode = 1",
        "kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1], ceil_mode = 1",
        'kernel_shape = [3, 3], strides = [2, 2], auto_pad = "SAME_UPPER"',
        'kernel_shape = [2, 2], auto_pad = "SAME_LOWER"',
        'kernel_shape = [3, 3], strides = [2, 2], auto_pad = "VALID"',
    ],
)
def test_a_max_pool_becomes_one_op_whose_body_gives_the_same(attributes):
    model = pooled(attributes)
    before = model.clone()

    result = lower(model)
    add_functions(model)

    assert result.modified
    assert op_types(model) == [MAX_POOL.name]
    assert_same_outputs(before, model)
    assert not lower(model).modified


@pytest.mark.parametrize(
    ("attributes", "shape", "element"),
    [
        ("kernel_shape = [2, 2], dilations = [2, 2]", "1, 9, 14, 17", "float"),
        ("kernel_shape = [2, 2], ceil_mode = 1", "1, 9, H, 17", "float"),
        ('kernel_shape = [2, 2], auto_pad = "SAME_UPPER"', "1, 9, 14, W", "float"),
        ("kernel_shape = [2, 2]", "1, 9, 14, 17", "double"),
        ("kernel_shape = [2, 2], pads = [0, 0, 2, 0]", "1, 9, 14, 17", "float"),
        ("kernel_shape = [2]", "1, 9, 14, 17", "float"),
        ("kernel_shape = [2, 2], strides = [1, 0]", "1, 9, 14, 17", "float"),
        ("kernel_shape = [2, 2], pads = [1, 1]", "1, 9, 14, 17", "float"),
    ],
)
def test_pools_that_the_op_does_not_compute_are_kept(attributes, shape, element):
    model = pooled(attributes, shape, element)

    assert not lower(model).modified
    assert op_types(model) == ["MaxPool"]


def test_a_pool_that_tells_positions_is_kept():
    model = model_of(
        "g (float[1, 3, 8, 8] x) => (float[1, 3, 7, 7] y, int64[1, 3, 7, 7] i) "
        "{ y, i = MaxPool <kernel_shape = [2, 2]> (x) }"
    )

    assert not lower(model).modified


def test_only_wanted_pools_are_replaced():
    model = pooled("kernel_shape = [2, 2]")

    assert not lower(model, wanted=lambda node: False).modified


def test_types_that_the_file_leaves_out_are_inferred():
    model = model_of(
        "g (float[1, 3, 8, 8] x) => (float[1, 3, 7, 7] y) "
        "{ r = Relu(x) y = MaxPool <kernel_shape = [2, 2]> (r) }"
    )

    assert lower(model).modified
