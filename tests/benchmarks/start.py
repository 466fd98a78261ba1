"""How long it takes until something is there: the package, help, the version.

python tests/benchmarks/start.py
"""

import statistics
import subprocess
import sys
import time

REPEATS = 10
MAIN = "from sparsepass.cli import main; main(['{}'])"
STARTS = {
    "python alone": "pass",
    "import sparsepass": "import sparsepass",
    "sparsepass --help": MAIN.format("--help"),
    "sparsepass --version": MAIN.format("--version"),
    "sparsepass info": MAIN.format("info"),
}


def seconds(code: str) -> float:
    """The median time of a process that runs ``code``."""
    times: list[float] = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=True)
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


if __name__ == "__main__":
    for name, code in STARTS.items():
        print(f"{name:<22}{seconds(code):.2f} s")
