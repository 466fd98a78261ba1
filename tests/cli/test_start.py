"""Help, the version and errors of usage come at once: nothing heavy is imported for them."""

import subprocess
import sys

import pytest

import sparsepass

HEAVY = {
    "PIL", "jinja2", "networkx", "numpy", "onnx", "onnx_ir", "onnxruntime", "onnxscript",
    "scipy", "sympy", "torch",
}  # fmt: skip
PROBE = """
import sys
try:
    {work}
finally:
    print(*sys.modules, file=sys.stderr)
"""
MAIN = "from sparsepass.cli import main; main({arguments})"


def imported_by(work: str) -> set[str]:
    """The packages that a process of its own has imported after ``work``."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(work=work)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    return {name.partition(".")[0] for name in done.stderr.splitlines()[-1].split()}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["optimize", "--help"],
        ["bench", "--help"],
        [],
        ["optimise"],
        ["analyze", "--no-such-option"],
        ["optimize", "m.onnx", "--threads", "many"],
    ],
    ids=" ".join,
)
def test_what_is_not_a_run_imports_nothing_heavy(arguments):
    found = imported_by(MAIN.format(arguments=arguments))

    assert "typer" in found
    assert found & HEAVY == set()


def test_the_package_alone_imports_nothing_heavy():
    found = imported_by("import sparsepass; dir(sparsepass); sparsepass.ModelError")

    assert "sparsepass" in found
    assert found & (HEAVY | {"pydantic", "rich", "typer"}) == set()


def test_every_public_name_is_listed_and_there():
    assert set(sparsepass.__all__) <= set(dir(sparsepass))
    assert all(getattr(sparsepass, name) for name in sparsepass.__all__)


def test_modules_of_the_package_are_attributes_as_soon_as_they_are_asked_for():
    work = "import sparsepass; assert sparsepass.runtime.library.__name__"

    assert "onnxruntime" in imported_by(work)


@pytest.mark.parametrize("name", ["optimise", "__wrapped__", "no.such"])
def test_an_unknown_name_is_an_attribute_error(name):
    with pytest.raises(AttributeError, match=name):
        getattr(sparsepass, name)
