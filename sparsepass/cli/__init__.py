"""The command line: ``sparsepass optimize model.onnx`` and what goes with it."""

import sys
from collections.abc import Sequence
from typing import Any

from sparsepass.cli.interrupts import Interrupts
from sparsepass.errors import SparsepassError, VerificationError

__all__ = ["main"]

FAILED_CHECK, USAGE = 1, 2


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 for success, 1 for a failed check, 2 for a wrong input.

    Ctrl-C ends it with 130 and a closed pipe with 141, as shells have it, and without a word.
    """
    with Interrupts():
        sys.exit(run(None if arguments is None else list(arguments)))


def run(arguments: list[str] | None) -> int:
    """Carry out one command and return the exit code; the application may also exit itself."""
    from sparsepass.cli.app import app
    from sparsepass.cli.console import print_error, silence

    stdout: Any = sys.stdout
    if hasattr(stdout, "reconfigure"):
        # Names from a model may hold what the terminal's encoding cannot.
        stdout.reconfigure(errors="backslashreplace")
    try:
        app(arguments)
    except SparsepassError as error:
        print_error(str(error))
        return FAILED_CHECK if isinstance(error, VerificationError) else USAGE
    except OSError as error:
        silence(sys.stdout)
        where = error.filename or "standard output"
        print_error(f"{where}: {error.strerror or error}; free space or write elsewhere")
        return USAGE
    except MemoryError:
        print_error("this takes more memory than there is; give a smaller model, shape or samples")
        return USAGE
    return 0
