"""One build of the library on every supported ONNX Runtime, each in an environment of its own."""

import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import onnx
import pytest
from native import reference
from rounding import tolerance
from sparse_models import algorithm_of, conv_of, feeds_of, model, problem, with_values

from sparsepass.runtime import library_path, ops

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).with_name("run_models.py")
# Versions before 1.19 were built against numpy 1.
VERSIONS = {
    "1.17.3": ["onnxruntime==1.17.3", "numpy<2"],
    "1.20.1": ["onnxruntime==1.20.1", "numpy"],
    "newest": ["onnxruntime", "numpy"],
}
BEFORE_CUSTOM_OPS = ["onnxruntime==1.16.3", "numpy<2"]
PROBLEMS = {
    (stem, epilogue): problem(conv_of(stem), epilogue)
    for stem in ops.STEMS
    for epilogue in map(with_values, ops.EPILOGUES)
}


def environment(folder: Path, requirements: list[str]) -> Path:
    """The interpreter of a new environment that has ``requirements``."""
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    installed = subprocess.run([*pip, *requirements], capture_output=True, text=True)
    if installed.returncode:
        pytest.skip(f"pip cannot install {requirements[0]}: {installed.stderr.splitlines()[-1]}")
    return python


@pytest.fixture(scope="module", params=VERSIONS)
def python(request, tmp_path_factory) -> Path:
    return environment(tmp_path_factory.mktemp("venv"), VERSIONS[request.param])


def run_everywhere(python: Path, folder: Path, *, with_body: bool, library: bool) -> None:
    """Run every op and compare it with the reference."""
    for (stem, epilogue), given in PROBLEMS.items():
        path = folder / f"{stem.name}{epilogue.suffix}.onnx"
        onnx.save(model(stem, epilogue, given, with_body=with_body), path)
        np.savez(path.with_suffix(".npz"), **feeds_of(given))
    libraries = [str(library_path())] if library else []

    subprocess.run([python, SCRIPT, folder, *libraries], check=True)

    for (stem, epilogue), given in PROBLEMS.items():
        output = np.load(folder / f"{stem.name}{epilogue.suffix}.npy")
        error = np.abs(output - reference(given))
        assert (error <= tolerance(algorithm_of(stem), given)).all()


def test_kernels_run_on_this_version(python, tmp_path):
    # Without bodies nothing but the kernels can run.
    run_everywhere(python, tmp_path, with_body=False, library=True)


def test_exported_files_run_on_this_version(python, tmp_path):
    run_everywhere(python, tmp_path, with_body=True, library=True)


def test_bodies_run_on_this_version(python, tmp_path):
    run_everywhere(python, tmp_path, with_body=True, library=False)


def test_a_runtime_that_is_too_old_runs_the_bodies(tmp_path_factory, tmp_path):
    python = environment(tmp_path_factory.mktemp("venv"), BEFORE_CUSTOM_OPS)

    run_everywhere(python, tmp_path, with_body=True, library=True)
