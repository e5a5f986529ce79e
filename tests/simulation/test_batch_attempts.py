"""Claims about the simulated Batch: how attempts end, what they end with, and which are made again."""

from typing import Any

import pytest

from localcloud.batch.retry import Action, decide_retry
from localcloud.executor import TaskExit
from simulation.cloud.batch_attempts import CANNOT_PULL, HOST_TOO, ContainerFate
from simulation.cloud.batch_job import SimJob, SimJobDefinition, SimQueue
from simulation.cloud.batch_retry import (
    DEPLOYED_CONDITIONS,
    OUT_OF_MEMORY,
    TIMED_OUT,
    AttemptEnd,
    host_gone,
    is_retried,
)
from simulation.cloud.instance import Lifecycle
from simulation.faults.calls import CallFault
from simulation.kernel.process import Process
from spotproof import contract
from spotproof.capacity.classify import WorkerEndKind
from spotproof.interruptions.eventbridge import JobStatus
from tests.simulation.batch_rig import exits, kind_of, told, waits
from tests.simulation.cloud_rig import DAY_S, Rig, recorded

ENDS = [
    AttemptEnd(exit_code=code, reason=reason, status_reason=status_reason)
    for code in (None, 1, 2, 75, 137, 143, 750)
    for reason in ("", OUT_OF_MEMORY, "CannotPullContainerError: x", "Other")
    for status_reason in ("Essential container in task exited", host_gone("i-0").status_reason, "Task failed to start")
]


@pytest.mark.parametrize(
    "conditions",
    [
        DEPLOYED_CONDITIONS,
        (),
        ({"action": "exit", "onExitCode": "1*"}, {"action": "retry", "onReason": "*"}),
        ({"action": "RETRY", "onStatusReason": "host ec2*", "onExitCode": "75"}, {"action": "EXIT", "onExitCode": "*"}),
    ],
)
def test_retries_are_decided_as_the_local_account_decides_them(conditions: Any) -> None:
    for end in ENDS:
        for made in (1, 9, 10):
            how = TaskExit(exit_code=end.exit_code, reason=end.reason or None, status_reason=end.status_reason)
            other = decide_retry(how=how, attempts_made=made, attempts_max=10, conditions=conditions)
            mine = is_retried(end, made=made, attempts_max=10, conditions=conditions)
            assert mine == (other.action is Action.RETRY), (end, made)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (contract.EXIT_UNEXPECTED, WorkerEndKind.UNKNOWN),
        (contract.EXIT_INPUT, WorkerEndKind.INPUT_ERROR),
        (contract.EXIT_CONFIGURATION, WorkerEndKind.CONFIGURATION_ERROR),
    ],
)
def test_a_worker_that_fails_is_not_tried_again(code: int, kind: WorkerEndKind) -> None:
    rig = Rig(work=exits(code))
    job = rig.finish(rig.submit())

    assert len(job.past) == 1
    assert kind_of(rig, job) is kind


def test_an_interrupted_worker_is_tried_again_ten_times_at_most() -> None:
    rig = Rig(work=exits(contract.EXIT_INTERRUPTED))
    job = rig.finish(rig.submit())

    assert [attempt for _, attempt, _ in rig.started] == list(range(1, 11))
    assert told(rig, job)[-1].attempts_max == 10
    assert kind_of(rig, job) is WorkerEndKind.INTERRUPTED


def test_a_reclaimed_host_is_reported_minutes_later_and_the_job_goes_to_the_front() -> None:
    queue = SimQueue(name="spot", lifecycle=Lifecycle.SPOT, vcpus_max=1)
    rig = Rig(queues=(queue,), work=waits)
    jobs = [rig.submit() for _ in range(30)]
    rig.run(1800)
    first = next(job for job in jobs if job.status == "RUNNING")
    assert first.attempt is not None
    instance = first.attempt.instance
    rig.fleet.lose(instance, "reclaimed")
    lost_at = rig.now_s

    assert rig.run(DAY_S, until=lambda: len(first.past) == 1)

    assert rig.now_s - lost_at > 30
    assert first.past[0]["statusReason"] == f"Host EC2 (instance {instance.id}) terminated."
    assert "exitCode" not in first.past[0]["container"]
    assert first.status == "RUNNABLE"
    assert first.order < min(job.order for job in jobs if job.status == "RUNNABLE" and not job.past)
    assert rig.run(DAY_S, until=lambda: first.status == "RUNNING")


def test_ten_reclaims_end_a_worker_through_no_fault_of_its_own() -> None:
    rig = Rig(work=waits)
    job = rig.submit()
    while not job.ended:
        assert rig.run(DAY_S, until=lambda: job.ended or job.status == "RUNNING")
        for instance in rig.fleet.live():
            rig.fleet.lose(instance, "reclaimed")
        rig.run(1200)

    assert len(job.past) == 10
    assert kind_of(rig, job) is WorkerEndKind.HOST_RECLAIMED


def test_out_of_memory_is_a_kill_with_batchs_words() -> None:
    rig = Rig(rates={ContainerFate.OUT_OF_MEMORY: 10.0}, work=waits)
    job = rig.finish(rig.submit())

    assert job.past[0]["container"]["exitCode"] == 137
    assert kind_of(rig, job) is WorkerEndKind.OUT_OF_MEMORY
    event = rig.bus.of(contract.DETAIL_BATCH_JOB_STATE, status="FAILED")[0]
    fixture = recorded("batch_job_state_change.failed_oom.synth.json")
    assert event["detail"]["attempts"][0]["container"].keys() == fixture["detail"]["attempts"][0]["container"].keys()
    assert event["detail"]["attempts"][0].keys() == fixture["detail"]["attempts"][0].keys()


