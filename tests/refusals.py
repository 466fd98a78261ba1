"""A small model to be spoiled, and what is expected of a model that is refused."""

import pytest
from onnx import ModelProto, TensorProto

from models_in_text import normal, proto_of
from sparsepass.errors import ModelError
from sparsepass.model import load

CONV = "g (float[1, 4, 8, 8] x) => (float[1, 4, P, Q] y) { [conv] y = Conv(x, w) }"
W = normal(4, 4, 3, 3)


def with_attribute(text: str) -> ModelProto:
    return proto_of(CONV.replace("Conv(", f"Conv<{text}>("), w=W)


def weight_of(proto: ModelProto) -> TensorProto:
    return proto.graph.initializer[0]


def assert_refused(source, *words: str) -> None:
    """An error of one line that has ``words``."""
    with pytest.raises(ModelError) as caught:
        load(source)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message
