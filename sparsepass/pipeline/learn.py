"""A profile that learns from the layers that ``optimize`` measured inside networks."""

import hashlib

from sparsepass.errors import UsageError
from sparsepass.pipeline.measurements import Measurements, measurements_path
from sparsepass.profile import MachineProfile, cpu_name, find
from sparsepass.runtime.fitting import Sample, learned, revised
from sparsepass.runtime.library import target

__all__ = ["learn_profile"]


def learn_profile(
    threads: int, *, isa: str | None = None, command: str = "sparsepass calibrate --learn"
) -> MachineProfile:
    """The profile of this machine with prices moved to what earlier runs measured.

    It starts from the user's profile, else from the nearest that ships, and learns from each
    measurement once.  Raises UsageError where nothing was measured yet that it does not know.
    """
    here = target(isa)
    path = measurements_path(cpu_name(), here.isa, threads)
    samples = Measurements.load(path).samples()
    if not samples:
        raise UsageError(
            f"{path}: nothing to learn from, no layer was measured yet; run sparsepass optimize "
            "on some networks first"
        )
    known, _ = find(threads, here)
    if not known.target.is_like(here):
        raise UsageError(
            f"no profile of {here} to start from, only of {known.target}; run sparsepass calibrate"
        )
    new = {
        digest: sample for sample in samples if (digest := digest_of(sample)) not in known.learned
    }
    if not new:
        raise UsageError(
            f"{path}: nothing new to learn from, the profile in use knows all of it; run "
            "sparsepass optimize on other networks first"
        )
    rates, errors = learned(known.rates, [*new.values()])
    found = revised(known, rates, errors, threads=threads, command=command)
    return found.model_copy(update={"learned": (*known.learned, *new)})


def digest_of(sample: Sample) -> str:
    """What tells a measured offer from others, however often it is measured."""
    text = f"{sample.kind}, {sample.shape}, {sample.work}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]
