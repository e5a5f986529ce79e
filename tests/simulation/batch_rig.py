"""What the tests of the simulated Batch share: work for containers, and what Batch told about a job."""

from lambdas.job_state_change import end_of
from simulation.cloud.aws_event import ACCOUNT, moment_of
from simulation.cloud.batch_job import SimJob
from simulation.kernel.process import Process
from spotproof import contract
from spotproof.capacity.classify import WorkerEndKind
from spotproof.interruptions.eventbridge import JobStateChange, JobStatus, parse_job_state
from tests.simulation.cloud_rig import Rig, Work


def exits(*codes: int) -> Work:
    """The n-th attempt ends with the n-th code, later ones with the last."""

    def work(process: Process, _job: SimJob, attempt: int) -> int:
        process.wait(60)
        return codes[min(attempt, len(codes)) - 1]

    return work


def waits(process: Process, _job: SimJob, _attempt: int) -> int:
    process.wait(None)
    return 0


def told(rig: Rig, job: SimJob) -> list[JobStateChange]:
    """The job's events as the product reads them."""
    now = moment_of(rig.scheduler.now)
    events = rig.bus.of(contract.DETAIL_BATCH_JOB_STATE, jobId=job.id)
    return [parse_job_state(event, account=ACCOUNT, now=now) for event in events]


def statuses(rig: Rig, job: SimJob) -> list[str]:
    return [str(change.status) for change in told(rig, job)]


def kind_of(rig: Rig, job: SimJob) -> WorkerEndKind:
    """What the product makes of the job's end."""
    last = told(rig, job)[-1]
    assert last.status is JobStatus.FAILED
    return end_of(last).kind
