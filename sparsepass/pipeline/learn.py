"""A profile that learns from the layers that ``optimize`` measured inside networks."""

from sparsepass.errors import UsageError
from sparsepass.pipeline.measurements import Measurements, measurements_path
from sparsepass.profile import MachineProfile, cpu_name, find
from sparsepass.runtime.fitting import learned, revised
from sparsepass.runtime.library import target

__all__ = ["learn_profile"]


def learn_profile(
    threads: int, *, isa: str | None = None, command: str = "sparsepass calibrate --learn"
) -> MachineProfile:
    """The profile of this machine with prices moved to what earlier runs measured.

    It starts from the user's profile, else from the nearest that ships.  Raises UsageError where
    nothing was measured yet.
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
    rates, errors = learned(known.rates, samples)
    return revised(known, rates, errors, threads=threads, command=command)
