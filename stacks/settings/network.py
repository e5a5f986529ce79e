"""Where hosts get their addresses: a network of ours, or one that is there."""

import re
from dataclasses import dataclass
from typing import Final, Literal

from stacks.settings.declaration import setting
from stacks.settings.general import GeneralSettings
from stacks.settings.kinds import Choice, Number, PrivateRange, Text, Words

# How the names of zones begin, those of Local Zones such as us-west-2-lax-1a among them.
_REGION: Final = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]")
NetworkChoice = Literal["auto", "public", "private", "existing"]
NetworkKind = Literal["public", "private", "existing"]


@dataclass(frozen=True, kw_only=True)
class NetworkSettings(GeneralSettings):
    """Network"""

    network: NetworkChoice = setting(
        Choice[NetworkChoice](("auto", "public", "private", "existing")),
        "auto",
        "`public`: addresses for hosts, no standing cost; `private`: none, and interface endpoints; `existing`: yours; "
        "`auto`: existing with a vpc_id, private with compliance=strict, else public.",
    )
    zones: int = setting(Number(1, 6), 3, "Availability zones of a network of ours; 2 where a region has only two.")
    vpc_cidr: str = setting(PrivateRange(), "10.0.0.0/16", "Addresses of a network of ours.")
    vpc_id: str = setting(
        Text(re.compile("vpc-[0-9a-f]{8,17}"), "an id such as vpc-0123456789abcdef0", may_be_empty=True),
        "",
        "The network to use; nothing about it is looked up.",
    )
    subnet_ids: tuple[str, ...] = setting(
        Words(re.compile("subnet-[0-9a-f]{8,17}"), "ids such as subnet-0123456789abcdef0"),
        (),
        "Subnets of vpc_id from which ECS, ECR, CloudWatch Logs, S3 and DynamoDB can be reached.",
    )
    vpc_zones: tuple[str, ...] = setting(
        Words(re.compile("[a-z]{2}(-[a-z]+)+-[0-9][a-z]|[a-z0-9-]+-[a-z]{3}-[0-9][a-z]"), "zones such as eu-west-1a"),
        (),
        "The availability zone of each of subnet_ids, in their order.",
    )

    @property
    def network_kind(self) -> NetworkKind:
        """What `auto` comes to."""
        if self.network != "auto":
            return self.network
        if self.vpc_id:
            return "existing"
        return "private" if self.strict else "public"


def region_of(zone: str) -> str:
    """The region of an availability zone, a Local Zone or a Wavelength Zone; empty if the name tells none."""
    found = _REGION.match(zone)
    return found[0] if found else ""
