"""The command line: ``sparsepass optimize model.onnx`` and what goes with it."""

import sys

from sparsepass.cli.app import app
from sparsepass.cli.console import errors
from sparsepass.errors import SparsepassError, VerificationError

__all__ = ["main"]

FAILED_CHECK, USAGE = 1, 2


def main() -> None:
    """Run the command line; exit code 0 is success, 1 a failed check, 2 anything the user can mend."""
    try:
        app()
    except SparsepassError as error:
        errors.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(FAILED_CHECK if isinstance(error, VerificationError) else USAGE)
