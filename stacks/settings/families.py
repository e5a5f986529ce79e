"""Which kinds of hosts there are besides the usual one; each kind has its own pair of queues."""

from dataclasses import dataclass

from stacks.families import FAMILY_NAMES, FamilyName
from stacks.instance_types import GPU_TYPES, GRAVITON_TYPES
from stacks.settings.declaration import setting
from stacks.settings.fleet import TYPES
from stacks.settings.kinds import Choices, Number


@dataclass(frozen=True, kw_only=True)
class FamilySettings:
    """Families"""

    families: tuple[FamilyName, ...] = setting(
        Choices[FamilyName](FAMILY_NAMES),
        ("x86_64",),
        "Kinds of hosts, each with a Spot and an on-demand queue; a job names its own in stacks/jobs.py.",
    )
    graviton_types: tuple[str, ...] = setting(TYPES, GRAVITON_TYPES, "Instance types of family graviton.")
    graviton_spot_vcpus_max: int = setting(Number(1), 256, "As spot_vcpus_max.")
    graviton_on_demand_vcpus_max: int = setting(Number(1), 64, "As on_demand_vcpus_max.")
    gpu_types: tuple[str, ...] = setting(TYPES, GPU_TYPES, "Instance types of family gpu.")
    gpu_spot_vcpus_max: int = setting(Number(1), 64, "As spot_vcpus_max; new accounts have a quota of 0.")
    gpu_on_demand_vcpus_max: int = setting(Number(1), 16, "As on_demand_vcpus_max.")
    fargate_spot_vcpus_max: int = setting(Number(1), 256, "As spot_vcpus_max.")
    fargate_on_demand_vcpus_max: int = setting(Number(1), 64, "As on_demand_vcpus_max.")

    def vcpus_max(self, family: FamilyName, *, spot: bool) -> int:
        """The most that run in the family's environment at a time."""
        return int(getattr(self, vcpus_max_name(family, spot=spot)))


def vcpus_max_name(family: FamilyName, *, spot: bool) -> str:
    """The context value that says so."""
    name = "spot_vcpus_max" if spot else "on_demand_vcpus_max"
    return name if family == "x86_64" else f"{family}_{name}"
