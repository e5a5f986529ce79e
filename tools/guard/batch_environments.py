"""Rules for Batch compute environments and job queues."""

import re
from collections.abc import Iterator
from typing import Any, Final

from tools.guard.assembly import Assembly, Resource, as_list
from tools.guard.rule import Rule

ENVIRONMENT: Final = ("AWS::Batch::ComputeEnvironment",)
QUEUE: Final = ("AWS::Batch::JobQueue",)
ON_INSTANCES: Final = ("SPOT", "EC2")
ON_SPOT: Final = ("SPOT", "FARGATE_SPOT")
TYPES_MIN: Final = 10
FAMILIES_MIN: Final = 3
STRATEGIES: Final = {
    "SPOT": ("SPOT_PRICE_CAPACITY_OPTIMIZED", "SPOT_CAPACITY_OPTIMIZED", "SPOT_CAPACITY_OPTIMIZED_PRIORITIZED"),
    "EC2": ("BEST_FIT_PROGRESSIVE", "BEST_FIT_PROGRESSIVE_ORDERED"),
}
STUCK_FOR_EVER: Final = (
    "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",
    "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE",
)
TYPE_NAME: Final = re.compile(r"([a-z]+)(\d+)([a-z-]*)\.[a-z0-9-]+")


def architecture(instance_type: str) -> str:
    """`arm64` or `x86_64`: Graviton families have a g after the generation (m6g, c7gn, g5g), and a1 is one."""
    match = TYPE_NAME.fullmatch(instance_type)
    graviton = match is not None and ("g" in match[3] or match[1] == "a")
    return "arm64" if graviton else "x86_64"


def _capacity(environment: Resource) -> str:
    return str(environment.get("ComputeResources.Type"))


def has_many_types(environment: Resource, _assembly: Assembly) -> Iterator[str]:
    if _capacity(environment) not in ON_INSTANCES:
        return
    types = [str(each) for each in as_list(environment.get("ComputeResources.InstanceTypes"))]
    loose = [each for each in types if not TYPE_NAME.fullmatch(each)]
    families = {each.partition(".")[0] for each in types}
    if loose:
        yield f"{', '.join(loose)} lets Batch choose: name types with their size"
    if len(set(types)) < TYPES_MIN or len(families) < FAMILIES_MIN:
        yield (
            f"{len(set(types))} instance types of {len(families)} families, "
            f"needs {TYPES_MIN} of {FAMILIES_MIN}: few pools are taken away together"
        )


def chooses_well(environment: Resource, _assembly: Assembly) -> Iterator[str]:
    allowed = STRATEGIES.get(_capacity(environment))
    strategy = environment.get("ComputeResources.AllocationStrategy")
    if allowed is not None and strategy not in allowed:
        yield f"AllocationStrategy is {strategy}, needs one of {', '.join(allowed)}"
    if environment.get("ComputeResources.BidPercentage") is not None:
        yield "BidPercentage caps the price below on-demand, and raises interruptions"


def costs_nothing_idle(environment: Resource, _assembly: Assembly) -> Iterator[str]:
    least = environment.get("ComputeResources.MinvCpus", 0)
    if least != 0:
        yield f"MinvCpus is {least}: hosts would be paid for without work"


def follows_its_template(environment: Resource, assembly: Assembly) -> Iterator[str]:
    if _capacity(environment) not in ON_INSTANCES:
        return
    version = environment.get("ComputeResources.LaunchTemplate.Version")
    templates = assembly.referred(version, by=environment)
    moves = isinstance(version, dict) and as_list(version.get("Fn::GetAtt"))[1:] == ["LatestVersionNumber"]
    if not moves or not any(each.kind == "AWS::EC2::LaunchTemplate" for each in templates):
        yield f"LaunchTemplate.Version is {version!r}: Batch reads it once; refer to LatestVersionNumber"


def is_updated_in_place(environment: Resource, _assembly: Assembly) -> Iterator[str]:
    if environment.get("ReplaceComputeEnvironment") is not False:
        yield "ReplaceComputeEnvironment is not false: an update would take running workers away"
    if environment.get("UpdatePolicy.TerminateJobsOnUpdate", False) is not False:
        yield "TerminateJobsOnUpdate is true: an update would stop running workers"
    if environment.get("ComputeEnvironmentName") is not None:
        yield "ComputeEnvironmentName is fixed: a replacement could not be made next to it"


def _environments(queue: Resource, assembly: Assembly) -> list[Resource]:
    order: list[dict[str, Any]] = as_list(queue.get("ComputeEnvironmentOrder"))
    named = [entry.get("ComputeEnvironment") for entry in order]
    return [each for each in assembly.referred(named, by=queue) if each.kind in ENVIRONMENT]


def has_one_architecture(queue: Resource, assembly: Assembly) -> Iterator[str]:
    types = {
        str(name)
        for environment in _environments(queue, assembly)
        for name in as_list(environment.get("ComputeResources.InstanceTypes"))
    }
    found = sorted({architecture(name) for name in types})
    if len(found) > 1:
        yield f"its environments have types of {' and '.join(found)}: Batch refuses the queue at deploy"


def has_one_lifecycle(queue: Resource, assembly: Assembly) -> Iterator[str]:
    environments = _environments(queue, assembly)
    if not environments:
        yield "no compute environment of the deployment"
    if len({_capacity(each) in ON_SPOT for each in environments}) > 1:
        yield "Spot and on-demand in one queue: who falls back is the controller's decision, not Batch's"


def cancels_what_can_never_run(queue: Resource, _assembly: Assembly) -> Iterator[str]:
    actions = as_list(queue.get("JobStateTimeLimitActions"))
    cancelled = {each.get("Reason") for each in actions if each.get("Action") == "CANCEL"}
    for reason in STUCK_FOR_EVER:
        if reason not in cancelled:
            yield f"no CANCEL on {reason}: such a job waits for ever at the head of the queue"
    if any(str(reason).startswith("CAPACITY:") for reason in cancelled):
        yield "CANCEL on a lack of capacity: that heals, and the controller helps it out"


ENVIRONMENT_RULES: Final = (
    Rule(
        name="environment-types",
        kinds=ENVIRONMENT,
        demand="at least ten instance types of three families, named with their size",
        check=has_many_types,
    ),
    Rule(
        name="environment-strategy",
        kinds=ENVIRONMENT,
        demand="an allocation strategy that looks at capacity and can be updated in place, and no bid below on-demand",
        check=chooses_well,
    ),
    Rule(name="environment-idle", kinds=ENVIRONMENT, demand="no host without work", check=costs_nothing_idle),
    Rule(
        name="environment-template",
        kinds=ENVIRONMENT,
        demand="a changed launch template reaches the fleet: its version is a number that moves",
        check=follows_its_template,
    ),
    Rule(
        name="environment-update",
        kinds=ENVIRONMENT,
        demand="an update neither replaces the environment nor stops workers",
        check=is_updated_in_place,
    ),
    Rule(name="queue-architecture", kinds=QUEUE, demand="one architecture in a queue", check=has_one_architecture),
    Rule(name="queue-lifecycle", kinds=QUEUE, demand="only Spot or only on-demand in a queue", check=has_one_lifecycle),
    Rule(
        name="queue-stuck-jobs",
        kinds=QUEUE,
        demand="a job that can never run is cancelled, one that waits for capacity is not",
        check=cancels_what_can_never_run,
    ),
)
