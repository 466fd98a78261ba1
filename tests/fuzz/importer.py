"""Fuzz the importer with atheris: whatever a file holds, it is read or refused on purpose.

    python tests/fuzz/importer.py -max_total_time=60 [CORPUS]

Inputs are small valid models, changed field by field, and now and then byte by byte.  Ends at any
exception that is no SparsepassError.
"""

import gc
import logging
import random
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from types import FunctionType

import atheris

sys.path.append(str(Path(__file__).parent))

from mutate_models import mutated
from seed_models import SEEDS

from sparsepass.errors import SparsepassError
from sparsepass.graph import layers, layout_graph
from sparsepass.model import load
from sparsepass.pipeline.prepare import prepare
from sparsepass.shapes import infer

MOST_BYTES = 1 << 24
RAW_SHARE = 8  # one input of so many is changed as bytes

counts: Counter[str] = Counter()


def try_input(content: bytes) -> None:
    """Read a file as ``analyze`` does, up to where it would run it."""
    counts["executions"] += 1
    with suppress(SparsepassError):
        model = load(content, max_bytes=MOST_BYTES)
        counts["loaded"] += 1
        prepare(model)
        known = infer(model)
        found = layers(model, known)
        counts["reached layers"] += 1
        layout_graph(model, found.layers, known)
    if counts["executions"] & (counts["executions"] - 1) == 0:
        show()


def change(data: bytes, most: int, seed: int) -> bytes:
    """The custom mutator of libFuzzer."""
    rng = random.Random(seed)
    if rng.randrange(RAW_SHARE) == 0:
        return atheris.Mutate(data, most)
    made = mutated(data if rng.randrange(2) else rng.choice(SEEDS), rng)
    return made if len(made) <= most else data


def show() -> None:
    """Print how far the inputs came."""
    shares = ", ".join(
        f"{100 * counts[step] / counts['executions']:.1f} % {step}"
        for step in ("loaded", "reached layers")
    )
    print(f"importer: {counts['executions']} executions; {shares}", flush=True)


def instrument() -> None:
    """Count the branches of our own functions; the loader of editable installs hides modules."""
    for found in gc.get_objects():
        if isinstance(found, FunctionType) and (found.__module__ or "").startswith("sparsepass"):
            atheris.instrument_func(found)


def main() -> None:
    logging.disable(logging.CRITICAL)
    instrument()
    atheris.Setup(sys.argv, try_input, custom_mutator=change)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
