"""Instance types of the compute environments, checked before anything is deployed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from spotproof.errors import ConfigurationError
from stacks.jobs import JobSpec

TYPES_MIN = 10  # fewer pools than this, and one shortage stops the run
FAMILIES_MIN = 3
GENERATIONS_MIN = 2
# The ECS agent registers less than the nominal memory: 7985 MiB of an 8 GiB m4.large, less 32 MiB kept for itself
# (AWS Batch user guide, "Compute resource memory management"). A job must leave that room.
MEMORY_HEADROOM = 1.08

VCPUS_BY_SIZE = {"large": 2, "xlarge": 4, "2xlarge": 8, "4xlarge": 16, "8xlarge": 32}


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What all sizes of an EC2 family share (EC2 instance type guide)."""

    gib_per_vcpu: int
    generation: int
    architecture: str = "x86_64"
    gpus: int = 0  # of each of the sizes above
    smallest: str = "large"
    largest: str = "4xlarge"

    @property
    def vcpus(self) -> range:
        """From its smallest to its largest size."""
        return range(VCPUS_BY_SIZE[self.smallest], VCPUS_BY_SIZE[self.largest] + 1)

    @property
    def sizes(self) -> list[str]:
        return [size for size, vcpus in VCPUS_BY_SIZE.items() if vcpus in self.vcpus]


FAMILIES = {
    "c5": Family(gib_per_vcpu=2, generation=5),
    "c5a": Family(gib_per_vcpu=2, generation=5),
    "c6a": Family(gib_per_vcpu=2, generation=6),
    "c6i": Family(gib_per_vcpu=2, generation=6),
    "c7a": Family(gib_per_vcpu=2, generation=7),
    "c7i": Family(gib_per_vcpu=2, generation=7),
    "m5": Family(gib_per_vcpu=4, generation=5),
    "m5a": Family(gib_per_vcpu=4, generation=5),
    "m6a": Family(gib_per_vcpu=4, generation=6),
    "m6i": Family(gib_per_vcpu=4, generation=6),
    "m7a": Family(gib_per_vcpu=4, generation=7),
    "m7i": Family(gib_per_vcpu=4, generation=7),
    "r5": Family(gib_per_vcpu=8, generation=5),
    "r5a": Family(gib_per_vcpu=8, generation=5),
    "r6a": Family(gib_per_vcpu=8, generation=6),
    "r6i": Family(gib_per_vcpu=8, generation=6),
    "r7i": Family(gib_per_vcpu=8, generation=7),
    "c6g": Family(gib_per_vcpu=2, generation=6, architecture="arm64"),
    "c7g": Family(gib_per_vcpu=2, generation=7, architecture="arm64"),
    "m6g": Family(gib_per_vcpu=4, generation=6, architecture="arm64"),
    "m7g": Family(gib_per_vcpu=4, generation=7, architecture="arm64"),
    "r6g": Family(gib_per_vcpu=8, generation=6, architecture="arm64"),
    "r7g": Family(gib_per_vcpu=8, generation=7, architecture="arm64"),
    "g4dn": Family(gib_per_vcpu=4, generation=4, gpus=1, smallest="xlarge", largest="8xlarge"),  # NVIDIA T4
    "g5": Family(gib_per_vcpu=4, generation=5, gpus=1, smallest="xlarge", largest="8xlarge"),  # NVIDIA A10G
    "g6": Family(gib_per_vcpu=4, generation=6, gpus=1, smallest="xlarge", largest="8xlarge"),  # NVIDIA L4
}

DEFAULT_TYPES = (
    "m5.large",
    "m5a.large",
    "m6i.large",
    "m6a.large",
    "m7i.large",
    "c5.xlarge",
    "c6i.xlarge",
    "c6a.xlarge",
    "r5.large",
    "r6i.large",
    "r6a.large",
    "m5.xlarge",
)

