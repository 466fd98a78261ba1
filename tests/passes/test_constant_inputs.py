import numpy as np

from models_in_text import assert_same_outputs, model_of, normal
from sparsepass.passes import ConstantInputs

OLD = """
<ir_version: 3, opset_import: ["": 9]>
g (float[1, 3, 8, 8] x, float[4, 3, 3, 3] w) => (float[1, 4, 6, 6] y) {
  y = Conv(x, w)
}
"""


def test_constants_leave_the_inputs_and_real_inputs_stay():
    model = model_of(OLD, w=normal(4, 3, 3, 3))

    result = ConstantInputs()(model)

    assert result.modified
    assert [value.name for value in model.graph.inputs] == ["x"]
    assert model.graph.initializers["w"].const_value is not None


def test_the_ir_version_allows_constants_that_are_no_inputs():
    model = model_of(OLD, w=np.ones((4, 3, 3, 3), np.float32))

    ConstantInputs()(model)

    assert model.ir_version == 4
    assert_same_outputs(
        model_of(OLD.replace("version: 3", "version: 4"), w=np.ones((4, 3, 3, 3), np.float32)),
        model,
    )


def test_second_run_changes_nothing():
    model = model_of(OLD, w=normal(4, 3, 3, 3))
    ConstantInputs()(model)

    assert not ConstantInputs()(model).modified
