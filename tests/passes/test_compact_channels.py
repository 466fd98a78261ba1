import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models_in_text import assert_same_outputs, model_of, normal
from sparsepass.passes import CompactChannels, RemoveUnused

COUNT = 5  # not a multiple of any block, so that single channels can go


def chain(between: str, padding: int = 0) -> str:
    return f"""
    g (float[1, 3, 8, 8] x) => (float[1, 4, P, Q] y) {{
      c = Conv(x, w1, b1)
      {between}
      y = Conv<pads = [{padding}, {padding}, {padding}, {padding}]>(m, w2, b2)
    }}
    """


def parameters(*zero_filters: int, bias: float = 0.5, count: int = COUNT, read: int = 1):
    w1 = normal(count, 3, 3, 3)
    w1[list(zero_filters)] = 0
    return {
        "w1": w1, "b1": np.full(count, bias, np.float32),
        "w2": normal(4, count * read, 3, 3, seed=1), "b2": normal(4, seed=2),
        "wd": normal(count, 1, 3, 3, seed=3), "bd": normal(count, seed=4),
        "low": np.float32(0), "high": np.float32(6),
    }  # fmt: skip


def filters(model) -> list[int]:
    return [node.inputs[1].shape[0] for node in model.graph if node.op_type == "Conv"]


def compacted(text: str, params) -> list[int]:
    """Compact, check the outputs and that a second run finds nothing; return filter counts."""
    model = model_of(text, **params)
    RemoveUnused()(model)
    before = model.clone()
    result = CompactChannels()(model)
    assert result.modified == (filters(model) != filters(before))
    assert_same_outputs(before, model)
    assert not CompactChannels()(model).modified
    return filters(model)


@pytest.mark.parametrize(
    "between",
    [
        "m = Relu(c)", "m = Clip(c, low, high)", "m = LeakyRelu(c)", "m = Identity(c)",
        "r = Relu(c) m = MaxPool<kernel_shape = [2, 2]>(r)",
        "m = AveragePool<kernel_shape = [2, 2]>(c)",
        "m = AveragePool<kernel_shape = [2, 2], pads = [1, 1, 1, 1]>(c)",
    ],
)  # fmt: skip
@pytest.mark.parametrize("bias", [0.0, 0.5, -0.5])
def test_a_filter_of_zeros_goes_where_its_constant_can_be_moved(between, bias):
    found = compacted(chain(between), parameters(1, 3, bias=bias))

    averages_border = "pads" in between and bias != 0
    assert found == [COUNT if averages_border else COUNT - 2, 4]


@pytest.mark.parametrize(
    ("activation", "bias", "kept"), [("Relu", -0.5, 4), ("Relu", 0.5, 5), ("LeakyRelu", -0.5, 5)]
)
def test_before_a_padded_convolution_only_a_constant_of_zero_goes(activation, bias, kept):
    found = compacted(chain(f"m = {activation}(c)", padding=1), parameters(2, bias=bias))

    assert found == [kept, 4]


def test_a_channel_that_no_weight_reads_goes():
    params = parameters()
    params["w2"][:, [0, 4]] = 0

    assert compacted(chain("m = Relu(c)", padding=1), params) == [COUNT - 2, 4]


@pytest.mark.parametrize(("depthwise", "kept"), [("", 4), ("pads = [1, 1, 1, 1], ", 5)])
def test_depthwise_convolutions_shrink_along(depthwise, kept):
    between = f"r = Relu(c) m = Conv<{depthwise}group = 5>(r, wd, bd)"

    assert compacted(chain(between), parameters(1)) == [kept, kept, 4]


def test_a_depthwise_filter_of_zeros_ends_the_channel_before_it():
    params = parameters()
    params["wd"][2] = 0

    found = compacted(chain("m = Conv<group = 5, pads = [1, 1, 1, 1]>(c, wd, bd)"), params)

    assert found == [COUNT - 1, COUNT - 1, 4]


def test_channels_are_followed_through_concat():
    between = "r = Relu(c) d = Conv(x, w1, b1) n = Neg(d) m = Concat<axis = 1>(n, r)"

    assert compacted(chain(between), parameters(0, 3, read=2)) == [COUNT - 2, COUNT, 4]


def test_one_value_concatenated_twice_shrinks_twice():
    assert compacted(chain("m = Concat<axis = 1>(c, c)"), parameters(1, read=2)) == [COUNT - 1, 4]


@pytest.mark.parametrize(
    "between",
    [
        "m = Add(c, c)",
        "m = Softmax<axis = 1>(c)",
        "s = Transpose<perm = [0, 1, 3, 2]>(c) m = Neg(s)",
    ],
)
def test_channels_that_meet_others_stay(between):
    assert compacted(chain(between), parameters(1)) == [COUNT, 4]


def test_channels_of_an_output_stay():
    text = chain("m = Relu(c)").replace("Q] y)", "Q] y, float[1, 5, S, T] m)")

    assert compacted(text, parameters(1)) == [COUNT, 4]


@pytest.mark.parametrize(("zeros", "kept"), [(15, 32), (16, 16), (31, 16), (32, 16)])
def test_whole_blocks_of_channels_go(zeros, kept):
    found = compacted(chain("m = Relu(c)"), parameters(*range(zeros), count=32))

    assert found == [kept, 4]


def test_what_goes_frees_what_only_it_read():
    text = """
    g (float[1, 3, 8, 8] x) => (float[1, 4, 6, 6] y) {
      a = Conv(x, w0)
      b = Conv(a, w1)
      y = Conv(b, w2)
    }
    """
    w1 = normal(5, 5, 1, 1)
    w1[1:, 2] = 0
    w2 = normal(4, 5, 1, 1, seed=1)
    w2[:, 0] = 0

    found = compacted(text, {"w0": normal(5, 3, 3, 3), "w1": w1, "w2": w2})

    assert found == [4, 4, 4]


@pytest.mark.parametrize("shape", [(1, COUNT), (COUNT, 1), (1,), (), (2,)])
def test_a_bias_of_another_shape_is_left_alone(shape):
    params = parameters(1, 2) | {"b1": np.ones(shape, np.float32)}
    model = model_of(chain("m = Relu(c)"), **params)

    assert not CompactChannels()(model).modified


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.sampled_from(["Relu", "LeakyRelu"]), st.integers(0, 1))
def test_any_pattern_of_zeros_keeps_the_outputs(seed, activation, padding):
    generator = np.random.default_rng(seed)
    params = parameters(*np.flatnonzero(generator.random(COUNT) < 0.4))
    params["b1"] = normal(COUNT, seed=seed)
    params["wd"][generator.random(COUNT) < 0.3] = 0
    params["w2"][:, generator.random(COUNT) < 0.3] = 0
    pads = f"pads = [{padding}, 0, 0, {padding}]"
    between = f"r = {activation}(c) d = Conv<group = 5, {pads}>(r, wd, bd) m = {activation}(d)"

    compacted(chain(between, padding=1 - padding), params)


def test_channels_are_followed_however_far():
    steps = 1200
    lines = " ".join(f"r{i + 1} = Relu(r{i})" for i in range(steps))
    params = parameters(1, 3)
    model = model_of(chain(f"r0 = Relu(c) {lines} m = Identity(r{steps})"), **params)

    assert CompactChannels()(model).modified

    assert filters(model) == [COUNT - 2, 4]
