"""What actions do to the simulated fleet, and whom."""

import random
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Protocol

from localcloud.batch.store import BatchStore
from localcloud.ec2_records import Ec2Records
from localcloud.fis.actions import INTERRUPT, NO_CAPACITY, seconds_of
from localcloud.fis.role import ExperimentRole
from localcloud.fis.targets import SPOT_INSTANCES_MAX, Selection, matches
from localcloud.fis.templates import FisStore
from localcloud.fleet import Fleet
from localcloud.instance import Instance, State
from localcloud.outages import Outage, Outages
from localcloud.scaling_groups import ScalingGroup, scaling_groups


class Injection(Protocol):
    """One action on the resources it was resolved to."""

    @property
    def resources(self) -> list[str]:
        """ARNs."""
        ...

    def refusal(self, role: ExperimentRole) -> str | None:
        """Why the role may not do it; None if it may."""
        ...

    def begin(self) -> None:
        """Do it."""
        ...

    def end(self) -> None:
        """Take back what can be taken back."""
        ...


class Interruption:
    """Recommendation, notice and reclaim for each of the instances."""

    def __init__(self, *, fleet: Fleet, instances: list[Instance], lead_s: float) -> None:
        self._fleet = fleet
        self._instances = instances
        self._lead_s = lead_s

    @property
    def resources(self) -> list[str]:
        return [instance.arn for instance in self._instances]

    def refusal(self, role: ExperimentRole) -> str | None:
        for instance in self._instances:
            tags = {f"aws:resourcetag/{key.lower()}": value for key, value in instance.request.tags.items()}
            if not role.may("ec2:SendSpotInstanceInterruptions", instance.arn, tags):
                return f"the role may not ec2:SendSpotInstanceInterruptions on {instance.arn}"
        return None

    def begin(self) -> None:
        for instance in self._instances:
            if instance.state is State.RUNNING:
                self._fleet.interrupt(instance, lead_s=self._lead_s)

    def end(self) -> None:
        """A notice can't be taken back."""


class Shortage:
    """No launch for the groups, in the zones, until it ends."""

    def __init__(self, *, outages: Outages, groups: list[ScalingGroup], zones: list[str]) -> None:
        self._outages = outages
        self._groups = groups
        self._zones = zones
        self._begun: list[Outage] = []

    @property
    def resources(self) -> list[str]:
        return [group.arn for group in self._groups]

    def refusal(self, role: ExperimentRole) -> str | None:
        keys = {"ec2:fisactionid": [NO_CAPACITY], "ec2:fistargetarns": self.resources}
        if role.may("ec2:InjectApiError", "*", keys) and role.may("autoscaling:DescribeAutoScalingGroups", "*", {}):
            return None
        return "the role may not ec2:InjectApiError and autoscaling:DescribeAutoScalingGroups for this action"

    def begin(self) -> None:
        self._begun = [self._outages.begin(group=group.name, zones=self._zones) for group in self._groups]

    def end(self) -> None:
        for outage in self._begun:
            self._outages.end(outage)


class Injector:
    """Resolves targets to injections. Every method expects the reactor's state to be held."""

    with_notice = frozenset({INTERRUPT})  # actions whose last two minutes are a notice

    def __init__(
        self, *, fleet: Fleet, outages: Outages, records: Ec2Records, batch_store: Callable[[str, str], BatchStore]
    ) -> None:
        self._fleet = fleet
        self._outages = outages
        self._records = records
        self._batch_store = batch_store
        self._resolvers = {INTERRUPT: self._interruption, NO_CAPACITY: self._shortage}

    def resolve(
        self, store: FisStore, template: dict[str, Any], action: dict[str, Any], rng: random.Random
    ) -> Injection:
        """Whom the action strikes now."""
        (target_name,) = action["targets"].values()
        return self._resolvers[action["actionId"]](store, template["targets"][target_name], action, rng)

    def _interruption(
        self, store: FisStore, target: dict[str, Any], action: dict[str, Any], rng: random.Random
    ) -> Injection:
        mine = partial(_belongs, account=store.account, region=store.region)
        candidates = [
            instance
            for instance in filter(mine, self._fleet.instances.values())
            if instance.is_spot and instance.state is State.RUNNING and not instance.draining
            if matches(target, arn=instance.arn, tags=instance.request.tags, description=instance.record)
        ]
        chosen = Selection.parse(target["selectionMode"]).pick(candidates, rng)[:SPOT_INSTANCES_MAX]
        return Interruption(fleet=self._fleet, instances=chosen, lead_s=seconds_of(action))

    def _shortage(
        self, store: FisStore, target: dict[str, Any], action: dict[str, Any], rng: random.Random
    ) -> Injection:
        groups = self._groups(store, target)
        chosen = Selection.parse(target["selectionMode"]).pick(groups, rng)
        zones = action["parameters"]["availabilityZoneIdentifiers"].split(",")
        return Shortage(outages=self._outages, groups=chosen, zones=zones)

    def _groups(self, store: FisStore, target: dict[str, Any]) -> list[ScalingGroup]:
        """Batch's groups carry no tags of ours, so only their ARNs lead to them."""
        groups: Iterable[ScalingGroup] = scaling_groups(self._batch_store(store.account, store.region))
        return [group for group in groups if matches(target, arn=group.arn, tags={}, description={})]


def _belongs(instance: Instance, *, account: str, region: str) -> bool:
    return (instance.request.account, instance.request.region) == (account, region)
