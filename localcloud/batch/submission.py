"""From SubmitJob's parameters and a job definition to jobs."""

import copy
import uuid
from collections.abc import Mapping
from typing import Any

from localcloud.batch.job import Job
from localcloud.batch.parameters import (
    ARRAY_SIZE_MAX,
    ARRAY_SIZE_MIN,
    ClientException,
    require_name,
    require_retry_strategy,
    require_timeout,
)
from localcloud.batch.store import BatchStore, JobQueue

DEPENDENCIES_MAX = 20
_UNSUPPORTED = ("nodeOverrides", "eksPropertiesOverride", "ecsPropertiesOverride")


def new_jobs(store: BatchStore, given: Mapping[str, Any], *, now_ms: int) -> Job:
    """The job that `given` asks for; an array's children hang below it.

    Raises:
        ClientException: what Batch would refuse, or what the local account can't run.
    """
    queue = store.queue(given["jobQueue"])
    if not queue.is_enabled:
        raise ClientException(f"JobQueue {queue.arn} is DISABLED")
    definition = store.definition(given["jobDefinition"])
    _require_acceptable(store, given)
    _require_share(queue, given)
    container, vcpus, memory_mib = _container(definition["containerProperties"], given.get("containerOverrides") or {})
    retry = given.get("retryStrategy") or definition.get("retryStrategy") or {}
    timeout = given.get("timeout") or definition.get("timeout") or {}
    propagate = bool(given.get("propagateTags", definition.get("propagateTags", False)))
    job = Job(
        id=str(uuid.uuid4()),
        name=require_name(given["jobName"], "jobName"),
        account=store.account,
        region=store.region,
        queue_arn=queue.arn,
        definition_arn=definition["jobDefinitionArn"],
        container=container,
        vcpus=vcpus,
        memory_mib=memory_mib,
        attempts_max=int(retry.get("attempts") or 1),
        conditions=[dict(one) for one in retry.get("evaluateOnExit") or []],
        timeout_s=timeout.get("attemptDurationSeconds"),
        parameters={**(definition.get("parameters") or {}), **(given.get("parameters") or {})},
        depends_on=[dict(link) for link in given.get("dependsOn") or []],
        tags={**((definition.get("tags") or {}) if propagate else {}), **(given.get("tags") or {})},
        propagate_tags=propagate,
        created_ms=now_ms,
        share=str(given.get("shareIdentifier", "")),
    )
    size = (given.get("arrayProperties") or {}).get("size")
    job.children = [_child(job, index) for index in range(size or 0)]
    return job


def command_of(container: Mapping[str, Any], parameters: Mapping[str, str]) -> tuple[str, ...]:
    """The command with each `Ref::name` argument replaced by the parameter, if the job has one of that name."""
    return tuple(
        parameters.get(word.removeprefix("Ref::"), word) if word.startswith("Ref::") else word
        for word in container.get("command") or ()
    )


def _require_acceptable(store: BatchStore, given: Mapping[str, Any]) -> None:
    for field in _UNSUPPORTED:
        if field in given:
            raise ClientException(f"the local account doesn't run jobs with {field}")
    require_retry_strategy(given.get("retryStrategy"))
    require_timeout(given.get("timeout"))
    size = (given.get("arrayProperties") or {}).get("size")
    if size is not None and not ARRAY_SIZE_MIN <= size <= ARRAY_SIZE_MAX:
        raise ClientException(f"arrayProperties.size must be {ARRAY_SIZE_MIN} to {ARRAY_SIZE_MAX}, got {size}")
    links = given.get("dependsOn") or []
    if len(links) > DEPENDENCIES_MAX:
        raise ClientException(f"a job depends on at most {DEPENDENCIES_MAX} jobs, got {len(links)}")
    for link in links:
        if link.get("jobId") and link["jobId"] not in store.jobs:
            raise ClientException(f"Job {link['jobId']} does not exist")


def _require_share(queue: JobQueue, given: Mapping[str, Any]) -> None:
    """Shared queues want to know whose job it is, others don't; here shares are told and not enforced."""
    shared = bool(queue.document.get("schedulingPolicyArn"))
    if shared and not given.get("shareIdentifier"):
        raise ClientException(f"shareIdentifier must be specified for the fair-share job queue {queue.name}")
    if not shared and given.get("shareIdentifier"):
        raise ClientException(f"shareIdentifier can't be specified for the job queue {queue.name}: it has no policy")


def _container(properties: Mapping[str, Any], overrides: Mapping[str, Any]) -> tuple[dict[str, Any], int, int]:
    """The container with overrides applied, its vCPUs and its memory in MiB."""
    container = copy.deepcopy(dict(properties))
    if overrides.get("command"):
        container["command"] = list(overrides["command"])
    container["environment"] = _merged(container, overrides, "environment", "name")
    container["resourceRequirements"] = _merged(container, overrides, "resourceRequirements", "type")
    needed = {one["type"]: one["value"] for one in container["resourceRequirements"]}
    vcpus = float(overrides.get("vcpus") or needed.get("VCPU") or container.get("vcpus") or 1)
    memory_mib = int(overrides.get("memory") or needed.get("MEMORY") or container.get("memory") or 0)
    if memory_mib < 4:
        raise ClientException(f"the job needs a MEMORY requirement of at least 4 MiB, got {memory_mib}")
    if vcpus < 1 or vcpus != int(vcpus):
        raise ClientException(f"on EC2 the VCPU requirement is a whole number of at least 1, got {vcpus:g}")
    return container, int(vcpus), memory_mib


def _merged(container: Mapping[str, Any], overrides: Mapping[str, Any], field: str, key: str) -> list[dict[str, str]]:
    entries = {one[key]: dict(one) for one in container.get(field) or []}
    entries |= {one[key]: dict(one) for one in overrides.get(field) or []}
    return list(entries.values())


def _child(parent: Job, index: int) -> Job:
    return Job(
        id=f"{parent.id}:{index}",
        name=parent.name,
        account=parent.account,
        region=parent.region,
        queue_arn=parent.queue_arn,
        definition_arn=parent.definition_arn,
        container=parent.container,
        vcpus=parent.vcpus,
        memory_mib=parent.memory_mib,
        attempts_max=parent.attempts_max,
        conditions=parent.conditions,
        timeout_s=parent.timeout_s,
        parameters=parent.parameters,
        depends_on=[],
        tags=parent.tags,
        propagate_tags=parent.propagate_tags,
        created_ms=parent.created_ms,
        share=parent.share,
        parent=parent,
        index=index,
    )
