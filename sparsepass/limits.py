"""What a run takes at most: beyond these sizes an input is a mistake, or made to do harm."""

import os

__all__ = [
    "MOST_ARCHIVE_BYTES", "MOST_BYTES", "MOST_CALLS", "MOST_DOCUMENT_BYTES", "MOST_NODES",
    "MOST_PIXELS", "MOST_THREADS", "memory_bytes",
]  # fmt: skip

MOST_BYTES = 16 << 30
"""Bytes of a model's weights, unless the caller says otherwise."""

MOST_DOCUMENT_BYTES = 256 << 20
"""Bytes of a plan, a profile, a report or labels as text."""

MOST_CALLS = 5_000
"""Calls of functions that are inlined, those inside functions as often as these are called."""

MOST_NODES = 100_000
"""Nodes that inlining calls of functions may make."""

MOST_ARCHIVE_BYTES = 2 << 30
"""Bytes of the arrays in an .npz file, which is read whole."""

MOST_PIXELS = 1 << 27
"""Pixels of a picture after it was resized, unless the input of the network has more."""

MOST_THREADS = max(64, 2 * (os.cpu_count() or 1))
"""Threads of a session: far more than cores only wait for each other, for hours."""


def memory_bytes() -> int | None:
    """The memory of this machine, or None where the system does not say."""
    if not hasattr(os, "sysconf"):
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
