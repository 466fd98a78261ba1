"""The multiply-adds that this machine can do at most, measured on registers alone."""

import ctypes
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).with_name("peak.cc")
FLAGS = {
    "baseline": ("-DBYTES=16",),
    "avx2": ("-DBYTES=32", "-mavx2", "-mfma"),
    "avx512": ("-DBYTES=64", "-mavx512f", "-mfma", "-mprefer-vector-width=512"),
}
ROUNDS, REPEATS = 2_000_000, 9


@cache
def peak_gflops(isa: str, threads: int = 1) -> float:
    """Billions of operations on floats a second, the best of some runs, two per multiply-add."""
    run = compiled(isa)
    with ThreadPoolExecutor(threads) as pool:
        return max(rate(run, pool, threads) for _ in range(REPEATS))


def rate(run: Callable[..., float], pool: ThreadPoolExecutor, threads: int) -> float:
    started = time.perf_counter()
    running = [pool.submit(run, ROUNDS, ctypes.byref(ctypes.c_float())) for _ in range(threads)]
    operations = sum(task.result() for task in running)
    return operations / (time.perf_counter() - started) / 1e9


def compiled(isa: str) -> Callable[..., float]:
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder, "peak.so")
        options = ["-O2", "-ffp-contract=fast", "-shared", "-fPIC", *FLAGS[isa]]
        subprocess.run(["c++", *options, str(SOURCE), "-o", str(library)], check=True)
        run = ctypes.CDLL(str(library)).run
    run.restype = ctypes.c_double
    run.argtypes = [ctypes.c_int64, ctypes.c_void_p]
    return run
