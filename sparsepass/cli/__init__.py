"""The command line: ``sparsepass optimize model.onnx`` and what goes with it."""

import sys
from collections.abc import Sequence
from typing import Any

from sparsepass.cli.app import app
from sparsepass.cli.console import print_error
from sparsepass.errors import SparsepassError, VerificationError

__all__ = ["main"]

FAILED_CHECK, USAGE = 1, 2


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 for success, 1 for a failed check, 2 for a wrong input."""
    stdout: Any = sys.stdout
    if hasattr(stdout, "reconfigure"):
        # Names from a model may hold what the terminal's encoding cannot.
        stdout.reconfigure(errors="backslashreplace")
    try:
        app(None if arguments is None else list(arguments))
    except SparsepassError as error:
        print_error(str(error))
        sys.exit(FAILED_CHECK if isinstance(error, VerificationError) else USAGE)
