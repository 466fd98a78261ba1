import sys

import pytest

from sparsepass.cli import main


@pytest.fixture
def run(capsys, monkeypatch):
    """Run the command line; gives the exit code, standard output and standard error."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["sparsepass", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            main()
        said = capsys.readouterr()
        return int(left.value.code or 0), said.out, said.err

    return call
