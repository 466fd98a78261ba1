"""What packed weights and encoded inputs take, against what the table of algorithms says of it."""

from dataclasses import replace

import numpy as np
import pytest
from native import Conv, Problem, compiled_for, scratch_bytes, weighed_run

from sparsepass.algorithms import ALGORITHMS, algorithm
from sparsepass.algorithms.weight_lists import RUN_BYTES, SLICE_BYTES, VISIT_BYTES, list_work
from sparsepass.layer import Layer
from sparsepass.profile import cpu_name
from sparsepass.runtime.microbench import random_zeros
from sparsepass.sparsity import Stats, weight_stats
from sparsepass.target import Target, block_of, column_of

# Code that is large enough gets whole huge pages, and its buffer says nothing of its length.
SHAPES = [(128, 256, 1, 14), (256, 128, 1, 28), (64, 64, 3, 28), (64, 128, 3, 7)]

# Code that gets huge pages where memory is not bounded.
LARGE_SHAPES = [(512, 2048, 1, 7), (256, 256, 3, 14)]
SMALL_SHAPES = [(24, 40, 1, 9), (16, 16, 3, 9)]


def problem_of(
    channels: int, filters: int, kernel: int, size: int, density: float, stride: int = 1
) -> Problem:
    """A convolution that keeps that share of its weights and no more, anywhere."""
    window = [kernel] * 2 + [stride] * 2 + [1] * 2 + [kernel // 2] * 4
    conv = Conv(filters, channels, 1, *window)
    order = np.random.default_rng(0).permutation(filters * channels * kernel**2)
    return Problem(
        conv,
        weight=(order < int(density * order.size)).reshape(conv.weight_shape).astype(np.float32),
        bias=np.zeros(filters, np.float32),
        x=np.zeros(conv.input_shape(1, size, size), np.float32),
    )


def layer_of(problem: Problem) -> Layer:
    conv = problem.conv
    return Layer(
        "layer", "Conv", 1, 1, (conv.kernel_h,) * 2, (conv.stride_h,) * 2, (1, 1),
        (conv.pad_top,) * 4, problem.x.shape[2:], problem.weight, problem.bias,
    )  # fmt: skip


def target_of(isa: str) -> Target:
    compiled = compiled_for(isa)
    return Target(compiled, block_of(compiled), column_of(compiled, cpu_name()))


@pytest.mark.parametrize("density", [0.02, 0.1, 0.39, 0.41])
@pytest.mark.parametrize(("channels", "filters", "kernel", "size"), SHAPES)
def test_a_packed_weight_takes_about_what_the_report_says(
    channels, filters, kernel, size, density, isa
):
    problem = problem_of(channels, filters, kernel, size, density)
    layer, target = layer_of(problem), target_of(isa)

    _, held = weighed_run("spmm", isa, problem)
    expected = algorithm("spmm").options(layer, Stats(weight_stats(layer), None), target)[0]

    off = 0.1 if target.tuning.prefers_code else 0.03
    # Where the library lays out the input in another way, the channels may be in a slice more.
    slice_bytes = (VISIT_BYTES + RUN_BYTES) * filters + SLICE_BYTES
    assert held == pytest.approx(expected.work.weight_bytes, rel=off, abs=slice_bytes)


@pytest.mark.parametrize("density", [0.1, 0.4])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("channels", "filters", "kernel", "size"), [*LARGE_SHAPES, *SMALL_SHAPES])
def test_lists_take_about_what_the_report_says(
    channels, filters, kernel, size, stride, density, isa
):
    target = target_of(isa)
    if target.tuning.prefers_code:
        pytest.skip("it is code")
    problem = problem_of(channels, filters, kernel, size, density, stride)

    _, held = weighed_run("spmm", isa, problem)

    assert held == pytest.approx(list_work(layer_of(problem), target).weight_bytes, rel=0.03)


@pytest.mark.parametrize("density", [0.4, 0.37, 0.3])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(
    ("channels", "filters", "kernel", "size"), [*SHAPES, *LARGE_SHAPES, *SMALL_SHAPES]
)
def test_from_60_percent_zeros_on_no_weight_takes_more_than_the_dense_one(
    channels, filters, kernel, size, stride, density, isa
):
    problem = problem_of(channels, filters, kernel, size, density, stride)

    _, held = weighed_run("spmm", isa, problem)

    assert held <= max(problem.weight.nbytes, target_of(isa).tuning.unbounded_bytes)


@pytest.mark.parametrize(("channels", "filters", "kernel", "size"), [*SHAPES, *LARGE_SHAPES])
def test_just_above_60_percent_zeros_code_and_tiles_share_the_channels(
    channels, filters, kernel, size, isa
):
    if not target_of(isa).tuning.prefers_code:
        pytest.skip("no code is generated for it")
    problem = problem_of(channels, filters, kernel, size, 0.39)

    _, held = weighed_run("spmm", isa, problem)
    _, tiles = weighed_run("spmm_tiles", isa, problem)

    assert 1.2 * tiles < held <= max(problem.weight.nbytes, target_of(isa).tuning.unbounded_bytes)


def held_of_the_input(name: str, isa: str, problem: Problem, nonzeros: int) -> tuple[int, float]:
    """Scratch memory where the input has so many values, in fact and by the table."""
    order = np.random.default_rng(0).permutation(problem.x.size)
    x = (order < nonzeros).reshape(problem.x.shape).astype(np.float32)
    layer = layer_of(problem)
    stats = Stats(weight_stats(layer), random_zeros(1 - nonzeros / x.size))
    said = algorithm(name).workspace(layer, stats, target_of(isa))
    return scratch_bytes(name, isa, replace(problem, x=x)), said


@pytest.mark.parametrize("name", [row.name for row in ALGORITHMS if row.workspace])
@pytest.mark.parametrize(("channels", "filters", "kernel", "size"), SHAPES)
def test_an_encoded_input_takes_what_the_report_says(channels, filters, kernel, size, name, isa):
    problem = problem_of(channels, filters, kernel, size, 1.0)
    count = problem.x.size

    # Sums of outputs take memory too, whatever the input.
    base, base_said = held_of_the_input(name, isa, problem, count // 100)
    for share in (0.1, 0.25):
        taken, said = held_of_the_input(name, isa, problem, int(share * count))
        assert taken - base == pytest.approx(said - base_said, rel=0.02, abs=500)


def test_encodings_differ_by_what_the_report_says(isa):
    problem = problem_of(*SHAPES[2], 1.0)

    cpo, cps = (held_of_the_input(r, isa, problem, problem.x.size // 10) for r in ("cpo", "cps"))

    assert cps[0] - cpo[0] == pytest.approx(cps[1] - cpo[1], rel=0.02, abs=500)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("values", [0.1, 1.0])
@pytest.mark.parametrize("name", ["cpo", "cps"])
def test_the_images_of_a_batch_take_the_memory_of_one(name, values, threads, isa):
    problem = problem_of(64, 64, 3, 14, 1)
    x = (np.random.default_rng(0).random((1, 64, 14, 14)) < values).astype(np.float32)

    one, eight = (
        scratch_bytes(name, isa, replace(problem, x=np.repeat(x, batch, 0)), threads=threads)
        for batch in (1, 8)
    )

    assert eight <= 2 * one
