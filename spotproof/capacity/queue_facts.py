"""Reads what is known of a job queue: its environments, how big their types are, and what EC2 refused."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from botocore.exceptions import ClientError

from spotproof.capacity.instance_sizes import InstanceSizes
from spotproof.capacity.launch_failures import LaunchFailures, ScalingClient
from spotproof.capacity.waiting_facts import EnvironmentFacts, InstanceSize, QueueFacts
from spotproof.clock import Clock
from spotproof.errors import AwsError
from spotproof.retries import Retrier, as_aws_error, error_code

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient
    from mypy_boto3_ec2 import EC2Client

T = TypeVar("T")
_SPOT_TYPES: Final = ("SPOT", "FARGATE_SPOT")
_ENVIRONMENTS_MAX: Final = 3  # of a queue (Batch service quotas)


class QueueReader:
    """Four requests a queue, three once the types' sizes are known.

    Needs batch:DescribeJobQueues and batch:DescribeComputeEnvironments. Without autoscaling:DescribeScalingActivities or
    ec2:DescribeInstanceTypes the facts say what is missing.
    """

    def __init__(
        self, *, batch: "BatchClient", ec2: "EC2Client", scaling: ScalingClient, retrier: Retrier, clock: Clock
    ) -> None:
        self._batch = batch
        self._retrier = retrier
        self._sizes = InstanceSizes(ec2=ec2, retrier=retrier)
        self._launches = LaunchFailures(scaling=scaling, clock=clock, retrier=retrier)

    def read(self, queue: str) -> QueueFacts:
        """The queue with this name or ARN.

        Raises:
            AwsError: Batch refused, stayed unavailable, or has no such queue.
        """
        answer = self._batch_says("looking at the job queue", self._batch.describe_job_queues, jobQueues=[queue])
        if not answer["jobQueues"]:
            raise AwsError(f"Batch has no job queue {queue}: is the stack deployed in this region?")
        described = answer["jobQueues"][0]
        environments = self._environments(described["computeEnvironmentOrder"])
        unread: list[str] = []
        failures = _optional(
            unread,
            "autoscaling:DescribeScalingActivities",
            lambda: self._launches.by_environment(each["computeEnvironmentName"] for each in environments),
        )
        facts = [
            _environment(each, sizes=self._sizes_of(each, unread), failures=failures or {}) for each in environments
        ]
        return QueueFacts(
            name=described["jobQueueName"],
            state=described["state"],
            status=described.get("status", "VALID"),
            environments=tuple(facts),
            cancel_after_s={
                limit["reason"]: limit["maxTimeSeconds"] for limit in described.get("jobStateTimeLimitActions", [])
            },
            unread=tuple(dict.fromkeys(unread)),
        )

    def _environments(self, order: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """In the order in which they are tried."""
        arns = [each["computeEnvironment"] for each in sorted(order, key=lambda each: int(each["order"]))]
        if not arns:
            return []
        answer = self._batch_says(
            "looking at compute environments",
            self._batch.describe_compute_environments,
            computeEnvironments=arns[:_ENVIRONMENTS_MAX],
        )
        return sorted(answer["computeEnvironments"], key=lambda each: arns.index(each["computeEnvironmentArn"]))

    def _sizes_of(self, environment: Mapping[str, Any], unread: list[str]) -> tuple[InstanceSize, ...]:
        types = environment.get("computeResources", {}).get("instanceTypes", [])
        return _optional(unread, "ec2:DescribeInstanceTypes", lambda: self._sizes.of_types(types)) or ()

    def _batch_says(self, doing: str, request: Any, **parameters: Any) -> Any:
        try:
            return self._retrier.call(doing, request, **parameters)
        except ClientError as error:
            raise as_aws_error(error, doing=doing) from error


def _optional(unread: list[str], action: str, read: Callable[[], T]) -> T | None:
    """What AWS tells, or None and a note that it would not: an explanation with less in it beats none."""
    try:
        return read()
    except (AwsError, ClientError) as error:
        unread.append(f"{action} ({error_code(error.__cause__ or error)})")
        return None


def _environment(
    described: Mapping[str, Any], *, sizes: tuple[InstanceSize, ...], failures: Mapping[str, tuple[str, ...]]
) -> EnvironmentFacts:
    resources = described.get("computeResources", {})
    return EnvironmentFacts(
        name=described["computeEnvironmentName"],
        state=described.get("state", "ENABLED"),
        status=described.get("status", "VALID"),
        status_reason=described.get("statusReason", ""),
        is_spot=resources.get("type") in _SPOT_TYPES,
        vcpus_max=resources.get("maxvCpus", 0),
        vcpus_desired=resources.get("desiredvCpus", 0),
        sizes=sizes,
        launch_failures=failures.get(described["computeEnvironmentName"], ()),
    )
