"""What a person can do when workers wait: commands, console pages, or nothing."""

from collections.abc import Sequence
from typing import Final

from spotproof.capacity.waiting_facts import AheadFacts, EnvironmentFacts, QueueFacts, WaitingFacts
from spotproof.capacity.waiting_words import names_of, span_of

NOTHING_TO_DO: Final = "nothing to do"
TYPES_ENOUGH: Final = 10  # fewer leave Spot little to choose from (Batch best practices)
_SPOT_QUOTA: Final = ("L-34B43A08", "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests")
_ON_DEMAND_QUOTA: Final = ("L-1216C47A", "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances")


def mend_invalid(environments: Sequence[EnvironmentFacts]) -> str:
    return (
        f"mend what it says (Batch console > Compute environments > {environments[0].name}), most often a role or a "
        "launch template, and update it there or by deploying the stacks again"
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
        f"console), or let {names_of(queue.usable)} use the service-linked role. {_never_cancelled(queue)}"
    )


def mend_environment(facts: WaitingFacts, reason: str) -> str:
    return (
        f"look at Batch console > Compute environments > {names_of(facts.queue.usable)}: types that this region lacks, a "
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
    types = {size.name for each in facts.queue.usable for size in each.sizes}
    choice = "; more instance types (-c instance_types=…) or zones (-c zones=…) give more to choose from"
    helped = (
        "on-demand workers are added after the run's fallback_after_s, unless its options forbid them"
        if any(each.is_spot for each in facts.queue.usable)
        else "a larger choice of types helps"
    )
    few = choice if len(types) < TYPES_ENOUGH else ""
    return f"nothing to do: the workers stay queued and start when there is some, and {helped}{few}"


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
    environment = names_of(facts.queue.usable)
    unread = f". This could not be read: {', '.join(facts.queue.unread)}" if facts.queue.unread else ""
    return (
        f"see whether instances start (EC2 console > Auto Scaling groups > the one named after {environment} > Activity) "
        f"and join the cluster (ECS console > Clusters > the one named after {environment} > Infrastructure): they need "
        f"a way to the ECS endpoint and an instance role{unread}"
    )


def _cancelled(queue: QueueFacts, reason: str) -> str:
    limit_s = queue.cancel_after_s.get(reason)
    if limit_s is None:
        return _never_cancelled(queue)
    return f"The queue cancels the job after {span_of(limit_s)} at its head"


def _never_cancelled(queue: QueueFacts) -> str:
    return f"Queue {queue.name} does not cancel such a job: it waits until this is mended"
