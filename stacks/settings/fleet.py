"""The hosts of the usual family: their types, how many, and their disks."""

import re
from dataclasses import dataclass

from stacks.instance_types import DEFAULT_TYPES
from stacks.settings.declaration import setting
from stacks.settings.kinds import Number, Words

TYPES = Words(re.compile(r"[a-z0-9-]+\.[a-z0-9-]+"), "instance types such as m6i.large", may_be_empty=False)
DISK_GIB_LEAST = 30  # of the ECS-optimized image's snapshot


@dataclass(frozen=True, kw_only=True)
class FleetSettings:
    """Hosts"""

    instance_types: tuple[str, ...] = setting(
        TYPES, DEFAULT_TYPES, "Of family x86_64; ten types of three families at least."
    )
    spot_vcpus_max: int = setting(Number(1), 256, "The most that run on Spot at a time.")
    spot_vcpus_min: int = setting(Number(0), 0, "Kept running, and paid, also without work.")
    on_demand_vcpus_max: int = setting(Number(1), 64, "Caps the bill when Spot is short.")
    on_demand_vcpus_min: int = setting(Number(0), 0, "Kept running, and paid, also without work.")
    disk_gib: int = setting(
        Number(DISK_GIB_LEAST, 16_384), 50, "Root volume of a host: image, containers, scratch of all its workers."
    )
