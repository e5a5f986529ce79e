"""What is wrong when workers wait, in words."""

import re
from collections.abc import Sequence
from typing import Final

from spotproof.capacity.waiting_facts import AheadFacts, EnvironmentFacts, InstanceSize, QueueFacts, WaitingFacts

NOT_QUEUED: Final = "Batch has taken the job and has not queued it yet: it prepares it, or the jobs it depends on go on"
PULLING: Final = "a host was found; it is starting the container"
BOOTING: Final = "Batch is starting instances, which often takes some minutes"

# Codes and texts of EC2 and Auto Scaling: troubleshooting EC2 launch issues (EC2 user guide) and Auto Scaling
# (CHAP_Troubleshooting), and as users reported them.
_QUOTA: Final = re.compile(
    r"MaxSpotInstanceCountExceeded|Max spot instance count exceeded|VcpuLimitExceeded|your current vCPU limit|"
    r"InstanceLimitExceeded|your current instance limit",
    re.IGNORECASE,
)
_CAPACITY: Final = re.compile(
    r"InsufficientInstanceCapacity|UnfulfillableCapacity|InsufficientCapacity|not have sufficient|no Spot capacity|"
    r"Unable to fulfill capacity",
    re.IGNORECASE,
)


def is_about_quota(text: str) -> bool:
    """Whether EC2 says that the account may not run more."""
    return _QUOTA.search(text) is not None


def is_about_capacity(text: str) -> bool:
    """Whether EC2 says that it has no such instance now."""
    return _CAPACITY.search(text) is not None


def batch_says(reason: str) -> str:
    return f"Batch says: {reason}"


def invalid(environments: Sequence[EnvironmentFacts]) -> str:
    told = "; ".join(
        f"{each.name} is INVALID: {each.status_reason or 'Batch gives no reason'}" for each in environments
    )
    return f"no compute environment of the queue can be used: {told}"


def disabled(environments: Sequence[EnvironmentFacts]) -> str:
    return f"{_named(environments)} disabled, so Batch starts nothing in it"


def coming(queue: QueueFacts) -> str:
    states = ", ".join(f"{each.name} is {each.status}" for each in queue.environments) or "it has none"
    return f"no compute environment of queue {queue.name} is ready: {states}"


def too_big(facts: WaitingFacts) -> str:
    sizes = [size for environment in facts.queue.usable for size in environment.sizes]
    asked = f"a worker asks for {facts.vcpus} vCPU and {facts.memory_mib} MiB"
    if not sizes:
        return f"{asked}, more than any instance type of the queue's compute environments can give"
    return f"{asked}; of the queue's instance types {_offer(_largest(sizes))}"


def above_the_maximum(facts: WaitingFacts) -> str:
    allowed = ", ".join(f"{each.name} may run {each.vcpus_max}" for each in facts.queue.usable)
    return f"a worker asks for {facts.vcpus} vCPU; {allowed} in all"


def quota(environment: EnvironmentFacts, said: str) -> str:
    kind = "Spot" if environment.is_spot else "on-demand"
    return f"the account's quota of {kind} vCPUs in this region is used up: EC2 says: {said}"


def no_capacity(queue: QueueFacts, said: str) -> str:
    lifecycle = "Spot" if any(each.is_spot for each in queue.usable) else "on-demand"
    return f"EC2 has no {lifecycle} capacity for the instance types of {names_of(queue.usable)} now: {said}"


def refused(environment: EnvironmentFacts) -> str:
    return f"EC2 refuses to launch instances for {environment.name}: {environment.launch_failures[0]}"


def full(environments: Sequence[EnvironmentFacts]) -> str:
    return "; ".join(
        f"{each.name} runs or starts {each.vcpus_desired} of the {each.vcpus_max} vCPUs it may" for each in environments
    )


def behind(ahead: AheadFacts) -> str:
    return f"job {ahead.job_id} is ahead in the queue and can't start: {ahead.reason}"


def undetermined(facts: WaitingFacts) -> str:
    return f"Batch holds the queue for blocked and does not know why ({facts.queue_reason})"


def silence(facts: WaitingFacts) -> str:
    return f"nothing is known to be wrong, and yet no worker has started for {span_of(facts.waited_s)}"


def _largest(sizes: Sequence[InstanceSize]) -> tuple[InstanceSize, InstanceSize]:
    return max(sizes, key=lambda size: size.vcpus), max(sizes, key=lambda size: size.memory_mib)


def _offer(largest: tuple[InstanceSize, InstanceSize]) -> str:
    most_vcpus, most_memory = largest
    if most_vcpus.name == most_memory.name:
        return f"the largest, {most_vcpus.name}, gives {most_vcpus.vcpus} vCPU and about {most_vcpus.memory_offered_mib} MiB"
    return (
        f"none gives more than {most_vcpus.vcpus} vCPU ({most_vcpus.name}) or about {most_memory.memory_offered_mib} MiB "
        f"({most_memory.name})"
    )


def _named(environments: Sequence[EnvironmentFacts]) -> str:
    return f"compute environment {names_of(environments)} is" if len(environments) == 1 else (
        f"the compute environments {names_of(environments)} are"
    )  # fmt: skip


def names_of(environments: Sequence[EnvironmentFacts]) -> str:
    """As a list in a sentence."""
    return ", ".join(each.name for each in environments)


def span_of(seconds: float) -> str:
    """As a person says it."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
