"""Ctrl-C, whatever it hits."""

import atexit
import os
import signal
import sys
import threading
from types import TracebackType

__all__ = ["Interrupts"]

INTERRUPTED = 128 + signal.SIGINT


class Interrupts:
    """Inside, Ctrl-C unwinds what is going on, and the process exits with 130 and no traceback.

    Foreign code makes other errors of an interrupt, or swallows it: so that it came is remembered.
    The second one ends the process at once.
    """

    def __enter__(self) -> None:
        self.came = False
        self.owned = threading.current_thread() is threading.main_thread()
        if self.owned:
            self.before = signal.signal(signal.SIGINT, self.strike)
            self.hook, sys.unraisablehook = sys.unraisablehook, self.overlook

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self.owned:
            return
        # What the interpreter does while it ends has nothing left to unwind.
        atexit.register(signal.signal, signal.SIGINT, signal.SIG_DFL)
        if self.came:
            raise SystemExit(INTERRUPTED) from None
        signal.signal(signal.SIGINT, self.before)
        sys.unraisablehook = self.hook

    def strike(self, number: int, frame: object) -> None:
        """Handle the signal."""
        if self.came:
            os._exit(INTERRUPTED)
        self.came = True
        raise KeyboardInterrupt

    def overlook(self, unraisable: "sys.UnraisableHookArgs") -> None:
        """Report errors in finalizers and callbacks, but no interrupts that hit one."""
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            self.hook(unraisable)
