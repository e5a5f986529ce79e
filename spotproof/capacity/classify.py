"""Why a worker's Batch job ended, and whether another worker should take its place."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from spotproof import contract


class WorkerEndKind(StrEnum):
    HOST_RECLAIMED = "host-reclaimed"  # the host vanished under the container
    INTERRUPTED = "interrupted"  # the worker saw a stop and let go in time
    OUT_OF_MEMORY = "out-of-memory"  # the next attempt gets more: capacity/memory.py
    KILLED = "killed"  # by SIGKILL from nobody knows where; a shard that does it is quarantined after `losses_max`
    IMAGE_PULL = "image-pull"
    TIMEOUT = "timeout"  # of the Batch job; never retried by Batch
    CANCELLED = "cancelled"  # before it started, by a person
    UNPLACED = "unplaced"  # before it started, by its queue: it fitted no host for as long as the queue allows
    TERMINATED = "terminated"  # by a person
    INPUT_ERROR = "input-error"
    CONFIGURATION_ERROR = "configuration-error"
    UNKNOWN = "unknown"

    @property
    def replaceable(self) -> bool:
        """Whether nothing says that the worker did wrong, so that one more of its kind has every chance."""
        return self in (WorkerEndKind.HOST_RECLAIMED, WorkerEndKind.INTERRUPTED, WorkerEndKind.KILLED)

    @property
    def needs_a_person(self) -> bool:
        """Whether something is wrong that neither Spot nor a person did, and that we don't mend by ourselves."""
        return self in (
            WorkerEndKind.IMAGE_PULL,
            WorkerEndKind.TIMEOUT,
            WorkerEndKind.UNPLACED,
            WorkerEndKind.INPUT_ERROR,
            WorkerEndKind.CONFIGURATION_ERROR,
            WorkerEndKind.UNKNOWN,
        )

    @property
    def holds_replacements(self) -> bool:
        """Whether new workers would be against a person's will, or bound to end the same way."""
        return self in (
            WorkerEndKind.TERMINATED,
            WorkerEndKind.CANCELLED,
            WorkerEndKind.UNPLACED,
            WorkerEndKind.INPUT_ERROR,
            WorkerEndKind.CONFIGURATION_ERROR,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerEnd:
    kind: WorkerEndKind
    reason: str  # what Batch said that led here


# What Batch and ECS write, lower case, the way evaluateOnExit compares (AWS Batch user guide, job_states and
# troubleshooting pages; the reclaim text is quoted by awslabs/ec2-spot-workshops and seqeralabs/nextflow).
RECLAIM_PREFIXES: Final = ("host ec2", "your spot task")  # of an instance, and of a Fargate Spot task
PULL_PREFIXES: Final = ("cannotpullcontainererror", "cannotpullimage")
MEMORY_PREFIX: Final = "outofmemoryerror"
TIME_LIMIT_PREFIX: Final = "canceled by jobstatetimelimit"  # of a queue's jobStateTimeLimitActions
TIMEOUT_PREFIX: Final = "job attempt duration exceeded timeout"
_BY_EXIT_CODE: Final = {
    contract.EXIT_INTERRUPTED: WorkerEndKind.INTERRUPTED,
    contract.EXIT_INPUT: WorkerEndKind.INPUT_ERROR,
    contract.EXIT_CONFIGURATION: WorkerEndKind.CONFIGURATION_ERROR,
    contract.EXIT_KILLED: WorkerEndKind.KILLED,
}


def classify_worker_end(
    *, exit_code: int | None, reason: str, status_reason: str, job_reason: str, cancelled: bool, terminated: bool
) -> WorkerEnd:
    """Why a FAILED worker ended, from its last attempt.

    A person's will comes first: a terminated job often ends with our own "interrupted" code, because SIGTERM made the
    worker let go. The host's end comes before exit codes: there is none when the host vanished.

    Args:
        exit_code: of the last attempt's container; None if it never reported one.
        reason: of the last attempt's container.
        status_reason: of the last attempt.
        job_reason: statusReason of the job: of a job without attempts, and what a person or a time-out gave as reason.
        cancelled, terminated: isCancelled and isTerminated of the job.
    """
    said = (
        "; ".join(text for text in dict.fromkeys((job_reason, status_reason, reason)) if text) or "Batch gave no reason"
    )
    if terminated:
        return WorkerEnd(kind=WorkerEndKind.TERMINATED, reason=said)
    if job_reason.lower().startswith(TIME_LIMIT_PREFIX):
        return WorkerEnd(kind=WorkerEndKind.UNPLACED, reason=said)
    if cancelled:
        return WorkerEnd(kind=WorkerEndKind.CANCELLED, reason=said)
    lowered = (job_reason.lower(), status_reason.lower(), reason.lower())
    for prefixes, kind in (
        (RECLAIM_PREFIXES, WorkerEndKind.HOST_RECLAIMED),
        ((TIMEOUT_PREFIX,), WorkerEndKind.TIMEOUT),
        (PULL_PREFIXES, WorkerEndKind.IMAGE_PULL),
        ((MEMORY_PREFIX,), WorkerEndKind.OUT_OF_MEMORY),
    ):
        if any(text.startswith(prefixes) for text in lowered):
            return WorkerEnd(kind=kind, reason=said)
    if exit_code is None:
        return WorkerEnd(kind=WorkerEndKind.UNKNOWN, reason=f"no exit code: {said}")
    kind = _BY_EXIT_CODE.get(exit_code, WorkerEndKind.UNKNOWN)
    return WorkerEnd(kind=kind, reason=f"exit code {exit_code}: {said}")
