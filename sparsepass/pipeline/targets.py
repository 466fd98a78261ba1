"""One network planned for several machines at once, by their profiles; nothing is run."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from sparsepass.cost import CostModel
from sparsepass.errors import ModelError
from sparsepass.pipeline.offers import Offers, collect_offers
from sparsepass.pipeline.stages import Studied, Unproven
from sparsepass.pipeline.study import study, working_on
from sparsepass.plan import Choice, Plan
from sparsepass.profile import MachineProfile
from sparsepass.report.targets import Target, Targets
from sparsepass.run import RunOptions
from sparsepass.tool import tool_name
from sparsepass.what_if import Network, Planned, offers_of

__all__ = ["plan_for"]


@dataclass(frozen=True)
class Place:
    """A machine: what is offered there, and the network under its prices."""

    offers: Offers
    network: Network
    choices: tuple[Choice, ...]

    @property
    def profile(self) -> MachineProfile:
        """What the machine is priced by."""
        return self.offers.costs.profile

    @cached_property
    def own(self) -> Planned:
        """What the plan for this machine takes here."""
        return self.network.priced(offers_of(self.choices, self.offers.answers))

    def priced(self, choices: Sequence[Choice]) -> Planned | None:
        """What a plan takes here; None where an algorithm of it is not offered."""
        found = offers_of(choices, self.offers.answers)
        return self.network.priced(found) if len(found) == len(choices) else None


def plan_for(profiles: Sequence[MachineProfile], source: Path, options: RunOptions) -> Targets:
    """A plan for each machine, and what each loses on the others.

    Raises as ``optimize`` does.
    """
    options = replace(options, dry_run=True)
    with working_on(source):
        studied = study(source, options)
        if isinstance(studied, Unproven):
            raise ModelError(f"nothing to plan: {studied.reason}")
        places = [place_of(studied, profile, options) for profile in profiles]
    return Targets(
        tool=tool_name(),
        model=studied.prepared.name,
        targets=tuple(target_of(place, places, options) for place in places),
    )


def place_of(studied: Studied, profile: MachineProfile, options: RunOptions) -> Place:
    there = replace(studied, target=profile.target)
    costs = CostModel(profile)
    offers = collect_offers(there, costs, options)
    network = Network(there.layers, there.stats, there.layouts, there.target, costs)
    return Place(offers, network, offers.choose(options.max_error))


def target_of(place: Place, places: Sequence[Place], options: RunOptions) -> Target:
    return Target(
        machine=str(place.profile),
        dense_us=place.network.dense(place.offers.answers).microseconds,
        network_us=place.own.microseconds,
        plan=Plan(
            tool=tool_name(),
            machine=place.profile.cpu,
            threads=place.profile.threads,
            max_error=options.max_error,
            choices=place.choices,
        ),
        losses=tuple(loss(place, other) for other in places),
    )


def loss(place: Place, other: Place) -> float | None:
    """What the plan of one machine takes more on another than the plan of that one, as a share."""
    found, best = other.priced(place.choices), other.own.microseconds
    return None if found is None else found.microseconds / best - 1 if best > 0 else 0.0
