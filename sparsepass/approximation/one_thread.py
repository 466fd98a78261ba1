"""One thread for the matrix products of SciPy.

Of many small products each starts and joins threads that have next to nothing to do, and wait for
cores that others use.
"""

import ctypes
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

__all__ = ["one_thread"]

# What OpenBLAS calls it in SciPy's wheels and elsewhere.
PREFIXES = ("scipy_openblas", "openblas")


@contextmanager
def one_thread() -> Generator[None]:
    """Let SciPy's BLAS use one thread, where it is one that can be told."""
    limit, count = function("set_num_threads"), function("get_num_threads")
    if limit is None or count is None:
        yield
        return
    before = count()
    limit(1)
    try:
        yield
    finally:
        limit(before)


def function(name: str) -> Any | None:
    """A function of OpenBLAS; None where another library takes its place."""
    library = ctypes.CDLL(import_module("scipy.linalg._fblas").__file__)
    named = (getattr(library, f"{prefix}_{name}", None) for prefix in PREFIXES)
    return next(filter(None, named), None)
