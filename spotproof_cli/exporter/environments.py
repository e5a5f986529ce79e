"""The compute environments of the deployment's queues, as Batch describes them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from spotproof.leases.model import CapacityClass
from spotproof.retries import Retrier, as_aws_error

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """One of them."""

    name: str
    lifecycle: CapacityClass
    vcpus_desired: int
    vcpus_max: int
    is_usable: bool  # Batch places jobs in it


class Environments:
    """Two requests; needs batch:DescribeJobQueues and batch:DescribeComputeEnvironments."""

    def __init__(self, *, batch: "BatchClient", queues: Mapping[str, CapacityClass], retrier: Retrier) -> None:
        self._batch = batch
        self._queues = queues
        self._retrier = retrier

    def read(self) -> tuple[Environment, ...]:
        """All of them.

        Raises:
            AwsError: Batch refused or stayed unavailable.
        """
        answer = self._call("looking at job queues", self._batch.describe_job_queues, jobQueues=list(self._queues))
        lifecycles = {
            order["computeEnvironment"]: self._queues[queue["jobQueueName"]]
            for queue in answer["jobQueues"]
            for order in queue["computeEnvironmentOrder"]
        }
        if not lifecycles:
            return ()
        described = self._call(
            "looking at compute environments",
            self._batch.describe_compute_environments,
            computeEnvironments=list(lifecycles),
        )
        return tuple(
            _environment(each, lifecycles[each["computeEnvironmentArn"]]) for each in described["computeEnvironments"]
        )

    def _call(self, doing: str, request: Any, **parameters: Any) -> Any:
        try:
            return self._retrier.call(doing, request, **parameters)
        except ClientError as error:
            raise as_aws_error(error, doing=doing) from error


def _environment(described: Mapping[str, Any], lifecycle: CapacityClass) -> Environment:
    resources = described.get("computeResources", {})
    return Environment(
        name=described["computeEnvironmentName"],
        lifecycle=lifecycle,
        vcpus_desired=resources.get("desiredvCpus", 0),
        vcpus_max=resources.get("maxvCpus", 0),
        is_usable=described.get("state") == "ENABLED" and described.get("status") in ("VALID", "UPDATING"),
    )
