"""The machines: for each family a Spot and an on-demand environment with a queue each."""

from collections.abc import Mapping, Sequence

from aws_cdk import aws_batch as batch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from stacks.environments import Capacity, Environment, Place, fargate_environment, host_environment
from stacks.families import FAMILIES, FamilyName
from stacks.hosts import launch_template
from stacks.instance_types import InstanceType
from stacks.network import Network
from stacks.queues import QueuePair, job_queue, share_policy
from stacks.settings import DeploySettings


class Fleet(Construct):
    """Spot and on-demand: separate environments and queues, because who falls back is our decision, not Batch's."""

    def __init__(
        self,
        scope: Construct,
        *,
        settings: DeploySettings,
        types: Mapping[FamilyName, Sequence[InstanceType]],
        key: kms.IKey | None,
        host_role: iam.IRole | None,
    ) -> None:
        """`types`: of the families that have hosts, whose instances get the role."""
        super().__init__(scope, "Fleet")
        self._settings, self._types, self._host_role = settings, types, host_role
        self.network = Network(self, settings=settings, key=key)
        vpc = self.network.vpc
        group = ec2.SecurityGroup(self, "Workers", vpc=vpc, description="Spotproof workers: nothing comes in")
        self._place = Place(vpc=vpc, subnets=self.network.subnets, security_group=group)
        self._template = launch_template(self, disk_gib=settings.disk_gib) if types else None
        self._policy = share_policy(self, settings)
        self.pairs = tuple(self._pair(family) for family in settings.families)

    @property
    def queues(self) -> tuple[batch.JobQueue, ...]:
        """Every queue: Spot and on demand of the first family, then those of the others."""
        return tuple(queue for pair in self.pairs for queue in (pair.spot, pair.on_demand))

    def pair(self, family: FamilyName) -> QueuePair:
        """The queues of a deployed family."""
        return next(pair for pair in self.pairs if pair.family == family)

    def _pair(self, family: FamilyName) -> QueuePair:
        spot, on_demand = (
            job_queue(self, self._environment(family, spot=spot), policy=self._policy) for spot in (True, False)
        )
        return QueuePair(family=family, spot=spot, on_demand=on_demand)

    def _environment(self, name: FamilyName, *, spot: bool) -> Environment:
        settings, family = self._settings, FAMILIES[name]
        capacity = Capacity(
            family=family,
            spot=spot,
            vcpus_max=settings.vcpus_max(name, spot=spot),
            vcpus_min=settings.vcpus_min(name, spot=spot),
            types=[each.name for each in self._types.get(name, ())],
        )
        if self._template is None or self._host_role is None or not family.has_hosts:
            return fargate_environment(self, capacity, self._place)
        return host_environment(
            self, capacity, self._place, template=self._template, role=self._host_role, deployment=settings.prefix
        )
