import pytest

from models_in_text import assert_same_outputs, model_of, normal, op_types
from sparsepass.passes import TransposeGemm

GEMM = """
g (float[9, 4] x) => (float[4, 5] y) {
  y = Gemm<transA = 1, transB = 1, alpha = 0.5>(x, w, b)
}
"""


def test_a_transposed_input_gets_a_node_of_its_own():
    model = model_of(GEMM, w=normal(5, 9), b=normal(5))
    before = model.clone()

    result = TransposeGemm()(model)

    assert result.modified
    assert op_types(model) == ["Transpose", "Gemm"]
    assert_same_outputs(before, model)
    assert not TransposeGemm()(model).modified


@pytest.mark.parametrize(
    "text",
    [
        "g (float[9, 4] x, float[5, 9] w) => (float[4, 5] y) "
        "{ y = Gemm<transA = 1, transB = 1>(x, w) }",
        "g (float[4, 9] x) => (float[4, 5] y) { y = Gemm<transB = 1>(x, w) }",
    ],
    ids=["no constant weight", "not transposed"],
)
def test_others_stay(text):
    model = model_of(text, **({} if "] w" in text else {"w": normal(5, 9)}))

    assert not TransposeGemm()(model).modified
    assert op_types(model) == ["Gemm"]
