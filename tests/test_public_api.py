"""The rules of CONTRIBUTING that a program can check: names, errors, environment."""

import ast
import importlib

import pytest

from sources import MODULES, imports, module_name, relative, sources, tree

# Other engines raise what they like.
CATCHES_ALL = {"runtime/engines.py"}
PASSES = [path for path in sources("passes") if path.name != "__init__.py"]


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_every_module_lists_its_public_names_literally(path):
    assigned = [
        node.value
        for node in tree(path).body
        if isinstance(node, ast.Assign)
        and [t.id for t in node.targets if isinstance(t, ast.Name)] == ["__all__"]
    ]

    assert len(assigned) == 1, "no __all__"
    names = ast.literal_eval(assigned[0])
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_every_public_name_exists(path):
    module = importlib.import_module(module_name(path))

    missing = [name for name in module.__all__ if not hasattr(module, name)]

    assert missing == []


@pytest.mark.parametrize(
    ("package", "promised"),
    [
        ("sparsepass", {"Plan", "Result", "SparsepassError", "analyze", "optimize"}),
        ("sparsepass.runtime", {"library_path", "register", "session"}),
    ],
)
def test_the_packages_offer_what_the_documents_promise(package, promised):
    module = importlib.import_module(package)

    assert promised <= set(module.__all__)


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_no_environment_variable_is_read(path):
    spelled = {
        node.attr if isinstance(node, ast.Attribute) else node.id
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute | ast.Name)
    }
    spelled |= {name.rpartition(".")[2] for name in imports(path)}

    assert spelled & {"environ", "environb", "getenv", "putenv"} == set()


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_exceptions_are_caught_by_name(path):
    handlers = [node.type for node in ast.walk(tree(path)) if isinstance(node, ast.ExceptHandler)]

    broad = [kind for kind in handlers if kind is None or catches_all(kind)]

    assert bool(broad) == (relative(path) in CATCHES_ALL)


def catches_all(kind: ast.expr) -> bool:
    names = {node.id for node in ast.walk(kind) if isinstance(node, ast.Name)}
    return bool(names & {"BaseException", "Exception"})


@pytest.mark.parametrize("path", PASSES, ids=relative)
def test_file_class_and_name_of_a_pass_are_the_same_words(path):
    passes = [node for node in tree(path).body if isinstance(node, ast.ClassDef) and is_pass(node)]

    for declared in passes:
        names = [
            ast.literal_eval(node.value)
            for node in declared.body
            if isinstance(node, ast.AnnAssign)
            and isinstance(node.target, ast.Name)
            and node.target.id == "name"
            and node.value is not None
        ]
        assert declared.name.lower() == path.stem.replace("_", "")
        assert names == [path.stem.replace("_", "-")]


def is_pass(declared: ast.ClassDef) -> bool:
    return any(ast.unparse(base).endswith("Pass") for base in declared.bases)