def test_an_image_that_can_not_be_pulled_is_tried_again() -> None:
    rig = Rig(rates={CANNOT_PULL: 1.0}, work=exits(0))
    job = rig.submit()
    assert rig.run(DAY_S, until=lambda: len(job.past) == 2)
    rig.faults.at_peace = True
    rig.finish(job)

    assert job.status is JobStatus.SUCCEEDED
    assert job.past[0]["container"]["reason"].startswith("CannotPullContainerError:")
    assert "startedAt" not in job.past[0]
    assert len(rig.started) == len(job.past) - 2


def test_a_stopped_container_gets_sigterm_and_its_own_exit_code_decides() -> None:
    rig = Rig(rates={ContainerFate.STOPPED: 10.0}, work=waits)
    job = rig.submit()
    assert rig.run(DAY_S, until=lambda: len(job.past) == 1)
    rig.faults.at_peace = True

    assert job.past[0]["container"]["exitCode"] == 75
    assert job.status == "RUNNABLE"
    assert [job_id for job_id, _ in rig.sigterms] == [job.id]


@pytest.mark.parametrize("grace_s", [30.0, 110.0])
def test_who_does_not_heed_sigterm_is_killed_when_the_grace_is_over(grace_s: float) -> None:
    rig = Rig(work=waits, heeds_sigterm=False, stop_grace_s=grace_s)
    job = rig.submit_running()
    rig.api.terminate_job(jobId=job.id, reason="enough")
    rig.run(10)
    rig.api.terminate_job(jobId=job.id, reason="quickly")

    assert rig.run(DAY_S, until=lambda: not rig.containers[0].alive)

    assert len(rig.sigterms) == 1
    assert rig.now_s - rig.sigterms[0][1] == pytest.approx(grace_s)
    assert rig.containers[0].exit_code == 137


def test_sigterm_ends_a_program_that_does_not_listen_yet() -> None:
    rig = Rig(work=waits)
    rig.deaf_attempts = {2}
    rig.faults.rates = {ContainerFate.STOPPED: 10.0}
    job = rig.submit()
    assert rig.run(DAY_S, until=lambda: len(job.past) == 2)

    assert [attempt["container"]["exitCode"] for attempt in job.past] == [75, 143]
    assert len(rig.sigterms) == 1


def test_an_attempt_has_its_time_and_is_not_retried_after_it() -> None:
    rig = Rig(work=waits, definitions=(SimJobDefinition(name="fold", timeout_s=600),))
    job = rig.submit_running()
    started_s = rig.now_s
    rig.finish(job)

    assert rig.sigterms == [(job.id, started_s + 600)]
    assert job.status_reason == TIMED_OUT
    assert len(job.past) == 1
    assert kind_of(rig, job) is WorkerEndKind.TIMEOUT


def test_a_timeout_counts_from_each_attempts_start() -> None:
    rig = Rig(work=exits(75, 75, 0), definitions=(SimJobDefinition(name="fold", timeout_s=100),))
    job = rig.finish(rig.submit())

    assert job.status is JobStatus.SUCCEEDED
    assert rig.sigterms == []


def test_a_host_taken_for_lost_runs_on_and_its_end_counts_no_more() -> None:
    def work(process: Process, _job: SimJob, attempt: int) -> int:
        process.wait(3000.0 if attempt == 1 else 4000.0)
        return 0

    rig = Rig(rates={ContainerFate.TAKEN_FOR_LOST: 10.0}, work=work)
    job = rig.submit()
    assert rig.run(DAY_S, until=lambda: len(job.past) == 1)
    rig.faults.at_peace = True
    assert rig.run(DAY_S, until=lambda: job.status == "RUNNING")

    assert [one.alive for one in rig.containers] == [True, True]
    assert len({instance for _, _, instance in rig.started}) == 2
    assert job.past[0]["statusReason"].startswith("Host EC2 (instance ")
    assert rig.run(DAY_S, until=lambda: not rig.containers[0].alive)
    rig.run(60)
    assert job.status == "RUNNING"
    rig.finish(job)
    assert len(job.past) == 2


def test_a_planned_kill_may_be_the_end_of_the_host() -> None:
    for rate, host_too in ((1.0, True), (0.0, False)):
        rig = Rig(rates={HOST_TOO: rate}, work=waits)
        job = rig.submit_running()
        rig.containers[0].kill(CallFault.KILLED_AFTER)
        assert rig.run(DAY_S, until=lambda job=job: bool(job.past))  # type: ignore[misc]
        assert job.past[0]["statusReason"].startswith("Host EC2") == host_too
        assert job.past[0]["container"].get("exitCode") == (None if host_too else 137)


def test_a_host_lost_before_the_container_started_ends_the_attempt() -> None:
    rig = Rig(work=waits)
    job = rig.submit()
    assert rig.run(DAY_S, until=lambda: job.status == "STARTING")
    assert job.attempt is not None
    lost = job.attempt.instance
    rig.fleet.lose(lost, "reclaimed")
    assert rig.run(DAY_S, until=lambda: job.status == "RUNNING")

    assert job.past[0]["statusReason"].startswith("Host EC2")
    assert "startedAt" not in job.past[0]
    assert [instance != lost.id for _, _, instance in rig.started] == [True]


def test_an_exit_that_was_reported_counts_although_the_host_is_lost_then() -> None:
    rig = Rig(work=exits(0))
    job = rig.submit_running()
    assert rig.run(DAY_S, until=lambda: not rig.containers[0].alive)
    rig.run(0.000001)
    for instance in rig.fleet.live():
        rig.fleet.lose(instance, "reclaimed")
    rig.finish(job)

    assert job.status is JobStatus.SUCCEEDED
