"""The wheel of ``make wheel`` as users have it: outside the repository, without a compiler."""

import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import onnx
import pytest

from models_in_text import normal, proto_of
from sources import ROOT

pytestmark = pytest.mark.slow

WHEELS = sorted(ROOT.glob("build/wheel/repaired/*.whl"))
MOST_BYTES = 2_000_000
# Each Python, and on the oldest one the oldest ONNX Runtime, which is built against numpy 1.
ENVIRONMENTS = {
    "python3.11, oldest": ("python3.11", ["onnxruntime==1.17.3", "numpy<2"]),
    "python3.11": ("python3.11", []),
    "python3.12": ("python3.12", []),
    "python3.13": ("python3.13", []),
    "python3.14": ("python3.14", []),
}


@pytest.fixture
def wheel() -> Path:
    if not WHEELS:
        pytest.skip("there is no wheel; run make wheel")
    return WHEELS[-1]


@pytest.fixture(params=ENVIRONMENTS)
def scripts(request, wheel, tmp_path) -> Path:
    """The folder of commands of a new environment that has the wheel."""
    python, pins = ENVIRONMENTS[request.param]
    if shutil.which(python) is None or subprocess.run([python, "--version"]).returncode:
        pytest.skip(f"there is no {python}")
    subprocess.run([python, "-m", "venv", tmp_path / "venv"], check=True)
    scripts = tmp_path / "venv" / "bin"
    pip = [scripts / "pip", "install", "--quiet", "--disable-pip-version-check"]
    installed = subprocess.run([*pip, wheel, *pins], capture_output=True, text=True)
    if installed.returncode:
        pytest.skip(f"pip cannot install: {installed.stderr.strip().splitlines()[-1]}")
    return scripts


def test_it_optimizes_and_verifies_where_there_is_no_compiler(scripts, tmp_path):
    weight = normal(32, 32, 3, 3)
    weight[normal(32, 32, 3, 3, seed=1) < 1] = 0
    text = "g (float[1, 32, 28, 28] x) => (float[1, 32, 26, 26] y) { y = Conv(x, w) }"
    onnx.save(proto_of(text, w=weight), tmp_path / "model.onnx")
    # Nothing but the environment's own commands can be found, and no project is around.
    where = {"cwd": tmp_path, "env": os.environ | {"PATH": str(scripts)}, "check": True}

    subprocess.run([scripts / "sparsepass", "info"], **where)
    subprocess.run([scripts / "sparsepass", "optimize", "model.onnx", "-o", "out.onnx"], **where)
    subprocess.run([scripts / "sparsepass", "verify", "model.onnx", "out.onnx"], **where)

    assert (tmp_path / "out.onnx").is_file()


def test_it_is_small_and_holds_no_sources_of_the_library_and_no_tests(wheel):
    names = zipfile.ZipFile(wheel).namelist()

    assert wheel.stat().st_size < MOST_BYTES
    assert [
        n for n in names if n.endswith((".cc", ".h", ".inc")) or "test" in n or "fuzz" in n
    ] == []


def test_its_name_says_on_which_systems_it_runs(wheel):
    assert "-py3-none-manylinux" in wheel.name
