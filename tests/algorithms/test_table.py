"""The table of algorithms holds together, and is the only place that names them."""

import ast
from collections import Counter
from pathlib import Path

import pytest

import sparsepass
from sparsepass.algorithms import ALGORITHMS, DENSE, algorithm
from sparsepass.runtime.ops import OPS, STEMS, MapOp

ROOT = Path(__file__).parents[2]
FOLDERS = ("sparsepass", "passes", "runtime")
ALLOWED = ROOT / "sparsepass" / "algorithms"
NAMES = {row.name for row in ALGORITHMS}
# Words that say what a layer is like, not what computes it.
KINDS_OF_LAYERS = {("sparsepass/layer.py", "depthwise"), ("sparsepass/cost.py", "depthwise")}

SOURCES = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in FOLDERS
    for path in (ROOT / folder).rglob("*.py")
    if ALLOWED not in path.parents
)


def named(source: str) -> set[tuple[str, str]]:
    """The algorithms that a source file names in a string, however short the string.

    Names of functions are none, nor is what the package exports.
    """
    tree = ast.parse((ROOT / source).read_text(encoding="utf-8"), filename=source)
    strings = (n.value for n in ast.walk(tree) if isinstance(n, ast.Constant))
    names = {text for text in strings if isinstance(text, str) and text in NAMES}
    return {(source, name) for name in names - defined(tree) - set(sparsepass.__all__)}


def defined(tree: ast.Module) -> set[str]:
    """The functions that a module makes."""
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("source", SOURCES)
def test_no_other_file_names_an_algorithm(source):
    assert named(source) - KINDS_OF_LAYERS == set()


def test_dense_is_the_first_row_and_no_two_rows_have_one_name():
    names = Counter(row.name for row in ALGORITHMS)

    assert ALGORITHMS[0] is DENSE
    assert set(names.values()) == {1}


@pytest.mark.parametrize("row", ALGORITHMS, ids=lambda row: row.name)
def test_prices_are_those_of_a_row_that_has_its_own(row):
    priced = algorithm(row.priced_as)

    assert priced is not None
    assert not priced.prices


@pytest.mark.parametrize("row", ALGORITHMS, ids=lambda row: row.name)
def test_a_row_has_an_op_of_the_table_or_none(row):
    assert row.op in {"", *(stem.name for stem in STEMS)}
    assert row.before in {"", *(op.name for op in OPS if isinstance(op, MapOp))}


def test_every_op_of_a_convolution_has_a_row_with_prices_of_its_own():
    ops = [row.op for row in ALGORITHMS if row.op and not row.prices]

    assert sorted(ops) == sorted(stem.name for stem in STEMS)
