"""Samples: what the network is run on to measure activations and to verify outputs.

A sample is one feed of the network, a dict from input name to array.  Images are decoded when a
sample is asked for, arrays on disk are mapped, so a set of samples takes no memory of its own.
"""

from sparsepass.samples.feeds import Feed, Samples
from sparsepass.samples.folders import is_sample_of
from sparsepass.samples.inputs import InputSpec, inputs_of, refuse_input
from sparsepass.samples.noise import random_samples
from sparsepass.samples.sources import SampleSource, load_samples

__all__ = [
    "Feed", "InputSpec", "SampleSource", "Samples", "inputs_of", "is_sample_of", "load_samples",
    "random_samples", "refuse_input",
]  # fmt: skip
