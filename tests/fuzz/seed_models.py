"""Where the fuzzing of the importer begins: small generated networks."""

from graphs import generate

COUNT = 64

SEEDS = [generate(seed).model.SerializeToString() for seed in range(COUNT)]
