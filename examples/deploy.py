"""Run an optimized network with the sparsepass kernels, and without them.

    python examples/deploy.py model.sparse.onnx --threads 1

The file is the same in both cases.  With the library registered its kernels run; without it, ONNX
Runtime runs the standard operators that every custom operator carries as its function body.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from sparsepass import runtime

__all__ = ["largest_difference", "noise", "stock_session"]

Array = NDArray[np.float32]


def stock_session(path: Path, threads: int) -> ort.InferenceSession:
    """A session without the library: what a machine that has never seen sparsepass does."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def noise(session: ort.InferenceSession, seed: int = 0) -> dict[str, Array]:
    """Random float inputs for ``session``, with 1 for every open size."""
    rng = np.random.default_rng(seed)
    sizes = {
        value.name: [size if isinstance(size, int) else 1 for size in value.shape]
        for value in session.get_inputs()
    }
    return {name: rng.standard_normal(shape, np.float32) for name, shape in sizes.items()}


def largest_difference(
    path: Path, threads: int = 1, feed: Mapping[str, Array] | None = None
) -> float:
    """Run ``path`` both ways on one input; return the largest difference of any output."""
    fast = runtime.session(path, threads=threads)
    stock = stock_session(path, threads)
    feed = feed or noise(stock)
    pairs = zip(fast.run(None, feed), stock.run(None, feed), strict=True)
    return max(float(np.abs(cast(Array, a) - cast(Array, b)).max()) for a, b in pairs)


def main() -> None:
    """Read the command line, print the difference."""
    parser = argparse.ArgumentParser(
        description="Run an optimized network with and without kernels."
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()

    difference = largest_difference(options.model, options.threads)
    print(f"largest difference with and without the library: {difference:.2g}")


if __name__ == "__main__":
    main()
