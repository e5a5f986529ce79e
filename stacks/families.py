"""The families of hosts: what tells them apart. Each has its own queues, because Batch wants one architecture in each."""

from dataclasses import dataclass
from typing import Literal, get_args

FamilyName = Literal["x86_64", "graviton", "gpu", "fargate"]
FAMILY_NAMES: tuple[FamilyName, ...] = get_args(FamilyName)


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One kind of hosts."""

    name: FamilyName
    label: str  # begins the construct ids: an external contract, do not rename
    architecture: str = "x86_64"  # EC2's name
    has_hosts: bool = True  # instances of ours; Fargate shows none
    has_gpus: bool = False


FAMILIES: dict[FamilyName, Family] = {
    "x86_64": Family(name="x86_64", label=""),
    "graviton": Family(name="graviton", label="Graviton", architecture="arm64"),
    "gpu": Family(name="gpu", label="Gpu", has_gpus=True),
    "fargate": Family(name="fargate", label="Fargate", has_hosts=False),
}
