"""The words for why workers wait, and for what a person can do about it."""

import re
from collections.abc import Sequence
from typing import Final

from spotproof.capacity.waiting_facts import AheadFacts, EnvironmentFacts, InstanceSize, QueueFacts, WaitingFacts

NOTHING_TO_DO: Final = "nothing to do"
NOT_QUEUED: Final = "Batch has taken the job and has not queued it yet: it prepares it, or the jobs it depends on go on"
PULLING: Final = "a host was found; it is starting the container"

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
_SPOT_QUOTA: Final = ("L-34B43A08", "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests")
_ON_DEMAND_QUOTA: Final = ("L-1216C47A", "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances")


def is_about_quota(text: str) -> bool:
    """Whether EC2 says that the account may not run more."""
    return _QUOTA.search(text) is not None


def is_about_capacity(text: str) -> bool:
    """Whether EC2 says that it has no such instance now."""
    return _CAPACITY.search(text) is not None


# --- what is wrong ---------------------------------------------------------------------------------------------


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
    return f"EC2 has no {lifecycle} capacity for the instance types of {_names(queue.usable)} now: {said}"


def refused(environment: EnvironmentFacts) -> str:
    return f"EC2 refuses to launch instances for {environment.name}: {environment.launch_failures[0]}"


def full(environments: Sequence[EnvironmentFacts]) -> str:
    return "; ".join(
        f"{each.name} runs or starts {each.vcpus_desired} of the {each.vcpus_max} vCPUs it may" for each in environments
    )


def behind(ahead: AheadFacts) -> str:
    return f"job {ahead.job_id} is ahead in the queue and can't start: {ahead.reason}"


def booting(facts: WaitingFacts) -> str:
    return f"Batch is starting instances; waiting for {_span(facts.waited_s)}, often it takes some minutes"


def undetermined(facts: WaitingFacts) -> str:
    return f"Batch holds the queue for blocked and does not know why ({facts.queue_reason})"


def silence(facts: WaitingFacts) -> str:
    return f"nothing is known to be wrong, and yet no worker has started for {_span(facts.waited_s)}"


# --- what to do ------------------------------------------------------------------------------------------------


def mend_invalid(environments: Sequence[EnvironmentFacts]) -> str:
    return (
        f"mend what it says (Batch console > Compute environments > {environments[0].name}), most often a role or a "
        f"launch template; then deploy the stacks again. It turns VALID by itself"
    )


def enable(environments: Sequence[EnvironmentFacts]) -> str:
    commands = "; ".join(
        f"aws batch update-compute-environment --compute-environment {each.name} --state ENABLED"
        for each in environments
    )
    return f"enable it: {commands}"


def make_it_fit(facts: WaitingFacts, reason: str) -> str:
    return (
        "ask for less memory or fewer vCPUs in stacks/jobs.py, or deploy larger types with -c instance_types=…; then "
        f"submit again. {_cancelled(facts.queue, reason)}"
    )


def raise_the_maximum(facts: WaitingFacts, reason: str) -> str:
    return (
        f"deploy with -c spot_vcpus_max=… and -c on_demand_vcpus_max=… of at least {facts.vcpus}, or ask for fewer vCPUs "
        f"in stacks/jobs.py. {_cancelled(facts.queue, reason)}"
    )


def mend_service_role(queue: QueueFacts) -> str:
    return (
        f"the role that Batch works with lacks a permission: compare it with the managed policy AWSBatchServiceRole (IAM "
        f"console), or let {_names(queue.usable)} use the service-linked role. {_never_cancelled(queue)}"
    )


def mend_environment(facts: WaitingFacts, reason: str) -> str:
    return (
        f"look at Batch console > Compute environments > {_names(facts.queue.usable)}: types that this region lacks, a "
        f"launch template that does not fit them. {_cancelled(facts.queue, reason)}"
    )


def raise_the_quota(environment: EnvironmentFacts) -> str:
    code, title = _SPOT_QUOTA if environment.is_spot else _ON_DEMAND_QUOTA
    return (
        f"ask for more: aws service-quotas request-service-quota-increase --service-code ec2 --quota-code {code} "
        f"--desired-value {max(environment.vcpus_max, 1)} (Service Quotas console > Amazon EC2 > {title}). Until then "
        "workers start as others end"
    )


def wait_for_capacity(facts: WaitingFacts) -> str:
    more = "" if len({size.name for each in facts.queue.usable for size in each.sizes}) >= 10 else (
        "; more instance types (-c instance_types=…) or zones (-c zones=…) give more to choose from"
    )  # fmt: skip
    helped = (
        "on-demand workers are added after the run's fallback_after_s"
        if any(each.is_spot for each in facts.queue.usable)
        else "a larger choice of types helps"
    )
    return f"nothing to do: the workers stay queued and start when there is some, and {helped}{more}"


def mend_launches(environment: EnvironmentFacts) -> str:
    return (
        f"mend what EC2 says; every try is listed in EC2 console > Auto Scaling groups > the one named after "
        f"{environment.name} > Activity"
    )


def wait_for_room(environments: Sequence[EnvironmentFacts]) -> str:
    context = "spot_vcpus_max" if environments[0].is_spot else "on_demand_vcpus_max"
    return f"nothing to do: they start as other workers end; to run more at once deploy with -c {context}=…"


def move_aside(queue: QueueFacts, ahead: AheadFacts) -> str:
    return (
        f"mend that job, or take it out of the way: aws batch terminate-job --job-id {ahead.job_id} --reason stuck. "
        f"{_cancelled(queue, ahead.reason.partition(' ')[0])}"
    )


def look_for_yourself(facts: WaitingFacts) -> str:
    environment = _names(facts.queue.usable)
    unread = f". This could not be read: {', '.join(facts.queue.unread)}" if facts.queue.unread else ""
    return (
        f"see whether instances start (EC2 console > Auto Scaling groups > the one named after {environment} > Activity) "
        f"and join the cluster (ECS console > Clusters > the one named after {environment} > Infrastructure): they need "
        f"a way to the ECS endpoint and an instance role{unread}"
    )


# --- pieces ----------------------------------------------------------------------------------------------------


def _cancelled(queue: QueueFacts, reason: str) -> str:
    limit_s = queue.cancel_after_s.get(reason)
    if limit_s is None:
        return _never_cancelled(queue)
    return f"The queue cancels the job after {_span(limit_s)} at its head"


def _never_cancelled(queue: QueueFacts) -> str:
    return f"Queue {queue.name} does not cancel such a job: it waits until this is mended"


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
    return f"compute environment {_names(environments)} is" if len(environments) == 1 else (
        f"the compute environments {_names(environments)} are"
    )  # fmt: skip


def _names(environments: Sequence[EnvironmentFacts]) -> str:
    return ", ".join(each.name for each in environments)


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
