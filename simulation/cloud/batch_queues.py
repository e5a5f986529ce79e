"""What Batch tells about its queues and their compute environments."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from simulation.cloud.aws_event import epoch_ms
from simulation.cloud.batch_job import SimJob, SimQueue
from simulation.cloud.fleet import Fleet
from simulation.cloud.instance import Lifecycle
from simulation.kernel.scheduler import Scheduler
from spotproof.interruptions.eventbridge import JobStatus

FRONT_MAX: Final = 100  # jobs of a snapshot
STUCK_S: Final = 600  # of stacks.fleet
_KINDS: Final = {Lifecycle.SPOT: "SPOT", Lifecycle.ON_DEMAND: "EC2"}
_CANCELLED: Final = (
    "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE",
    "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",
)  # reasons for which the deployed queues cancel: never for want of capacity


class QueueViews:
    """Reads of the Batch client that are about queues. Callers check parameters."""

    def __init__(
        self,
        *,
        scheduler: Scheduler,
        fleet: Fleet,
        queues: Mapping[str, SimQueue],
        jobs: Callable[[], Iterable[SimJob]],
    ) -> None:
        self._scheduler = scheduler
        self._fleet = fleet
        self._queues = queues
        self._jobs = jobs

    def front(self, queue: SimQueue) -> dict[str, Any]:
        """GetJobQueueSnapshot: RUNNABLE jobs, children of arrays among them, the next one first."""
        waiting = [job for job in self._jobs() if job.queue is queue and job.status is JobStatus.RUNNABLE]
        ordered = sorted(waiting, key=lambda job: job.order)[:FRONT_MAX]
        now = epoch_ms(self._scheduler.now)
        jobs = [{"jobArn": job.arn, "earliestTimeAtPosition": epoch_ms(job.created_at)} for job in ordered]
        return {"frontOfQueue": {"jobs": jobs, "lastUpdatedAt": now}}

    def queues(self, names: Sequence[str]) -> dict[str, Any]:
        """DescribeJobQueues: unknown names are left out."""
        return {"jobQueues": [self._queue(self._queues[name]) for name in names if name in self._queues]}

    def environments(self, names: Sequence[str]) -> dict[str, Any]:
        """DescribeComputeEnvironments: unknown names are left out."""
        known = {queue.environment: queue for queue in self._queues.values()}
        return {"computeEnvironments": [self._environment(known[name]) for name in names if name in known]}

    def _queue(self, queue: SimQueue) -> dict[str, Any]:
        limits = [
            {"reason": reason, "state": "RUNNABLE", "maxTimeSeconds": STUCK_S, "action": "CANCEL"}
            for reason in _CANCELLED
        ]
        return {
            "jobQueueName": queue.name,
            "jobQueueArn": queue.arn,
            "state": "ENABLED",
            "status": "VALID",
            "statusReason": "JobQueue Healthy",
            "priority": 1,
            "computeEnvironmentOrder": [{"order": 1, "computeEnvironment": queue.environment_arn}],
            "jobStateTimeLimitActions": limits,
        }

    def _environment(self, queue: SimQueue) -> dict[str, Any]:
        live = [each for each in self._fleet.live() if each.environment == queue.environment]
        return {
            "computeEnvironmentName": queue.environment,
            "computeEnvironmentArn": queue.environment_arn,
            "type": "MANAGED",
            "state": "ENABLED",
            "status": "VALID",
            "statusReason": "ComputeEnvironment Healthy",
            "computeResources": {
                "type": _KINDS[queue.lifecycle],
                "minvCpus": 0,
                "maxvCpus": queue.vcpus_max,
                "desiredvCpus": sum(each.vcpus for each in live),
                "instanceTypes": list(self._fleet.types),
                "subnets": ["subnet-00000000000000001"],
            },
        }
