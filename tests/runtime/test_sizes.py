"""Maps whose size changes from run to run, also in several threads at once, and empty ones."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
from native import EMULATED, Conv, Problem
from rounding import tolerance
from sparse_models import (
    conv_of,
    feeds_of,
    map_model,
    model,
    normal,
    open_session,
    problem,
    with_values,
)

from sparsepass.model import to_bytes
from sparsepass.runtime import ops, register
from sparsepass.runtime.ops import KEEP_LARGEST, LRN, MAX_POOL

SPARSE = ops.PAIR.stem
CLIP = with_values(next(e for e in ops.EPILOGUES if e.suffix == "Clip"))
SILU = next(e for e in ops.EPILOGUES if e.suffix == "AddSilu")

CONVS = [
    pytest.param(Conv(40, 24, 1, 1, 1), id="1x1"),
    pytest.param(Conv(40, 24, 1, 1, 1, 2, 2), id="1x1 stride 2"),
    pytest.param(Conv(33, 17, 1, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1), id="3x3"),
    pytest.param(Conv(24, 6, 2, 5, 3, 2, 2, 1, 1, 2, 1, 2, 1), id="5x3 stride 2, groups"),
    pytest.param(Conv(9, 8, 1, 3, 3, 1, 1, 12, 12), id="dilation 12"),
]
every_conv = pytest.mark.parametrize("conv", CONVS)


def sizes(count: int, seed: int = 0) -> list[tuple[int, int, int]]:
    """Batches, heights and widths, some of them small, some twice."""
    rng = np.random.default_rng(seed)
    found = [
        (int(b), int(h), int(w)) for b, h, w in rng.integers((1, 1, 1), (3, 50, 90), (count, 3))
    ]
    return [*found, *found[: count // 3]]


def fits(conv: Conv, size: tuple[int, int, int]) -> bool:
    return min(conv.output_shape(*size)[2:]) > 0


def session_of(conv: Conv, epilogue, isa: str, threads: int = 1) -> onnxruntime.InferenceSession:
    if isa in EMULATED:
        pytest.skip("ONNX Runtime does not run under emulation here")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    register(options, isa)
    proto = model(SPARSE, epilogue, problem(conv, epilogue, (1, 30, 30))).SerializeToString()
    return onnxruntime.InferenceSession(proto, options)


def assert_right(session: onnxruntime.InferenceSession, given: Problem, own) -> None:
    (actual,) = session.run(None, feeds_of(given))
    (expected,) = own.run(None, feeds_of(given))
    assert actual.shape == expected.shape
    assert (np.abs(actual - expected) <= 2 * tolerance("spmm", given)).all()


def own_session(conv: Conv, epilogue) -> onnxruntime.InferenceSession:
    return open_session(
        model(SPARSE, epilogue, problem(conv, epilogue, (1, 30, 30))), library=False
    )


@every_conv
@pytest.mark.parametrize("epilogue", [CLIP, SILU], ids=lambda e: e.suffix)
@pytest.mark.parametrize("threads", [1, 2])
def test_every_size_of_a_stream_is_right(conv, epilogue, threads, isa):
    session, own = session_of(conv, epilogue, isa, threads), own_session(conv, epilogue)

    for seed, size in enumerate(s for s in sizes(12) if fits(conv, s)):
        assert_right(session, problem(conv, epilogue, size, seed), own)


@every_conv
def test_a_size_that_repeats_stays_right(conv, isa):
    """It gets a program of its own on the way, and others come between."""
    session, own = session_of(conv, CLIP, isa), own_session(conv, CLIP)
    often = problem(conv, CLIP, (2, 30, 34))
    once = [problem(conv, CLIP, size) for size in sizes(6) if fits(conv, size)]

    for turn in range(8):
        assert_right(session, often, own)
        if once:
            assert_right(session, once[turn % len(once)], own)


@every_conv
def test_threads_that_run_different_sizes_do_not_disturb_each_other(conv, isa):
    session = session_of(conv, CLIP, isa, threads=2)
    given = [problem(conv, CLIP, s, seed) for seed, s in enumerate(sizes(12)) if fits(conv, s)]
    given.append(problem(conv, CLIP, (1, 30, 34)))
    own = own_session(conv, CLIP)
    expected = [own.run(None, feeds_of(g))[0] for g in given]
    allowed = [2 * tolerance("spmm", g) for g in given]

    def run(seed: int) -> None:
        for index in np.random.default_rng(seed).integers(0, len(given), 30):
            (actual,) = session.run(None, feeds_of(given[index]))
            assert (np.abs(actual - expected[index]) <= allowed[index]).all()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(run, range(8)))


def test_two_sessions_of_one_model_take_turns(isa):
    conv = Conv(33, 17, 1, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1)
    sessions, own = [session_of(conv, CLIP, isa) for _ in range(2)], own_session(conv, CLIP)

    for turn, size in enumerate(sizes(10)):
        for session in sessions[:: 1 if turn % 2 else -1]:
            assert_right(session, problem(conv, CLIP, size), own)


# --- empty maps ---------------------------------------------------------------------------------

EVERY_OP = [
    pytest.param(stem, with_values(epilogue), id=stem.name + epilogue.suffix)
    for stem in ops.STEMS
    for epilogue in ops.EPILOGUES
]


@pytest.mark.parametrize(("stem", "epilogue"), EVERY_OP)
def test_no_images_give_no_outputs(stem, epilogue):
    given = problem(conv_of(stem), epilogue, (0, 9, 7))
    proto = model(stem, epilogue, given)

    (kernel,) = open_session(proto).run(None, feeds_of(given))
    (body,) = open_session(proto, library=False).run(None, feeds_of(given))

    assert kernel.shape == body.shape == (0, *given.conv.output_shape(0, 9, 7)[1:])


@pytest.mark.parametrize("shape", [(0, 4, 9, 9), (2, 0, 9, 9)], ids=str)
@pytest.mark.parametrize(
    ("op", "attributes"),
    [
        (
            MAX_POOL,
            "kernel_shape: ints = [3, 3], strides: ints = [2, 2], pads: ints = [1, 1, 1, 1]",
        ),
        (LRN, "size: int = 5, alpha: float = 0.1, beta: float = 0.75, bias: float = 1.0"),
        (KEEP_LARGEST, "kept: int = 1, block: int = 2"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_ops_of_maps_take_empty_ones(op, attributes, shape):
    proto = to_bytes(map_model(op, attributes, "N, C, H, W", "N, C, P, Q"))
    options = onnxruntime.SessionOptions()
    register(options)
    session = onnxruntime.InferenceSession(proto, options)

    (actual,) = session.run(None, {"x": np.empty(shape, np.float32)})

    assert actual.shape[:2] == shape[:2]


def test_an_empty_batch_between_others_changes_nothing():
    conv = Conv(33, 17, 1, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1)
    session, own = session_of(conv, CLIP, "baseline"), own_session(conv, CLIP)
    given = problem(conv, CLIP, (1, 20, 20))

    for batch in (0, 1, 0, 1):
        assert_right(session, replace(given, x=normal(batch, 17, 20, 20)), own)
