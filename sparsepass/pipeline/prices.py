"""Which prices a run plans by, and for which machine: this one, or that of a given profile."""

from dataclasses import dataclass

from sparsepass.cost import CostModel
from sparsepass.profile import MachineProfile, cpu_name, doubt, find
from sparsepass.run import RunOptions
from sparsepass.runtime.library import target
from sparsepass.target import Target

__all__ = ["Prices", "prices_for"]


@dataclass(frozen=True)
class Prices:
    """What a plan is priced by, the ``target`` that it is for, and what a user should know of it.

    ``elsewhere`` is the profile of another machine that the plan is for; nothing is timed then.
    """

    costs: CostModel
    target: Target
    warning: str | None = None
    elsewhere: MachineProfile | None = None


def prices_for(options: RunOptions, profile: MachineProfile | None) -> Prices:
    """The prices of ``profile``, else those for this machine, see ``profile.find``.

    A profile that was given and is of another machine makes that one the target.
    """
    here = target(options.isa)
    if profile is None:
        found, warning = find(options.threads, here)
        return Prices(CostModel(found, trusted=warning is None), here, warning)
    if (profile.cpu, profile.target.block) == (cpu_name(), here.block):
        warning = doubt(profile, options.threads, here)
        return Prices(CostModel(profile, trusted=warning is None), here, warning)
    warning = (
        f"planned for another machine ({profile}): nothing was timed, all "
        f"times are predicted; outputs are verified on this one ({cpu_name()})"
    )
    return Prices(CostModel(profile), profile.target, warning, profile)
