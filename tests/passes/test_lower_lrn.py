import onnx_ir as ir
import pytest

from models_in_text import assert_same_outputs, model_of, op_types
from sparsepass.passes import LowerLrn
from sparsepass.runtime.ops import DOMAIN, LRN, VERSION
from sparsepass.runtime.replacements import add_functions
from sparsepass.shapes import open_values


def lower(model: ir.Model) -> ir.passes.PassResult:
    return LowerLrn(DOMAIN, LRN.name, VERSION, open_values(model))(model)


def normalized(attributes: str, shape: str = "1, 9, 5, 6", element: str = "float") -> ir.Model:
    return model_of(
        f"g ({element}[{shape}] x) => ({element}[{shape}] y) {{ y = LRN <{attributes}> (x) }}"
    )


@pytest.mark.parametrize(
    "attributes", ["size = 5", "size = 3, alpha = 0.5, beta = 0.6, bias = 2.0", "size = 99"]
)
def test_an_lrn_becomes_one_op_whose_body_gives_the_same(attributes):
    model = normalized(attributes)
    before = model.clone()

    result = lower(model)
    add_functions(model)

    assert result.modified
    assert op_types(model) == [LRN.name]
    assert_same_outputs(before, model)
    assert not lower(model).modified


def test_defaults_are_written_out():
    model = normalized("size = 5")

    lower(model)

    attributes = {name: a.value for name, a in model.graph[0].attributes.items()}
    assert attributes == {"size": 5, "alpha": 1e-4, "beta": 0.75, "bias": 1.0}


@pytest.mark.parametrize(
    ("shape", "element"),
    [("1, 9, 5", "float"), ("1, 9, 5, 6", "double"), ("1, 9, 5, 6, 2", "float")],
)
def test_maps_that_the_op_does_not_take_are_kept(shape, element):
    model = normalized("size = 5", shape, element)

    assert not lower(model).modified
    assert op_types(model) == ["LRN"]
