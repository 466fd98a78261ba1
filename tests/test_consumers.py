"""What may stand in an input, by the operators that read it."""

import pytest

from models_in_text import model_of
from sparsepass.consumers import COUNTING, ONE, Values, values_for

FAR = " ".join(f"i{i + 1} = Identity(i{i})" for i in range(1200))


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ("y = Gather(table, i0)", Values(0, 6)),
        ("i1 = Identity(i0) y = Gather(table, i1)", Values(0, 6)),
        (f"{FAR} y = Gather(table, i1200)", Values(0, 6)),
        ("i1 = Identity(i0) i2 = Neg(i1) y = Unsqueeze(i2, i0)", COUNTING),
        ("i1 = Neg(i0) y = Identity(i1)", None),
        ("i1 = Cast<to = 7>(i0) y = Expand(table, i1)", ONE),
    ],
    ids=["read", "handed on", "far", "read beside", "free", "cast"],
)
def test_numbers_are_those_that_readers_take(nodes, expected):
    model = model_of(f"g (int64[3] i0, float[7] table) => (float[3] y) {{ {nodes} }}")

    assert values_for(model.graph.inputs[0]) == expected
