"""The documents name what exists: files, commands, options, algorithms; and code keeps to them."""

import re
import shlex
from functools import cache
from pathlib import Path

import pytest
import typer

from sources import MODULES, PACKAGES, ROOT, imports, relative
from sparsepass.algorithms import ALGORITHMS
from sparsepass.cli.app import app

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
FOLDERS = ("sparsepass", "passes", "runtime", "tests", "examples", "docs", ".ci")
# What a name in backticks has to end with to be one of our files: others are the user's.
SUFFIXES = (".cc", ".h", ".inc", ".j2", ".md", ".py", ".sh", ".toml")
COMMANDS = typer.main.get_command(app).commands
# Of click, or of the copy that Typer brings, by its version.
USAGE_ERROR = typer.BadParameter.__base__


def text_of(document: Path) -> str:
    return document.read_text(encoding="utf-8")


def in_backticks(text: str) -> list[str]:
    """Code inside sentences, each in one line."""
    outside = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", outside)]


def code_lines(text: str) -> list[str]:
    """Lines of code blocks, indented or fenced."""
    fenced = re.findall(r"^```.*?\n(.*?)^```", text, flags=re.M | re.S)
    return [line.strip() for line in re.findall(r"^    .+", text, re.M)] + [
        line for block in fenced for line in block.splitlines()
    ]


by_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)


@by_document
def test_every_link_leads_to_a_file(document):
    links = re.findall(r"\]\(([^)#:]+)\)", text_of(document))

    missing = [link for link in links if not (document.parent / link).exists()]

    assert missing == []


@by_document
def test_every_path_in_backticks_exists(document):
    words = {word for span in in_backticks(text_of(document)) for word in span.split()}

    missing = [word for word in sorted(words) if looks_like_a_path(word) and not exists(word)]

    assert missing == []


def looks_like_a_path(word: str) -> bool:
    """Whether ``word`` names a file or folder of the project, not one that is made or given."""
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)*/?", word) or word.startswith("build/"):
        return False
    return "/" in word or word.endswith(SUFFIXES)


def exists(word: str) -> bool:
    """From the top of the project or, as people write inside a section, from a folder in it."""
    return any(f"/{path}".endswith(f"/{word.rstrip('/')}") for path in paths())


@cache
def paths() -> frozenset[str]:
    """Files and folders of the project."""
    inner = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*"))
    return frozenset(relative(path) for path in (*ROOT.glob("*"), *inner))


@by_document
def test_every_command_line_is_understood(document):
    text = text_of(document)
    spans = [*in_backticks(text), *code_lines(text)]

    faults = [fault for span in spans if span.startswith("sparsepass ") if (fault := refuse(span))]

    assert faults == []


def refuse(line: str) -> str | None:
    """Why the command line would not take ``line``, or None; files may be left out."""
    _, name, *arguments = shlex.split(line, comments=True)
    command = COMMANDS.get(name)
    if command is None:
        return f"{line}: no such command"
    try:
        _, left, _ = command.make_parser(command.context_class(command)).parse_args(arguments)
    except USAGE_ERROR as error:
        return f"{line}: {error}"
    return f"{line}: {left} is too much" if left else None


@by_document
def test_every_option_in_backticks_exists(document):
    spans = [span for span in in_backticks(text_of(document)) if span.startswith("--")]
    known = {"--help"} | {
        option
        for command in COMMANDS.values()
        for parameter in command.params
        for option in (*parameter.opts, *parameter.secondary_opts)
    }

    assert {span.split()[0] for span in spans} <= known


@by_document
def test_every_make_target_exists(document):
    named = re.findall(r"(?:^    |`)make ([a-z-]+)", text_of(document), re.M)
    makefile = text_of(ROOT / "Makefile")

    missing = [target for target in named if not re.search(f"^{target}:", makefile, re.M)]

    assert missing == []


def test_each_algorithm_has_a_section_with_its_numerics():
    text = text_of(ROOT / "docs" / "algorithms.md")
    sections = dict(re.findall(r"^## (\S+)\n\nNumerics: (\w+)", text, re.M))

    assert sections == {row.name: row.numerics for row in ALGORITHMS}


def test_the_readme_begins_with_the_two_commands():
    lines = text_of(ROOT / "README.md").splitlines()

    commands = [line.split("#")[0].strip() for line in lines if line.startswith("    ")]

    assert commands[:2] == ["make demo", "make test"]


# --- imports -------------------------------------------------------------------------------------

# The table of CONTRIBUTING: a folder or file, and what it may import besides itself.
ROWS = re.findall(r"^\| `([\w/.]+)` \|[^|]*\| (.*) \|$", text_of(ROOT / "CONTRIBUTING.md"), re.M)
MAY_IMPORT = {place: set(re.findall(r"`([\w/.]+)`", allowed)) for place, allowed in ROWS}
PLACES = {place for row in MAY_IMPORT.items() for place in (row[0], *row[1])}


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_imports_are_those_that_contributing_allows(path):
    own = place_of(relative(path))

    found = {place_of(file_of(name)) for name in imports(path)} - {own, None}

    assert found <= MAY_IMPORT[own]


def file_of(module: str) -> str:
    """A module as a path in the project, without its suffix."""
    for folder in ("passes", "runtime"):
        if f"{module}.".startswith(f"{PACKAGES[folder]}."):
            return folder + module.removeprefix(PACKAGES[folder]).replace(".", "/")
    return "sparsepass/__init__.py" if module == "sparsepass" else module.replace(".", "/")


def place_of(path: str) -> str | None:
    """The narrowest row of the table that ``path`` is in."""
    around = (place for place in PLACES if path == place or f"{path}/".startswith(place))
    return max(around, key=len, default=None)
