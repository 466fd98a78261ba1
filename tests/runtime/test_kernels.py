"""Every algorithm on every instruction set against the scalar reference."""

import math
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from native import (
    EMULATED,
    Conv,
    Epilogue,
    Problem,
    RefusedError,
    algorithms,
    reference,
    run,
    takes_indices,
)
from rounding import WINOGRAD, restriction, taps_of_a_phase, tolerance

# Multiply-adds of one random problem; the reference does about half a billion a second.
MOST_WORK = 500_000

# Share of the input that is not zero, for algorithms that compute dense input in another way.
INPUT_DENSITY = {"cpo": 0.1, "cps": 0.1}

RELU = Epilogue(low=0)
EPILOGUES = (
    Epilogue(),
    RELU,
    Epilogue(low=-0.5, high=0.5),
    Epilogue(low=0, high=6),
    Epilogue(high=1),
    Epilogue(slope=0.1),
    Epilogue(slope=0),
    Epilogue(slope=2),
    Epilogue(slope=-1),
    Epilogue(smooth="HardSwish"),
    Epilogue(smooth="Silu"),
)

every_algorithm = pytest.mark.parametrize("algorithm", algorithms())


@st.composite
def convolutions(draw, algorithm: str) -> Conv:
    small = st.integers(1, 3)
    kernel_h, kernel_w = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)) | st.just((1, 1)))
    stride_h, stride_w = draw(st.tuples(small, small) | st.just((1, 1)))
    dilation_h, dilation_w = draw(st.tuples(small, small) | st.just((1, 1)))
    if algorithm in WINOGRAD:
        stride_h = stride_w = draw(st.sampled_from((1, 2, 4)))
        most = stride_h * draw(st.sampled_from(sorted(WINOGRAD[algorithm])))
        sizes = st.integers(most - stride_h + 1, most)
        kernel_h, kernel_w, dilation_h, dilation_w = draw(sizes), draw(sizes), 1, 1
    if algorithm == "mec":
        kernel_h = max(kernel_h, stride_h + 1)
    groups = draw(st.sampled_from((1, 1, 2, 3, 17)))
    depthwise = algorithm == "depthwise" or groups > 3 or draw(st.integers(0, 5)) == 0
    return Conv(
        filters=groups * (draw(st.integers(1, 2)) if depthwise else draw(st.integers(1, 60))),
        channels_per_group=1 if depthwise else draw(st.integers(1, 20)),
        groups=groups,
        kernel_h=kernel_h,
        kernel_w=kernel_w,
        stride_h=stride_h,
        stride_w=stride_w,
        dilation_h=dilation_h,
        dilation_w=dilation_w,
        **dict(
            zip(
                ("pad_top", "pad_left", "pad_bottom", "pad_right"),
                draw(st.tuples(*[st.integers(0, 4)] * 4) | st.just((0, 0, 0, 0))),
                strict=True,
            )
        ),
    )


@st.composite
def problems(draw, algorithm: str) -> Problem:
    conv = draw(convolutions(algorithm))
    batch = draw(st.sampled_from((1, 1, 2, 3, 0)))
    least_h = max(1, conv.span[0] - conv.pad_top - conv.pad_bottom)
    least_w = max(1, conv.span[1] - conv.pad_left - conv.pad_right)
    pixels = MOST_WORK // (math.prod(conv.weight_shape) * max(batch, 1))
    most = min(40, math.isqrt(pixels))
    return random_problem(
        conv,
        (batch, draw(st.integers(0, most)) + least_h, draw(st.integers(0, most)) + least_w),
        density=draw(st.sampled_from((0.0, 0.1, 0.4, 1.0))),
        input_density=draw(st.sampled_from((0.0, 0.05, 0.3, 1.0))),
        residual=draw(st.booleans()),
        epilogue=draw(st.sampled_from(EPILOGUES)),
        seed=draw(st.integers(0, 999)),
    )


def random_problem(
    conv: Conv,
    size: tuple[int, int, int],
    *,
    density: float = 0.2,
    input_density: float = 1.0,
    residual: bool = False,
    epilogue: Epilogue = EPILOGUES[0],
    seed: int = 0,
) -> Problem:
    """Normal operands for ``size``, which is batch, height and width."""
    rng = np.random.default_rng(seed)

    def normal(shape, kept=1.0):
        values = rng.standard_normal(shape, np.float32)
        return values * (rng.random(shape) < kept) if kept < 1 else values

    return Problem(
        conv,
        weight=normal(conv.weight_shape, density).astype(np.float32),
        bias=normal(conv.filters),
        x=normal(conv.input_shape(*size), input_density).astype(np.float32),
        residual=normal(conv.output_shape(*size)) if residual else None,
        epilogue=epilogue,
    )


