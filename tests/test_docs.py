"""The documents name what exists: files, targets of make, algorithms."""

import re
from pathlib import Path

import pytest

from sparsepass.algorithms import ALGORITHMS

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_to_a_file(document):
    links = re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8"))

    missing = [link for link in links if not (document.parent / link).exists()]

    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_make_target_exists(document):
    named = re.findall(r"(?:^    |`)make ([a-z-]+)", document.read_text(encoding="utf-8"), re.M)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")

    missing = [target for target in named if not re.search(f"^{target}:", makefile, re.M)]

    assert missing == []


def test_each_algorithm_has_a_section_with_its_numerics():
    text = (ROOT / "docs" / "algorithms.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## (\S+)\n\nNumerics: (\w+)", text, re.M))

    assert sections == {row.name: row.numerics for row in ALGORITHMS}


def test_the_readme_begins_with_the_two_commands():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()

    commands = [line.split("#")[0].strip() for line in lines if line.startswith("    ")]

    assert commands[:2] == ["make demo", "make test"]
