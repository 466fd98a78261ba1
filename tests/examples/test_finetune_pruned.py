import re
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

import finetune_pruned  # noqa: E402


def test_stripes_have_every_class_and_can_be_told_apart():
    images, labels = finetune_pruned.stripes(40)

    assert images.shape == (40, 3, 32, 32)
    assert sorted(set(labels.tolist())) == list(range(finetune_pruned.CLASSES))


def test_the_example_prunes_fine_tunes_and_optimizes(tmp_path):
    path = tmp_path / "finetuned.sparse.onnx"

    done = subprocess.run(
        [sys.executable, Path(finetune_pruned.__file__), "-o", path, "--steps", "40"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert path.exists()
    zeros, after = re.findall(r"([\d.]+)% zeros, fine-tuned: ([\d.]+)%", done.stdout)[0]
    assert float(zeros) >= 85
    # A tenth would be chance.
    assert float(after) > 50
    assert len(re.findall(r"^\S+: \d+% zeros, \S+$", done.stdout, re.M)) == 4
