"""The instance types the fleet knows: vCPUs, memory and on-demand price."""

from dataclasses import dataclass

from localcloud.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceType:
    """One EC2 instance type."""

    name: str
    vcpus: int
    memory_mib: int
    on_demand_usd: float  # Linux, us-east-1, per hour

    @property
    def family(self) -> str:
        """`m5` of `m5.large`."""
        return self.name.partition(".")[0]

    @property
    def registered_memory_mib(self) -> int:
        """What the ECS agent offers to jobs: nominal memory less what the system and the agent keep.

        AWS documents 7985 of 8192 MiB on an m4.large, less 32 MiB reserved (ECS developer guide, "memory management").
        """
        return int(self.memory_mib * 0.975) - 32


# Price of `.large` (2 vCPU) in USD per hour and MiB per vCPU; larger sizes of a family are multiples.
_LARGE: tuple[tuple[str, float, int], ...] = (
    ("m5", 0.096, 4096),
    ("m5a", 0.086, 4096),
    ("m5d", 0.113, 4096),
    ("m6i", 0.096, 4096),
    ("m6a", 0.0864, 4096),
    ("m7i", 0.1008, 4096),
    ("m7a", 0.11592, 4096),
    ("c5", 0.085, 2048),
    ("c5a", 0.077, 2048),
    ("c5d", 0.096, 2048),
    ("c6i", 0.085, 2048),
    ("c6a", 0.0765, 2048),
    ("c7i", 0.08925, 2048),
    ("c7a", 0.10264, 2048),
    ("r5", 0.126, 8192),
    ("r5a", 0.113, 8192),
    ("r5d", 0.144, 8192),
    ("r6i", 0.126, 8192),
    ("r6a", 0.1134, 8192),
    ("r7i", 0.1323, 8192),
    ("r7a", 0.15215, 8192),
    ("m6g", 0.077, 4096),
    ("m7g", 0.0816, 4096),
    ("c6g", 0.068, 2048),
    ("c7g", 0.0725, 2048),
    ("r6g", 0.1008, 8192),
    ("r7g", 0.1071, 8192),
)
# USD per hour of `.xlarge` to `.8xlarge`, each with one GPU: which a container here does not get to see.
_GPU: tuple[tuple[str, tuple[float, ...]], ...] = (
    ("g4dn", (0.526, 0.752, 1.204, 2.176)),
    ("g5", (1.006, 1.212, 1.624, 2.448)),
    ("g6", (0.8048, 0.9776, 1.3232, 2.0144)),
)
_GPU_SIZES: tuple[tuple[str, int], ...] = (("xlarge", 4), ("2xlarge", 8), ("4xlarge", 16), ("8xlarge", 32))
_SIZES: tuple[tuple[str, int], ...] = (("large", 1), ("xlarge", 2), ("2xlarge", 4), ("4xlarge", 8))


def _types() -> dict[str, InstanceType]:
    found = {}
    for family, price, mib_per_vcpu in _LARGE:
        for size, factor in _SIZES:
            name = f"{family}.{size}"
            found[name] = InstanceType(
                name=name,
                vcpus=2 * factor,
                memory_mib=2 * factor * mib_per_vcpu,
                on_demand_usd=round(price * factor, 6),
            )
    for family, prices in _GPU:
        for (size, vcpus), usd in zip(_GPU_SIZES, prices, strict=True):
            name = f"{family}.{size}"
            found[name] = InstanceType(name=name, vcpus=vcpus, memory_mib=vcpus * 4096, on_demand_usd=usd)
    return found


def fargate_task(*, vcpus: int, memory_mib: int) -> InstanceType:
    """What a Fargate task is instead of an instance: as large as its job, and not priced here."""
    return InstanceType(name="fargate", vcpus=vcpus, memory_mib=memory_mib, on_demand_usd=0.0)


TYPES = _types()
_BUNDLES = ("optimal", "default_x86_64")


def instance_type(name: str) -> InstanceType:
    """The type called `name`.

    Raises:
        UsageError: if the catalog doesn't have it.
    """
    try:
        return TYPES[name]
    except KeyError as error:
        raise UsageError(f"the local account has no instance type {name!r}: see localcloud/catalog.py") from error


def expand(names: list[str]) -> list[InstanceType]:
    """Types meant by a compute environment's list of types, families and bundles, in the list's order, once each.

    Names the catalog doesn't have are left out, as types a region doesn't offer are left out by Batch.
    """
    chosen: dict[str, InstanceType] = {}
    for name in names or ["optimal"]:
        for candidate in TYPES.values():
            if name in (candidate.name, candidate.family) or (
                name in _BUNDLES and candidate.family in ("m5", "c5", "r5")
            ):
                chosen.setdefault(candidate.name, candidate)
    return list(chosen.values())
