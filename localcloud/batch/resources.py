"""Compute environments, job queues, job definitions and scheduling policies."""

import uuid
from collections.abc import Callable, Sequence
from typing import Any

from localcloud.batch.infrastructure import SERVICE_LINKED_ROLE, replacing_changes, require_updatable
from localcloud.batch.parameters import ClientException, require_name, require_retry_strategy, require_timeout
from localcloud.batch.store import BatchStore, ComputeEnvironment, JobQueue, name_of
from localcloud.catalog import expand
from localcloud.ec2_records import Ec2Records

QUEUE_ENVIRONMENTS_MAX = 3
FARGATE_TYPES = ("FARGATE", "FARGATE_SPOT")
FARGATE_SETTINGS = {"type", "maxvCpus", "subnets", "securityGroupIds"}
VALID = {"status": "VALID", "statusReason": "ComputeEnvironment Healthy"}
_KEPT = (
    "containerProperties",
    "retryStrategy",
    "timeout",
    "parameters",
    "propagateTags",
    "platformCapabilities",
    "schedulingPriority",
    "tags",
)


class Resources:
    """The resource operations; each takes checked parameters and returns the API's answer."""

    def __init__(
        self,
        *,
        records: Ec2Records,
        retire: Callable[[ComputeEnvironment], None],
        renew: Callable[[ComputeEnvironment], None],
        is_renewing: Callable[[ComputeEnvironment], bool],
        end_jobs: Callable[[BatchStore, JobQueue], None],
        desired_vcpus: Callable[[ComputeEnvironment], int],
    ) -> None:
        self._records = records
        self._retire = retire
        self._renew = renew
        self._is_renewing = is_renewing
        self._end_jobs = end_jobs
        self._desired_vcpus = desired_vcpus

    # Compute environments.

    def create_compute_environment(self, store: BatchStore, given: dict[str, Any]) -> dict[str, Any]:
        name = require_name(given["computeEnvironmentName"], "computeEnvironmentName")
        if name in store.environments:
            raise ClientException(f"Object already exists: compute environment {name}")
        resources = dict(given.get("computeResources") or {})
        resources["type"] = str(resources.get("type", "")).upper()
        self._require_resources(store, str(given["type"]).upper(), resources)
        cluster = f"AWSBatch-{name}-{uuid.uuid4()}"
        arn = store.arn("compute-environment", name)
        document = {
            "computeEnvironmentName": name,
            "computeEnvironmentArn": arn,
            "ecsClusterArn": f"arn:aws:ecs:{store.region}:{store.account}:cluster/{cluster}",
            "type": "MANAGED",
            "state": str(given.get("state", "ENABLED")).upper(),
            **VALID,
            "computeResources": resources,
            "serviceRole": given.get("serviceRole") or _service_linked_role(store),
            "updatePolicy": given.get("updatePolicy") or {},
            "containerOrchestrationType": "ECS",
            "uuid": str(uuid.uuid4()),
            "tags": given.get("tags") or {},
        }
        store.environments[name] = ComputeEnvironment(
            name=name,
            account=store.account,
            region=store.region,
            cluster=cluster,
            document=document,
            template_version=self._template_version(store, resources),
        )
        return {"computeEnvironmentName": name, "computeEnvironmentArn": arn}

    def update_compute_environment(self, store: BatchStore, given: dict[str, Any]) -> dict[str, Any]:
        environment = store.environment(given["computeEnvironment"])
        changes = dict(given.get("computeResources") or {})
        merged = {**environment.resources, **changes, "type": environment.resources["type"]}
        self._require_resources(store, "MANAGED", merged)
        changed = replacing_changes(environment.resources, merged)
        role = str(given.get("serviceRole") or environment.document["serviceRole"])
        if changed and not environment.is_fargate:
            require_updatable(merged, service_role=role, changed=changed)
        environment.document["computeResources"] = merged
        environment.document |= VALID  # an update looks at everything anew
        for field in ("state", "serviceRole", "updatePolicy"):
            if field in given:
                environment.document[field] = given[field]
        if changed:
            environment.template_version = self._template_version(store, merged)
            self._renew(environment)
        return {"computeEnvironmentName": environment.name, "computeEnvironmentArn": environment.arn}

    def _require_fargate(self, store: BatchStore, resources: dict[str, Any]) -> None:
        """CreateComputeEnvironment of the Batch API: what is not applicable to Fargate is not to be specified."""
        unknown = sorted(resources.keys() - FARGATE_SETTINGS)
        if unknown:
            raise ClientException(f"computeResources of a Fargate environment can't have {', '.join(unknown)}")
        if not resources.get("securityGroupIds"):
            raise ClientException("computeResources of a Fargate environment must have securityGroupIds")
        self._require_subnets(store, resources)

    def _require_subnets(self, store: BatchStore, resources: dict[str, Any]) -> None:
        place = {"account": store.account, "region": store.region}
        missing = self._records.missing_subnets(**place, subnets=resources["subnets"])
        if missing:
            raise ClientException(f"the subnets do not exist: {', '.join(missing)}")

    def _template_version(self, store: BatchStore, resources: dict[str, Any]) -> str | None:
        place = {"account": store.account, "region": store.region}
        return self._records.template_version(**place, template=resources.get("launchTemplate") or {})

    def delete_compute_environment(self, store: BatchStore, given: dict[str, Any]) -> dict[str, Any]:
        environment = store.environments.get(name_of(given["computeEnvironment"]))
        if environment is None:
            return {}
        if any(environment.name in queue.environments for queue in store.queues.values()):
            raise ClientException("Cannot delete, found existing JobQueue relationship")
        if environment.is_enabled:
            raise ClientException("Cannot delete, state must be DISABLED")
        del store.environments[environment.name]
        self._retire(environment)
        return {}

    def describe_compute_environments(self, store: BatchStore, given: dict[str, Any]) -> dict[str, Any]:
        wanted = [name_of(one) for one in given.get("computeEnvironments") or []]
        shown = [self._described(one) for name, one in store.environments.items() if not wanted or name in wanted]
        return {"computeEnvironments": shown}

    def _described(self, environment: ComputeEnvironment) -> dict[str, Any]:
        resources = environment.resources | {"desiredvCpus": self._desired_vcpus(environment)}
        status = {"status": "UPDATING"} if environment.is_valid and self._is_renewing(environment) else {}
        return environment.document | {"computeResources": resources} | status

    def _require_resources(self, store: BatchStore, kind: str, resources: dict[str, Any]) -> None:
        if kind != "MANAGED" or resources["type"] not in ("EC2", "SPOT", *FARGATE_TYPES):
            raise ClientException(f"the local account runs MANAGED environments only, got {kind} {resources['type']}")
        if resources["type"] in FARGATE_TYPES:
            self._require_fargate(store, resources)
            return
        if not expand(resources.get("instanceTypes") or []):
            raise ClientException(f"none of the instance types exists here: {resources.get('instanceTypes')}")
        self._require_subnets(store, resources)
        place = {"account": store.account, "region": store.region}
        profile = resources.get("instanceRole")
        if self._records.role_of_profile(**place, profile=profile) is None:
            raise ClientException(f"instanceRole {profile} is not an instance profile with a role")

    # Job queues.

    def create_job_queue(self, store: BatchStore, given: dict[str, Any]) -> dict[str, Any]:
        name = require_name(given["jobQueueName"], "jobQueueName")
        if name in store.queues:
            raise ClientException(f"Object already exists: job queue {name}")
        order = given.get("computeEnvironmentOrder") or []
        self._require_order(store, order)
        arn = store.arn("job-queue", name)
        document = {
            "jobQueueName": name,
            "jobQueueArn": arn,
            "state": str(given.get("state", "ENABLED")).upper(),
            "status": "VALID",
            "statusReason": "JobQueue Healthy",
            "priority": given["priority"],
            "computeEnvironmentOrder": order,
            "jobQueueType": "ECS",
            "jobStateTimeLimitActions": given.get("jobStateTimeLimitActions") or [],
            "tags": given.get("tags") or {},
        }
        if given.get("schedulingPolicyArn"):
            document["schedulingPolicyArn"] = given["schedulingPolicyArn"]
        store.queues[name] = JobQueue(name=name, document=document)
        return {"jobQueueName": name, "jobQueueArn": arn}

    def update_job_queue(self, store: BatchStore, given: dict[str, Any]) -> dict[str, Any]:
        queue = store.queue(given["jobQueue"])
        if "computeEnvironmentOrder" in given:
            self._require_order(store, given["computeEnvironmentOrder"])
        fields = ("state", "priority", "computeEnvironmentOrder", "schedulingPolicyArn", "jobStateTimeLimitActions")
        queue.document.update({field: given[field] for field in fields if field in given})
        return {"jobQueueName": queue.name, "jobQueueArn": queue.arn}

    def delete_job_queue(self, store: BatchStore, given: dict[str, Any]) -> dict[str, Any]:
        queue = store.queues.get(name_of(given["jobQueue"]))
        if queue is None:
            return {}
        if queue.is_enabled:
            raise ClientException("Cannot delete, state must be DISABLED")
        queue.document["status"] = "DELETING"
        self._end_jobs(store, queue)
        return {}

    def describe_job_queues(self, store: BatchStore, given: dict[str, Any]) -> dict[str, Any]:
        wanted = [name_of(one) for one in given.get("jobQueues") or []]
        return {"jobQueues": [one.document for name, one in store.queues.items() if not wanted or name in wanted]}

    def _require_order(self, store: BatchStore, order: Sequence[dict[str, Any]]) -> None:
        if not 1 <= len(order) <= QUEUE_ENVIRONMENTS_MAX:
            raise ClientException(
                f"computeEnvironmentOrder must name 1 to {QUEUE_ENVIRONMENTS_MAX} environments, got {len(order)}"
            )
        for entry in order:
            store.environment(entry["computeEnvironment"])

    # Job definitions.

    def register_job_definition(self, store: BatchStore, given: dict[str, Any]) -> dict[str, Any]:
        name = require_name(given["jobDefinitionName"], "jobDefinitionName")
        if given["type"] != "container" or not given.get("containerProperties"):
            raise ClientException("the local account runs job definitions of type container with containerProperties")
        require_retry_strategy(given.get("retryStrategy"))
        require_timeout(given.get("timeout"))
        revisions = store.definitions.setdefault(name, [])
        revision = len(revisions) + 1
        arn = store.arn("job-definition", f"{name}:{revision}")
        revisions.append(
            {
                "jobDefinitionName": name,
                "jobDefinitionArn": arn,
                "revision": revision,
                "status": "ACTIVE",
                "type": "container",
                "containerOrchestrationType": "ECS",
                **{field: given[field] for field in _KEPT if field in given},
            }
        )
        return {"jobDefinitionName": name, "jobDefinitionArn": arn, "revision": revision}

    def deregister_job_definition(self, store: BatchStore, given: dict[str, Any]) -> dict[str, Any]:
        store.definition(given["jobDefinition"])["status"] = "INACTIVE"
        return {}

    def describe_job_definitions(self, store: BatchStore, given: dict[str, Any]) -> dict[str, Any]:
        shown = [one for revisions in store.definitions.values() for one in reversed(revisions)]
        if "jobDefinitionName" in given:
            name = name_of(given["jobDefinitionName"]).partition(":")[0]
            shown = [one for one in shown if one["jobDefinitionName"] == name]
        if "jobDefinitions" in given:
            wanted = {name_of(one) for one in given["jobDefinitions"]}
            shown = [one for one in shown if wanted & {name_of(one["jobDefinitionArn"]), one["jobDefinitionName"]}]
        if "status" in given:
            shown = [one for one in shown if one["status"] == given["status"]]
        return {"jobDefinitions": shown}

    # Scheduling policies.

    def create_scheduling_policy(self, store: BatchStore, given: dict[str, Any]) -> dict[str, Any]:
        name = require_name(given["name"], "name")
        if name in store.policies:
            raise ClientException(f"Object already exists: scheduling policy {name}")
        arn = store.arn("scheduling-policy", name)
        store.policies[name] = {**given, "arn": arn}
        return {"name": name, "arn": arn}

    def update_scheduling_policy(self, store: BatchStore, given: dict[str, Any]) -> dict[str, Any]:
        policy = store.policies.get(name_of(given["arn"]))
        if policy is None:
            raise ClientException(f"Object does not exist: {given['arn']}")
        policy["fairsharePolicy"] = given.get("fairsharePolicy")
        return {}

    def delete_scheduling_policy(self, store: BatchStore, given: dict[str, Any]) -> dict[str, Any]:
        store.policies.pop(name_of(given["arn"]), None)
        return {}

    def describe_scheduling_policies(self, store: BatchStore, given: dict[str, Any]) -> dict[str, Any]:
        names = [name_of(arn) for arn in given["arns"]]
        return {"schedulingPolicies": [store.policies[name] for name in names if name in store.policies]}

    def list_scheduling_policies(self, store: BatchStore, _given: dict[str, Any]) -> dict[str, Any]:
        return {"schedulingPolicies": [{"arn": one["arn"]} for one in store.policies.values()]}


def _service_linked_role(store: BatchStore) -> str:
    return f"arn:aws:iam::{store.account}:role/aws-service-role/batch.amazonaws.com/{SERVICE_LINKED_ROLE}"