def assert_close(actual, expected, allowed) -> None:
    assert not np.isnan(actual).any(), f"{np.isnan(actual).sum()} outputs were not written"
    error = np.abs(actual.astype(np.float64) - expected)
    worst = np.unravel_index(np.argmax(error - allowed), error.shape) if error.size else ()
    assert (error <= allowed).all(), (
        f"y{list(map(int, worst))} is {actual[worst]}, not {expected[worst]}; "
        f"allowed error {np.broadcast_to(allowed, error.shape)[worst]:.3g}"
    )


# --- random problems ----------------------------------------------------------------------------


@every_algorithm
@given(data=st.data())
def test_any_convolution_equals_the_reference(algorithm, isa, data):
    problem = data.draw(problems(algorithm))
    threads, repeats = data.draw(st.sampled_from(((1, 1), (2, 1), (2, 3), (7, 1))))
    at_end = data.draw(st.booleans())

    actual = run(algorithm, isa, problem, threads=threads, repeats=repeats, at_end=at_end)

    assert_close(actual, reference(problem), tolerance(algorithm, problem))


# --- directed problems --------------------------------------------------------------------------


@dataclass(frozen=True)
class Directed:
    conv: Conv
    size: tuple[int, int, int]
    density: float = 0.2
    residual: bool = False
    epilogue: Epilogue = RELU

    def __str__(self):
        c = self.conv
        return (
            f"{c.channels_per_group * c.groups}x{self.size[1]}x{self.size[2]}-{c.filters}"
            f"-{c.kernel_h}x{c.kernel_w}s{c.stride_h}{c.stride_w}d{c.dilation_h}g{c.groups}"
            f"b{self.size[0]}-{self.density}"
        )


def square(filters, channels, kernel, *, stride=1, pad=0, dilation=1, groups=1) -> Conv:
    return Conv(
        filters, channels // groups, groups, kernel, kernel,
        stride, stride, dilation, dilation, pad, pad, pad, pad,
    )  # fmt: skip