GRAVITON_TYPES = (
    "m6g.large",
    "m7g.large",
    "r6g.large",
    "r7g.large",
    "c6g.xlarge",
    "c7g.xlarge",
    "m6g.xlarge",
    "m7g.xlarge",
    "r6g.xlarge",
    "r7g.xlarge",
    "c6g.2xlarge",
    "c7g.2xlarge",
)

GPU_TYPES = tuple(
    f"{family}.{size}" for family in ("g4dn", "g5", "g6") for size in ("xlarge", "2xlarge", "4xlarge", "8xlarge")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceType:
    """One EC2 instance type."""

    name: str
    family: str
    generation: int
    architecture: str
    vcpus: int
    memory_mib: int
    gpus: int = 0


def parse_type(name: str) -> InstanceType:
    """The facts of an instance type such as "m5.large".

    Raises:
        ConfigurationError: if it is not in this module's tables.
    """
    family_name, _, size = name.partition(".")
    family, vcpus = FAMILIES.get(family_name), VCPUS_BY_SIZE.get(size)
    if family is None or vcpus is None or vcpus not in family.vcpus:
        raise ConfigurationError(
            f"unknown instance type {name!r}: use a family of {', '.join(FAMILIES)} in a size of "
            f"{', '.join(family.sizes if family else VCPUS_BY_SIZE)}, or add it to stacks/instance_types.py"
        )
    return InstanceType(
        name=name,
        family=family_name,
        generation=family.generation,
        architecture=family.architecture,
        vcpus=vcpus,
        memory_mib=vcpus * family.gib_per_vcpu * 1024,
        gpus=family.gpus,
    )


def check_types(
    names: Sequence[str], jobs: Iterable[JobSpec], *, architecture: str = "x86_64", setting: str = "instance_types"
) -> tuple[InstanceType, ...]:
    """The parsed types, once they are known to work for every job.

    Args:
        architecture: of the worker bundle.
        setting: the context value that the names are from.

    Raises:
        ConfigurationError: if they mix architectures (Batch refuses that only at deploy time), are too few or too much
            alike to survive a shortage, or if one can't hold a job.
    """
    types = tuple(_of_setting(name, setting) for name in dict.fromkeys(names))
    architectures = sorted({each.architecture for each in types})
    if architectures != [architecture]:
        raise ConfigurationError(
            f"context value {setting}: the types must all be {architecture}, as the worker bundle is; "
            f"these are {' and '.join(architectures)}"
        )
    _require(len(types), TYPES_MIN, "instance types", setting)
    _require(len({each.family for each in types}), FAMILIES_MIN, "instance families", setting)
    _require(len({each.generation for each in types}), GENERATIONS_MIN, "instance generations", setting)
    for job in jobs:
        for each in types:
            _require_fit(job, each)
    return types


def memory_mib_most(types: Iterable[InstanceType]) -> int:
    """The most memory that any of the types can give one worker, in MiB."""
    return max(int(each.memory_mib / MEMORY_HEADROOM) for each in types)


def _of_setting(name: str, setting: str) -> InstanceType:
    try:
        return parse_type(name)
    except ConfigurationError as error:
        raise ConfigurationError(f"context value {setting}: {error}") from None


def _require(count: int, least: int, what: str, setting: str) -> None:
    if count < least:
        raise ConfigurationError(
            f"context value {setting}: spot needs at least {least} {what} to find capacity, got {count}"
        )


def _require_fit(job: JobSpec, host: InstanceType) -> None:
    if job.vcpus > host.vcpus:
        raise ConfigurationError(f"job {job.name!r} needs {job.vcpus} vCPUs, {host.name} has {host.vcpus}")
    if job.gpus > host.gpus:
        raise ConfigurationError(f"job {job.name!r} needs {job.gpus} GPUs, {host.name} has {host.gpus}")
    if job.memory_mib * MEMORY_HEADROOM > host.memory_mib:
        most_mib = int(host.memory_mib / MEMORY_HEADROOM)
        raise ConfigurationError(
            f"job {job.name!r} needs {job.memory_mib} MiB, {host.name} can give {most_mib} of its {host.memory_mib} MiB"
        )
