import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

import prune_torch  # noqa: E402


def test_all_convolutions_but_the_first_are_pruned():
    network = prune_torch.classifier()

    prune_torch.prune_convolutions(network, amount=0.75)

    first, *others = [m.weight for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    assert (first == 0).sum() == 0
    for weight in others:
        assert (weight == 0).sum() == round(0.75 * weight.numel())


def test_the_example_prunes_optimizes_and_compares(tmp_path):
    path = tmp_path / "pruned.sparse.onnx"

    done = subprocess.run(
        [sys.executable, Path(prune_torch.__file__), "-o", path],
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert path.exists()
    *_, last = done.stdout.splitlines()
    # Logits below 1 after sums of at most 288 products, four in a row.
    assert float(last.rpartition(" ")[2]) < 4 * 288 * torch.finfo(torch.float32).eps
