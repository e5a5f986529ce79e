"""The fleet's instances in the emulator's EC2 store, so that describe calls show them."""

import time
from collections.abc import Mapping
from typing import Any

from localcloud.instance import STATE_CODES, Instance, State
from localcloud.seams import Seams

IMAGE_ID = "ami-0localcloud000001"


class Ec2Records:
    """Writes and updates EC2 records of fleet instances."""

    def __init__(self, seams: Seams) -> None:
        self._seams = seams

    def add(self, instance: Instance) -> None:
        """Make the instance known to EC2; fills in its address and record."""
        request, ec2 = instance.request, self._seams.ec2
        with self._seams.scope(request.account, request.region):
            record: dict[str, Any] = ec2._launch_instances_internal(
                IMAGE_ID, instance.type.name, request.pool.subnet, 1
            )[0]
            ec2._instances.pop(record["InstanceId"], None)
            record["InstanceId"] = instance.id
            record["Placement"]["AvailabilityZone"] = instance.zone
            record["_lifecycle"] = "spot" if instance.is_spot else None
            ec2._instances[instance.id] = record
            ec2._tags[instance.id] = [{"Key": key, "Value": value} for key, value in request.tags.items()]
        instance.record = record
        instance.private_ip = record["PrivateIpAddress"]
        self.set_state(instance)

    def set_state(self, instance: Instance) -> None:
        """Copy the instance's state into its record."""
        instance.record["State"] = {"Code": STATE_CODES[instance.state], "Name": str(instance.state)}
        instance.record["_state_reason"] = instance.state_reason
        if instance.state is State.TERMINATED:
            instance.record["_terminated_at"] = time.time()

    def zone_of_subnet(self, *, account: str, region: str, subnet: str) -> str:
        """The availability zone of a subnet of the account."""
        record = self._seams.ec2._subnets.get_scoped(account, region, subnet) or {}
        return str(record.get("AvailabilityZone", f"{region}a"))

    def missing_subnets(self, *, account: str, region: str, subnets: list[str]) -> list[str]:
        """Those of `subnets` that the account doesn't have."""
        known = self._seams.ec2._subnets
        return [subnet for subnet in subnets if known.get_scoped(account, region, subnet) is None]

    def template_version(self, *, account: str, region: str, template: Mapping[str, Any]) -> str | None:
        """The version number that a launch template specification of Batch means now; None without a template."""
        named = str(template.get("launchTemplateId") or template.get("launchTemplateName") or "")
        with self._seams.scope(account, region):
            known = list(self._seams.ec2._launch_templates.values())
        found = next((one for one in known if named in (one["LaunchTemplateId"], one["LaunchTemplateName"])), None)
        if found is None:
            return None
        match str(template.get("version") or "$Default"):
            case "$Latest":
                return str(found["LatestVersionNumber"])
            case "$Default":
                return str(found["DefaultVersionNumber"])
            case number:
                return number

    def role_of_profile(self, *, account: str, region: str, profile: str | None) -> str | None:
        """The role inside an instance profile given by name or ARN."""
        if not profile:
            return None
        with self._seams.scope(account, region):
            found = self._seams.iam._instance_profiles.get(profile.rsplit("/", 1)[-1]) or {}
        roles = found.get("Roles") or []
        if not roles:
            return None
        return str(roles[0].get("RoleName")) if isinstance(roles[0], dict) else str(roles[0]).rsplit("/", 1)[-1]
