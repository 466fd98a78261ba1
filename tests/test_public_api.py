"""The rules of CONTRIBUTING that a program can check: names, imports, environment."""

import ast
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOTS = {"sparsepass": "sparsepass", "passes": "sparsepass.passes", "runtime": "sparsepass.runtime"}

# What sits on top of all three folders.
TOP = {"pipeline", "verify", "cli", "calibration", "bench"}


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def module_name(path: Path) -> str:
    folder, *inner = path.relative_to(ROOT).with_suffix("").parts
    return ".".join([ROOTS[folder], *(part for part in inner if part != "__init__")])


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imports(path: Path) -> set[str]:
    """Absolute names of every module, or name of a module, that a file imports anywhere in it."""
    package = module_name(path).split(".")
    if path.name != "__init__.py":
        package.pop()
    found: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*above, *filter(None, [node.module])])
            found |= {source} | {f"{source}.{alias.name}" for alias in node.names}
    return found


def imported_below(path: Path, *roots: str) -> set[str]:
    return {name for name in imports(path) for r in roots if f"{name}.".startswith(f"{r}.")}


MODULES = [path for folder in ROOTS for path in sources(folder)]
NOUNS = [path for path in sources("sparsepass") if not TOP & {path.stem, path.parent.name}]
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


@pytest.mark.parametrize("path", NOUNS, ids=relative)
def test_nouns_import_neither_passes_nor_runtime(path):
    assert imported_below(path, "sparsepass.passes", "sparsepass.runtime") == set()


@pytest.mark.parametrize("path", sources("passes"), ids=relative)
def test_passes_do_not_know_the_machine(path):
    assert imported_below(path, "sparsepass.runtime", "onnxruntime") == set()


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_no_environment_variable_is_read(path):
    spelled = {
        node.attr if isinstance(node, ast.Attribute) else node.id
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute | ast.Name)
    }
    spelled |= {name.rpartition(".")[2] for name in imports(path)}

    assert spelled & {"environ", "environb", "getenv", "putenv"} == set()


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