# Maps of one row, around the 16 positions that kernels compute at once.
AROUND_A_UNIT = [
    Directed(square(5, 9, 1), (1, 1, pixels), density)
    for pixels in (1, 7, 15, 16, 17, 31, 33, 49, 196)
    for density in (0.3, 1.0)
]
MAPS_OF_NETWORKS = [
    Directed(square(64, 96, 1), (1, 7, 7)),
    Directed(square(64, 96, 1), (2, 14, 14), residual=True),
    Directed(square(33, 29, 3, pad=1), (1, 7, 7), 1.0),
    Directed(square(33, 29, 3, pad=1), (2, 14, 14), residual=True),
    Directed(square(16, 16, 3, pad=1), (1, 56, 56)),
    Directed(square(24, 16, 5, pad=2), (1, 28, 28)),
    Directed(square(32, 3, 16, stride=16), (1, 64, 64), 0.5),
    Directed(square(48, 48, 3, pad=1, groups=48), (1, 28, 28), 1.0),
    Directed(square(48, 48, 5, pad=2, stride=2, groups=48), (2, 15, 15), 0.6),
    Directed(square(96, 96, 3, pad=1, groups=12), (1, 14, 14)),
    Directed(Conv(20, 20, 1, 1, 7, pad_left=3, pad_right=3), (1, 17, 17)),
    Directed(Conv(20, 20, 1, 7, 1, pad_top=3, pad_bottom=3), (1, 17, 17)),
    Directed(Conv(20, 20, 1, 1, 9, dilation_w=4, pad_left=16, pad_right=16), (1, 1, 100)),
]
STRIDES = [
    Directed(square(20, 10, kernel, stride=stride, pad=kernel // 2), (1, 23, 30), residual=True)
    for kernel in (1, 2, 3, 5, 7)
    for stride in (2, 3)
]
MORE_PADDING_THAN_MAP = [
    Directed(square(6, 4, 5, pad=2), (1, 1, 1)),
    Directed(square(6, 4, 5, pad=4), (2, 2, 3), 1.0),
    Directed(square(6, 4, 7, pad=7, stride=3), (1, 2, 2)),
    Directed(square(6, 4, 3, pad=9, dilation=5), (1, 3, 1)),
    Directed(square(6, 4, 3, pad=3), (1, 1, 2), 1.0),
    Directed(square(6, 4, 3, pad=24, dilation=24), (1, 5, 30), residual=True),
    Directed(Conv(6, 4, 1, 3, 3, pad_top=5, pad_right=6), (1, 2, 2)),
    Directed(Conv(6, 4, 1, 3, 3, pad_bottom=5, pad_left=6), (1, 2, 2)),
]
SEVERAL_STRIPS = [
    Directed(square(8, 64, 1), (1, 80, 61)),
    Directed(square(40, 128, 1), (1, 40, 45), 0.9),
    Directed(square(8, 32, 3), (1, 75, 66), 0.1),
    Directed(square(8, 32, 3, pad=1), (2, 75, 66), 0.1, residual=True),
    Directed(square(40, 2048, 1), (1, 7, 7), 0.1),
    Directed(square(8, 2048, 3, pad=1), (1, 7, 7), 0.05),
    Directed(square(70, 300, 3, pad=1), (1, 6, 6), 0.5),
    Directed(square(8, 3, 7, stride=2, pad=3), (1, 224, 224), 0.5),
    Directed(square(8, 12, 3, stride=2, pad=1), (2, 160, 130), 0.5, residual=True),
    Directed(square(8, 12, 4, stride=2), (1, 130, 226), 0.5),
]
# Few weights multiply what was copied: rows of one vector, whole, idle lanes, and parts of a row.
FEW_WEIGHTS = [
    Directed(square(6, 3, 3, pad=1), (2, 9, 7), 0.15, residual=True),
    Directed(square(6, 3, 3, pad=1), (1, 17, 16), 0.1, residual=True),
    Directed(square(6, 5, 3, pad=1), (2, 13, 27), 0.1, True, Epilogue(slope=0.1)),
    Directed(square(6, 6, 3, pad=2, dilation=2, groups=2), (1, 11, 128), 0.1, residual=True),
    Directed(square(6, 3, 5, stride=2, pad=2), (1, 30, 129), 0.1),
    Directed(square(6, 3, 4, stride=3), (1, 21, 65), 0.1, True, EPILOGUES[-1]),
    Directed(Conv(4, 3, 1, 1, 5, dilation_w=9, pad_left=20, pad_right=20), (2, 5, 33), 0.2),
]
# Layers whose code would take more memory than the dense weight: the first channels are code, the
# others tiles, the last of which is not full.
CODE_AND_TILES = [
    Directed(square(130, 40, 1), (1, 20, 21), 0.37, residual=True),
    Directed(square(131, 24, 3), (1, 12, 13), 0.38),
    Directed(square(131, 24, 3, pad=1), (2, 14, 14), 0.38, True, EPILOGUES[-1]),
    Directed(square(130, 24, 3, pad=1, stride=2), (1, 23, 30), 0.36),
    Directed(square(142, 48, 3, pad=1, groups=2), (1, 9, 9), 0.36),
]
# Channels, and rows of a kernel, further apart than a distance of 16 bits.
FAR_APART = [
    Directed(square(5, 3, 3), (1, 300, 260), 0.5),
    Directed(Conv(5, 2, 1, 3, 1, dilation_h=290), (1, 600, 130), 1.0),
]
# One output, of more inputs than a slice of the product has.
ONE_POSITION = [
    Directed(square(70, 5000, 1), (1, 1, 1), 0.2, residual=True),
    Directed(square(20, 1100, 3), (2, 3, 3), 0.05),
    Directed(square(20, 12, 3, dilation=2, groups=4), (3, 5, 5), 0.5, True, EPILOGUES[-1]),
    Directed(square(9, 16, 3, stride=2), (1, 4, 4), 0.0),
]
DENSITIES = [
    Directed(square(40, 12, 3, pad=1), (1, 9, 9), density, residual=True)
    for density in (0.0, 0.001, 0.5, 1.0)
]
EVERY_EPILOGUE = [
    Directed(square(30, 8, 3, pad=1), (1, 11, 7), 0.5, residual, epilogue)
    for epilogue in EPILOGUES
    for residual in (False, True)
]
DIRECTED = [
    *AROUND_A_UNIT, *MAPS_OF_NETWORKS, *STRIDES, *MORE_PADDING_THAN_MAP, *SEVERAL_STRIPS,
    *FEW_WEIGHTS, *CODE_AND_TILES, *FAR_APART, *ONE_POSITION, *DENSITIES, *EVERY_EPILOGUE,
]  # fmt: skip


@cache
def solved(directed: Directed, input_density: float) -> tuple[Problem, np.ndarray]:
    problem = random_problem(
        directed.conv,
        directed.size,
        density=directed.density,
        input_density=input_density,
        residual=directed.residual,
        epilogue=directed.epilogue,
    )
    return problem, reference(problem)


@cache
def allowed(algorithm: str, directed: Directed) -> np.ndarray:
    return tolerance(algorithm, solved(directed, INPUT_DENSITY.get(algorithm, 1.0))[0])


def supported(algorithm: str) -> list[Directed]:
    return [directed for directed in DIRECTED if not restriction(algorithm, directed.conv)]


CASES = [
    pytest.param(algorithm, directed, id=f"{algorithm}-{directed}")
    for algorithm in algorithms()
    for directed in supported(algorithm)
]


@pytest.mark.parametrize(("algorithm", "directed"), CASES)
def test_shapes_of_networks_and_of_edges_equal_the_reference(algorithm, directed, isa):
    problem, expected = solved(directed, INPUT_DENSITY.get(algorithm, 1.0))

    for threads in (1, 2):
        actual = run(algorithm, isa, problem, threads=threads)

        assert_close(actual, expected, allowed(algorithm, directed))


@pytest.mark.parametrize("algorithm", ["cpo", "cps"])
@pytest.mark.parametrize("input_density", [0.0, 0.01, 0.04, 0.2])
@pytest.mark.parametrize("channels", [65, 130, 300, 520])
def test_pixels_of_few_values_equal_the_reference(algorithm, channels, input_density, isa):
    conv = square(2 * 37, 2 * channels, 1, groups=2)
    directed = Directed(conv, (2, 9, 5), density=1.0, residual=True)
    problem, expected = solved(directed, input_density)

    for threads in (1, 2):
        actual = run(algorithm, isa, problem, threads=threads)

        assert_close(actual, expected, tolerance(algorithm, problem))


@pytest.mark.parametrize("algorithm", ["spmm", "spmm_windows", "spmm_tiles"])
@pytest.mark.parametrize("directed", DIRECTED, ids=str)
def test_the_output_may_lie_where_the_residual_is(algorithm, directed, isa):
    problem, _ = solved(replace(directed, residual=True), 1.0)

    for threads in (1, 2):
        apart = run(algorithm, isa, problem, threads=threads)
        together = run(algorithm, isa, problem, threads=threads, in_place=True)

        np.testing.assert_array_equal(together, apart)


@every_algorithm
def test_shapes_out_of_reach_are_refused_and_no_others(algorithm):
    for directed in DIRECTED:
        problem = random_problem(directed.conv, (0, *directed.size[1:]))
        reason = restriction(algorithm, directed.conv)
        if reason is None:
            run(algorithm, "baseline", problem)
            continue

        with pytest.raises(RefusedError) as refusal:
            run(algorithm, "baseline", problem)

        assert str(refusal.value) == reason


@pytest.mark.parametrize(
    ("algorithm", "kernel", "stride"),
    [
        ("winograd2", 3, 1),
        ("winograd2", 5, 2),
        ("winograd4", 3, 1),
        ("winograd4", 11, 4),
        ("winograd4", 2, 1),
        ("winograd4", 3, 2),
        ("winograd4", 4, 1),
        ("winograd4", 7, 2),
    ],
)
def test_the_matrices_behind_the_bound_compute_a_convolution(algorithm, kernel, stride):
    conv = square(4, 6, kernel, pad=1, groups=2, stride=stride)
    problem = random_problem(conv, (2, 19, 21), density=1.0)
    problem = replace(problem, bias=np.zeros_like(problem.bias))

    actual = WINOGRAD[algorithm][taps_of_a_phase(conv)].exact(problem)

    np.testing.assert_allclose(actual, reference(problem), rtol=1e-5, atol=1e-5)


# --- special values -----------------------------------------------------------------------------

# One convolution for each way in which kernels read their input.
SPECIAL = [
    square(30, 20, 1),
    square(5, 8, 1),
    square(30, 8, 3),
    square(30, 8, 3, pad=1),
    square(9, 8, 3, pad=1, stride=2),
    square(16, 16, 3, pad=1, groups=16),
]
sums_in_order = pytest.mark.parametrize("algorithm", [a for a in algorithms() if a not in WINOGRAD])
special = pytest.mark.parametrize("conv", SPECIAL, ids=lambda c: str(Directed(c, (1, 9, 9))))


def skip_if_restricted(algorithm: str, conv: Conv) -> None:
    if reason := restriction(algorithm, conv):
        pytest.skip(reason)


def special_problem(algorithm: str, conv: Conv, size: tuple, density: float) -> Problem:
    skip_if_restricted(algorithm, conv)
    input_density = INPUT_DENSITY.get(algorithm, 1.0)
    return random_problem(conv, size, density=density, input_density=input_density)


@sums_in_order
@special
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_nan_and_infinity_reach_what_they_are_multiplied_into(algorithm, conv, value, isa):
    problem = special_problem(algorithm, conv, (2, 9, 9), 1.0)
    x = problem.x.copy()
    x[1, :, 4, 5] = value
    problem = replace(problem, x=x)

    actual = run(algorithm, isa, problem)

    # The weights differ in sign: sums of two infinities are NaN, in either order.
    np.testing.assert_array_equal(np.isfinite(actual), np.isfinite(reference(problem)))
    np.testing.assert_array_equal(np.isnan(actual), np.isnan(reference(problem)))


@sums_in_order
@special
def test_no_output_depends_on_a_position_its_weights_do_not_meet(algorithm, conv, isa):
    problem = special_problem(algorithm, conv, (1, 9, 9), 1.0)
    x = problem.x.copy()
    x[0, :, 4, 5] = math.nan
    untouched = replace(problem, x=np.where(np.isnan(x), np.float32(0), x))

    actual = run(algorithm, isa, replace(problem, x=x))

    met = np.isnan(reference(replace(problem, x=x)))
    expected = np.where(met, 0, reference(untouched))
    assert np.isnan(actual[met]).all()
    assert_close(np.where(met, 0, actual), expected, tolerance(algorithm, untouched))


@every_algorithm
@special
def test_no_image_of_a_batch_depends_on_another(algorithm, conv, isa):
    problem = special_problem(algorithm, conv, (3, 9, 9), 0.2)
    x = problem.x.copy()
    x[1] = math.nan

    actual = run(algorithm, isa, replace(problem, x=x), threads=2)

    np.testing.assert_array_equal(actual[::2], run(algorithm, isa, problem, threads=2)[::2])


@every_algorithm
@special
def test_zeros_of_either_sign_give_the_bias(algorithm, conv, isa):
    problem = special_problem(algorithm, conv, (1, 9, 9), 1.0)
    problem = replace(problem, x=np.where(problem.x > 0, np.float32(0), np.float32(-0.0)))

    actual = run(algorithm, isa, problem)

    expected = np.broadcast_to(problem.bias.reshape(-1, 1, 1), actual.shape)
    np.testing.assert_array_equal(actual, expected)


@sums_in_order
@special
def test_products_below_the_normal_numbers_are_kept(algorithm, conv, isa):
    problem = special_problem(algorithm, conv, (1, 9, 9), 1.0)
    tiny = np.float32(np.finfo(np.float32).smallest_normal / 8)
    problem = replace(problem, x=problem.x * tiny, bias=problem.bias * tiny)

    actual = run(algorithm, isa, problem)

    expected = reference(problem)
    assert np.count_nonzero(expected)
    assert_close(actual, expected, tolerance(algorithm, problem))


@every_algorithm
def test_threads_and_repeats_change_nothing(algorithm, isa):
    convs = (square(40, 48, 3, pad=1), square(40, 40, 3, pad=1, groups=40))
    conv = next(conv for conv in convs if not restriction(algorithm, conv))
    problem = random_problem(conv, (2, 30, 31), density=0.3, residual=True)

    once = run(algorithm, isa, problem)

    np.testing.assert_array_equal(run(algorithm, isa, problem, threads=2, repeats=4), once)


every_form = pytest.mark.parametrize("algorithm", [a for a in algorithms() if takes_indices(a)])


@every_form
def test_every_filter_of_a_wide_layer_is_written(algorithm, isa):
    """All weights are those of the first filters: shares of equal work are of unequal length."""
    if isa in EMULATED:
        pytest.skip("takes too long under emulation")
    weight = np.zeros((70000, 200, 1, 1), np.float32)
    weight[:1000] = 1
    x = np.ones((1, 200, 1, 2), np.float32)
    problem = Problem(Conv(70000, 200, 1, 1, 1), weight, np.full(70000, 7, np.float32), x)

    actual = run(algorithm, isa, problem)

    np.testing.assert_array_equal(actual[0, :1000], 207)
    np.testing.assert_array_equal(actual[0, 1000:], 7)


@every_form
def test_a_dilation_beyond_any_map_is_refused(algorithm, isa):
    far = 2**30 - 1
    conv = Conv(1, 1, 1, 2, 2, dilation_h=far, dilation_w=far, pad_top=far, pad_left=far)
    one = np.ones((1, 1, 1, 1), np.float32)
    weight = np.ones(conv.weight_shape, np.float32)

    with pytest.raises(RefusedError, match="larger than 2 GiB"):
        run(algorithm, isa, Problem(conv, weight, np.zeros(1, np.float32), one))
