"""Files that hold what an output should look like; renewed with ``pytest --update-golden``."""

from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "golden"


def pytest_addoption(parser):
    parser.addoption(
        "--update-golden", action="store_true", help="write the goldens instead of comparing"
    )


@pytest.fixture
def golden(request):
    """``golden(name, text)`` compares ``text`` with the file, or writes it when asked to."""

    def check(name: str, text: str) -> None:
        path = FOLDER / name
        if request.config.getoption("--update-golden"):
            path.write_text(text, encoding="utf-8", newline="\n")
        expected = path.read_text(encoding="utf-8") if path.exists() else ""
        assert text == expected, f"{name} differs: look, then run pytest --update-golden"

    return check
