"""A layer behind a cut, from samples to outputs."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from lossy_networks import classifier, images

from models_in_text import op_types
from sparsepass.algorithms import algorithm
from sparsepass.errors import VerificationError
from sparsepass.model import load, save, to_bytes
from sparsepass.network import plain_session, runner
from sparsepass.pipeline.optimize import signed
from sparsepass.pipeline.rewrite import check_choices, rewrite
from sparsepass.pipeline.study import study
from sparsepass.pipeline.trials import open_trials
from sparsepass.pipeline.verification import verify_files
from sparsepass.plan import Choice, Plan
from sparsepass.run import DEFAULTS, RunOptions
from sparsepass.runtime.ops import KEEP_LARGEST
from sparsepass.runtime.session import session


@pytest.mark.parametrize(
    ("name", "cut"), [("threshold", "ThresholdedRelu"), ("nm-input", KEEP_LARGEST.name)]
)
def test_a_layer_skips_what_is_cut(name, cut):
    studied = study(load(classifier()), RunOptions(samples=images(40), max_error=0.3))
    layer = next(layer for layer in studied.layers if layer.name == "second")
    row = algorithm(name)
    options = row.options(layer, studied.stats["second"], studied.target)
    option = min(options, key=lambda option: option.error)
    choices = [Choice(layer="second", algorithm=name, parameters=option.parameters)]

    check_choices(studied, choices, DEFAULTS)
    model = rewrite(studied, choices)

    ops = op_types(model)
    assert ops[ops.index(cut) + 1] == "CpoConvRelu"
    feed, content = {"x": images(1)}, to_bytes(model)
    original = runner(plain_session(to_bytes(load(classifier()))))(feed)["y"]
    plain = runner(plain_session(content))(feed)["y"]
    ours = runner(session(content, threads=1))(feed)["y"]
    # 576 products a sum, each side rounds once a product; the head adds 64 of them.
    atol = 4 * 576 * 2.0**-24 * np.abs(original).max()
    np.testing.assert_allclose(ours, plain, rtol=0, atol=atol)
    assert 0 < np.linalg.norm(plain - original) / np.linalg.norm(original) < 2 * option.error


def test_values_at_a_threshold_do_not_fail_the_exact_layers():
    options = RunOptions(samples=images(40), max_error=0.9)
    studied = study(load(classifier()), options)
    row = algorithm("threshold")
    option = row.options(studied.layers[1], studied.stats["second"], studied.target)[-1]
    trials = open_trials(studied, options)
    candidate = trials.make(
        [Choice(layer="second", algorithm="threshold", parameters=option.parameters)]
    )
    feed = dict(studied.held_out[0])

    smooth = trials.without_jumps(candidate)

    plain = runner(plain_session(to_bytes(smooth.model)))(feed)["y"]
    np.testing.assert_allclose(smooth.run(feed)["y"], plain, rtol=1e-4, atol=1e-4)
    assert not np.allclose(candidate.run(feed)["y"], plain, rtol=1e-4, atol=1e-4)
    assert trials.without_jumps(trials.original) is trials.original


def files(folder, *, activation: str) -> tuple[Path, Path]:
    """The original, and a lossy file with another activation function in its function bodies."""
    options = RunOptions(samples=images(40), max_error=0.9)
    studied = study(load(classifier()), options)
    row = algorithm("threshold")
    option = row.options(studied.layers[1], studied.stats["second"], studied.target)[-1]
    choices = (Choice(layer="second", algorithm="threshold", parameters=option.parameters),)
    model = rewrite(studied, choices)
    for node in (node for body in model.functions.values() for node in body):
        node.op_type = activation if node.op_type == "Relu" else node.op_type
    plan = Plan(tool="test", machine="any", threads=1, max_error=0.9, choices=choices)
    original, lossy = folder / "net.onnx", folder / "lossy.onnx"
    onnx.save(classifier(), original)
    save(signed(model, plan), lossy)
    return original, lossy


def test_the_library_is_held_to_the_bodies_of_a_lossy_file(tmp_path):
    given = RunOptions(samples=images(8))

    verified = verify_files(*files(tmp_path, activation="Relu"), given)

    assert verified["the op library against function bodies"].passed


def test_a_wrong_body_within_the_error_of_a_lossy_file_fails(tmp_path):
    original, lossy = files(tmp_path, activation="Abs")

    with pytest.raises(VerificationError, match="against function bodies"):
        verify_files(original, lossy, RunOptions(samples=images(8)))
