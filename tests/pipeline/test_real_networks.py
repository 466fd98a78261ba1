"""Published networks: outputs stay, our operators run, and what was really pruned gets faster."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import sparsepass
from sparsepass.model import to_bytes
from sparsepass.network import plain_session, runner
from sparsepass.pictures import ImageTransform
from sparsepass.runtime.ops import DOMAIN, op_names
from sparsepass.runtime.profiling import end_profile
from sparsepass.runtime.session import session
from sparsepass.samples import inputs_of, load_samples, random_samples

CAFFE = ImageTransform(mean=(104, 117, 123), std=(1,), scale=1, order="bgr")


def path_of(shared: Path, name: str) -> Path:
    (path,) = (shared / "models").glob(f"{name}*.onnx")
    return path


def ran(content: bytes, feed: dict[str, np.ndarray], folder: Path) -> Counter[str]:
    """How often ONNX Runtime ran each operator of ours in one inference, by its own profile."""
    opened = session(content, threads=1, profile=folder / "profile")
    runner(opened)(feed)
    names = (run.arguments["op_name"] for run in end_profile(opened))
    return Counter(name for name in names if name in op_names())


@pytest.mark.parametrize("name", ["alexnet", "squeezenet1.0-pruned"])
def test_a_pruned_network_runs_on_our_operators_and_keeps_its_outputs(name, shared, tmp_path):
    path = path_of(shared, name)

    result = sparsepass.optimize(path, measure=False)

    content = to_bytes(result.model)
    used = Counter(node.op_type for node in result.model.graph if node.domain == DOMAIN)
    feed = random_samples(inputs_of(result.model), seed=9, count=1)[0]
    assert used
    assert ran(content, feed, tmp_path) == used
    before, bodies = (runner(plain_session(c, threads=1))(feed) for c in (path, content))
    after = runner(session(content, threads=1))(feed)
    # The tolerance of the report was derived from the rounding noise of this very network.
    tolerance = result.report.verification.tolerance
    for output, expected in before.items():
        assert np.abs(after[output] - expected).max() <= tolerance
        assert np.abs(bodies[output] - expected).max() <= tolerance
    assert result.report.network.speedup > 1


def test_a_network_as_published_is_cleaned_and_keeps_two_outputs(shared):
    result = sparsepass.optimize(path_of(shared, "ultraface"), measure=False)

    operators = {node.op_type for node in result.model.graph}
    assert "BatchNormalization" not in operators
    assert [value.name for value in result.model.graph.outputs] == ["scores", "boxes"]
    assert result.report.verification.passed


def test_an_open_batch_works_at_any_size(shared):
    path = path_of(shared, "resnet20")

    result = sparsepass.optimize(path, shapes={"input": (2, 3, 32, 32)}, measure=False)

    feed = {"input": np.random.default_rng(0).standard_normal((7, 3, 32, 32), np.float32)}
    before = runner(plain_session(path, threads=1))(feed)["logits"]
    after = runner(session(to_bytes(result.model), threads=1))(feed)["logits"]
    assert np.abs(after - before).max() <= result.report.verification.tolerance


@pytest.mark.slow
def test_every_photograph_is_classified_as_before(shared):
    path = path_of(shared, "squeezenet1.0-pruned")
    result = sparsepass.optimize(path, measure=False)
    photographs = load_samples(
        shared / "images" / "imagenet", inputs_of(result.model), limit=100, transform=CAFFE
    )

    before, after = (
        [int(next(iter(run(feed).values())).argmax()) for feed in photographs]
        for run in (
            runner(plain_session(path, threads=1)),
            runner(session(to_bytes(result.model), threads=1)),
        )
    )

    assert before == after


@pytest.mark.slow
def test_a_lossy_plan_keeps_its_budget_on_pictures(shared):
    result = sparsepass.optimize(
        path_of(shared, "resnet20"),
        samples=shared / "images" / "cifar10-jpeg",
        max_error=0.1,
        measure=False,
    )

    assert result.report.budget.measured <= 0.1
    assert result.report.verification.passed
