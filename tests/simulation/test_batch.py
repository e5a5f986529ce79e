"""Claims about the simulated Batch: how jobs get places, how attempts end, and what Batch says about it."""

import random
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError, ParamValidationError
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from lambdas.job_state_change import end_of
from localcloud.batch.retry import Action, decide_retry
from localcloud.executor import TaskExit
from simulation.cloud.aws_event import ACCOUNT, moment_of
from simulation.cloud.batch_api import NOT_LISTED_YET
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
from spotproof.capacity.live_jobs import RunJobs
from spotproof.interruptions.eventbridge import JobStateChange, JobStatus, parse_job_state
from spotproof.retries import Retrier
from spotproof_cli.worker_jobs import WorkerJobs
from tests.simulation.cloud_rig import DAY_S, SPOT, STORM, Rig, Work, recorded, shape

MODEL = ServiceModel(Loader().load_service_model("batch", "service-2"), "batch")


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


def conforms(operation: str, answer: Any) -> bool:
    """Whether the answer has the members and types of the API, and no others."""
    shape = MODEL.operation_model(operation).output_shape
    assert shape is not None
    report = ParamValidator().validate(answer, shape)
    assert not report.has_errors(), report.generate_report()
    return True


# --- the way of a job --------------------------------------------------------------------------------------------


def test_a_job_goes_through_batchs_states_and_each_is_told() -> None:
    rig = Rig(work=exits(0))
    job = rig.finish(rig.submit())

    assert job.status is JobStatus.SUCCEEDED
    assert statuses(rig, job) == ["RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED"]
    assert rig.now_s > 60 + 40  # it ran, after its host had booted


def test_the_container_learns_who_it_is() -> None:
    rig = Rig()
    job = rig.submit_running()
    child = rig.submit(arrayProperties={"size": 2}).children[1]

    assert job.environment(3) == {
        "AWS_BATCH_JOB_ID": job.id,
        "AWS_BATCH_JOB_ATTEMPT": "3",
        "AWS_BATCH_JQ_NAME": "spot",
        "AWS_BATCH_CE_NAME": "spot-environment",
    }
    assert child.environment(1)["AWS_BATCH_JOB_ARRAY_INDEX"] == "1"
    assert child.environment(1)["AWS_BATCH_JOB_ARRAY_SIZE"] == "2"
    assert child.environment(1)["AWS_BATCH_JOB_ID"] == f"{child.parent.id if child.parent else ''}:1"


def test_parameters_are_those_of_the_definition_with_the_given_ones_over_them() -> None:
    job = Rig().submit(parameters={"input": "s3://b/"})

    assert job.parameters == {**dict.fromkeys(contract.JOB_PARAMETERS, contract.AUTO), "input": "s3://b/"}


def test_several_workers_share_an_instance_and_the_environment_stays_below_its_maximum_and_one_more() -> None:
    queue = SimQueue(name="spot", lifecycle=Lifecycle.SPOT, vcpus_max=8)
    for seed in range(10):
        rig = Rig(seed=seed, queues=(queue,), work=waits)
        rig.submit(arrayProperties={"size": 30})
        rig.run(3600)

        live = rig.fleet.live()
        largest = max(one.vcpus for one in live)
        assert len({instance for _, _, instance in rig.started}) < len(rig.started)
        assert 8 <= sum(one.vcpus for one in live) < 8 + largest
        assert len(rig.started) == sum(one.vcpus for one in live)


def test_waiting_jobs_get_the_room_that_others_leave() -> None:
    queue = SimQueue(name="spot", lifecycle=Lifecycle.SPOT, vcpus_max=1)
    rig = Rig(queues=(queue,), work=exits(0))

    parent = rig.finish(rig.submit(arrayProperties={"size": 30}))

    assert parent.status is JobStatus.SUCCEEDED
    assert len({instance for _, _, instance in rig.started}) == 1


def test_a_job_waits_for_capacity_and_starts_when_there_is_some() -> None:
    rig = Rig(work=exits(0))
    rig.market.begin_shortage(Lifecycle.SPOT, 3 * 3600)
    job = rig.submit()

    rig.run(3 * 3600 - 60)
    assert job.status is JobStatus.RUNNABLE
    rig.finish(job)
    assert rig.now_s < 3 * 3600 + 600


def test_a_shortage_of_spot_does_not_delay_on_demand() -> None:
    rig = Rig(work=exits(0))
    rig.market.begin_shortage(Lifecycle.SPOT, 3600)
    rig.submit()
    rig.run(8)
    asked_at = rig.now_s
    job = rig.submit(jobQueue="on-demand")

    assert rig.run(DAY_S, until=lambda: job.placed_on is not None)

    assert rig.now_s - asked_at < 4


def test_the_head_of_a_queue_waits_for_its_room_and_others_behind_it() -> None:
    definitions = (SimJobDefinition(name="fold"), SimJobDefinition(name="huge", vcpus=64))
    rig = Rig(work=exits(0), definitions=definitions)
    huge = rig.submit(jobDefinition="huge")
    rig.run(5)
    small = rig.submit()
    rig.run(3600)
    assert (huge.status, small.status) == ("RUNNABLE", "RUNNABLE")
    rig.api.cancel_job(jobId=huge.id, reason="can never run")

    assert rig.finish(small).status is JobStatus.SUCCEEDED


def test_a_lost_host_makes_room_for_a_new_one_at_once() -> None:
    queue = SimQueue(name="spot", lifecycle=Lifecycle.SPOT, vcpus_max=1)
    rig = Rig(queues=(queue,), work=waits)
    rig.submit(arrayProperties={"size": 20})
    rig.run(1800)
    rig.fleet.lose(rig.fleet.live()[0], "reclaimed")

    rig.run(2)

    assert len(rig.fleet.live()) == 1


def test_the_on_demand_queue_runs_on_on_demand_hosts() -> None:
    rig = Rig(work=exits(0))
    rig.finish(rig.submit(jobQueue="on-demand"))

    assert {one.lifecycle for one in rig.fleet.instances.values()} == {Lifecycle.ON_DEMAND}


def test_a_job_whose_host_dies_while_booting_waits_for_the_next() -> None:
    rig = Rig(work=exits(0))
    job = rig.submit()
    assert rig.run(DAY_S, until=lambda: job.placed_on is not None)
    assert job.placed_on is not None
    rig.fleet.lose(job.placed_on, "boot failed")

    rig.finish(job)

    assert job.status is JobStatus.SUCCEEDED
    assert len(job.past) == 1


# --- how attempts end --------------------------------------------------------------------------------------------

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


# --- arrays ------------------------------------------------------------------------------------------------------


def test_an_array_runs_all_its_children_and_fails_if_one_did() -> None:
    def work(process: Process, job: SimJob, _attempt: int) -> int:
        process.wait(60)
        return contract.EXIT_INPUT if job.index == 1 else 0

    rig = Rig(work=work)
    parent = rig.finish(rig.submit(arrayProperties={"size": 3}))

    assert [str(child.status) for child in parent.children] == ["SUCCEEDED", "FAILED", "SUCCEEDED"]
    assert parent.status is JobStatus.FAILED
    assert statuses(rig, parent) == ["PENDING", "FAILED"]
    assert told(rig, parent)[-1].is_array_parent
    child = told(rig, parent.children[1])[-1]
    assert (child.array_index, child.parent_job_id, child.is_array_parent) == (1, parent.id, False)


def test_terminating_an_array_terminates_its_children() -> None:
    rig = Rig(work=waits, queues=(SimQueue(name="spot", lifecycle=Lifecycle.SPOT, vcpus_max=1),))
    parent = rig.submit(arrayProperties={"size": 20})
    assert rig.run(DAY_S, until=lambda: any(child.status == "RUNNING" for child in parent.children))
    rig.api.terminate_job(jobId=parent.id, reason="enough")
    rig.finish(parent)

    assert {child.status for child in parent.children} == {JobStatus.FAILED}
    assert {kind_of(rig, child) for child in parent.children} == {WorkerEndKind.TERMINATED}
    assert parent.status_reason == "enough"


# --- what clients see --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "fixture"),
    [
        ("child", "batch_job_state_change.array_child_failed_attempts_exhausted.synth.json"),
        ("parent", "batch_job_state_change.array_parent_pending.synth.json"),
        ("single", "batch_job_state_change.failed_app_error.synth.json"),
    ],
)
def test_events_have_the_fields_of_real_ones(name: str, fixture: str) -> None:
    rig = Rig(work=exits(2))
    parent = rig.finish(rig.submit(arrayProperties={"size": 2}))
    single = rig.finish(rig.submit())
    job, status = {
        "child": (parent.children[0], "FAILED"),
        "parent": (parent, "PENDING"),
        "single": (single, "FAILED"),
    }[name]

    event = rig.bus.of(contract.DETAIL_BATCH_JOB_STATE, jobId=job.id, status=status)[0]
    wanted = recorded(fixture)

    assert shape({**event, "detail": {}}) == shape({**wanted, "detail": {}})
    missing = wanted["detail"].keys() - event["detail"].keys()
    assert missing <= {"startedAt", "stoppedAt", "statusReason"} if name == "parent" else not missing
    assert event["detail"].keys() - wanted["detail"].keys() <= {"timeout"}
    for field in ("jobArn", "jobQueue", "createdAt", "retryStrategy", "tags", "isCancelled", "arrayProperties"):
        if field in wanted["detail"] and field != "tags":
            assert type(event["detail"][field]) is type(wanted["detail"][field])
    assert event["resources"] == [event["detail"]["jobArn"]]


def test_answers_have_the_members_of_the_api_and_no_others() -> None:
    rig = Rig(work=exits(75, 0))
    submitted = rig.api.submit_job(jobName="a", jobQueue="spot", jobDefinition="fold", arrayProperties={"size": 2})
    rig.submit_running(tags={"a": "b"}, propagateTags=True)
    rig.finish(rig.batch.jobs[submitted["jobId"]])

    assert conforms("SubmitJob", submitted)
    jobs = rig.api.describe_jobs(jobs=list(rig.batch.jobs))["jobs"]
    # The model calls startedAt required; Batch leaves it out of what has not started (tests/events, RUNNABLE).
    assert conforms("DescribeJobs", {"jobs": [{"startedAt": 0, **job} for job in jobs]})
    for status in JobStatus:
        assert conforms("ListJobs", rig.api.list_jobs(jobQueue="spot", jobStatus=str(status)))
    assert conforms("ListJobs", rig.api.list_jobs(arrayJobId=submitted["jobId"], jobStatus="SUCCEEDED"))


def test_submitting_twice_gives_two_jobs() -> None:
    rig = Rig()

    assert rig.submit().id != rig.submit().id


def test_jobs_are_described_by_id_or_arn_a_hundred_at_a_time() -> None:
    rig = Rig()
    job = rig.submit()

    found = rig.api.describe_jobs(jobs=[job.arn, "no-such-job", job.id])["jobs"]

    assert [one["jobId"] for one in found] == [job.id, job.id]
    with pytest.raises(ClientError, match="at most 100"):
        rig.api.describe_jobs(jobs=[job.id] * 101)


def test_a_definition_may_be_named_with_and_without_revision_or_by_arn() -> None:
    rig = Rig()
    names = [
        rig.submit(jobDefinition=name).definition for name in ("fold", "fold:1", SimJobDefinition(name="fold").arn)
    ]

    assert len(set(map(id, names))) == 1
    assert rig.submit(jobQueue=SPOT.arn).queue is SPOT


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"jobQueue": "none"}, ClientError),
        ({"jobDefinition": "fold:2"}, ClientError),
        ({"jobName": "has space"}, ClientError),
        ({"arrayProperties": {"size": 1}}, ClientError),
        ({"arrayProperties": {"size": 10_001}}, ClientError),
        ({"clientToken": "x"}, ParamValidationError),
        ({"parameters": {"n": 1}}, ParamValidationError),
    ],
)
def test_what_batch_refuses_is_refused(given: dict[str, Any], error: type[Exception]) -> None:
    rig = Rig()

    with pytest.raises(error):
        rig.submit(**given)
    assert rig.batch.jobs == {}


def test_lists_come_in_pages_and_leave_children_to_their_parent() -> None:
    rig = Rig(page_max=3)
    singles = [rig.submit(jobName=f"job-{number}").id for number in range(7)]
    parent = rig.submit(arrayProperties={"size": 5})
    rig.run(2)

    found: list[str] = []
    token: dict[str, str] = {}
    while True:
        page = rig.api.list_jobs(jobQueue="spot", jobStatus="RUNNABLE", **token)
        assert len(page["jobSummaryList"]) <= 3
        found += [job["jobId"] for job in page["jobSummaryList"]]
        if "nextToken" not in page:
            break
        token = {"nextToken": page["nextToken"]}

    assert found == singles
    assert len(rig.api.list_jobs(arrayJobId=parent.id, jobStatus="RUNNABLE")["jobSummaryList"]) == 3
    with pytest.raises(ClientError):
        rig.api.list_jobs(jobQueue="spot", arrayJobId=parent.id)


def test_a_filter_finds_jobs_of_any_status_by_name() -> None:
    rig = Rig()
    ids = [rig.submit(jobName=name).id for name in ("alpha", "ALPHA-2", "beta")]

    def named(value: str) -> list[str]:
        answer = rig.api.list_jobs(jobQueue="spot", filters=[{"name": "JOB_NAME", "values": [value]}])
        return [job["jobId"] for job in answer["jobSummaryList"]]

    assert named("Alpha") == ids[:1]
    assert named("alpha*") == ids[:2]
    assert named("gamma") == []


def test_a_new_job_may_not_be_listed_yet() -> None:
    rig = Rig(rates={NOT_LISTED_YET: 1.0}, work=waits)
    job = rig.submit()

    def listed() -> int:
        given = [{"name": "JOB_NAME", "values": ["job"]}]
        return len(rig.api.list_jobs(jobQueue="spot", filters=given)["jobSummaryList"])

    assert listed() == 0
    rig.run(11)
    assert listed() == 1
    assert rig.api.describe_jobs(jobs=[job.id])["jobs"]


def test_cancelling_ends_who_waits_and_leaves_who_runs() -> None:
    rig = Rig(work=waits)
    running = rig.submit_running()
    waiting = rig.submit()
    for job in (running, waiting):
        rig.api.cancel_job(jobId=job.id, reason="not needed")

    rig.run(600)

    assert running.status == "RUNNING"
    assert waiting.status is JobStatus.FAILED
    assert kind_of(rig, waiting) is WorkerEndKind.CANCELLED
    assert rig.api.cancel_job(jobId="unknown", reason="x") == {}


def test_a_cancelled_job_gives_back_its_turn() -> None:
    rig = Rig(work=waits)
    rig.market.begin_shortage(Lifecycle.SPOT, 600)
    job = rig.submit()
    assert rig.run(DAY_S, until=lambda: job.status == "RUNNABLE")
    rig.api.cancel_job(jobId=job.id, reason="not needed")
    rig.run(3600)

    assert rig.started == []
    assert rig.fleet.instances == {}


def test_a_terminated_worker_is_told_as_a_persons_will() -> None:
    rig = Rig(work=waits)
    job = rig.submit_running()
    rig.api.terminate_job(jobId=job.id, reason="enough")
    rig.finish(job)

    assert job.status_reason == "enough"
    assert len(rig.sigterms) == 1
    assert kind_of(rig, job) is WorkerEndKind.TERMINATED
    assert len(rig.started) == 1


def test_a_job_terminated_while_its_image_is_pulled_never_starts() -> None:
    rig = Rig(work=waits)
    job = rig.submit()
    assert rig.run(DAY_S, until=lambda: job.status == "STARTING")
    rig.api.terminate_job(jobId=job.id, reason="enough")
    rig.run(600)

    assert job.status is JobStatus.FAILED
    assert rig.started == []


def test_a_job_terminated_while_its_host_boots_never_starts() -> None:
    rig = Rig(work=waits)
    job = rig.submit()
    assert rig.run(DAY_S, until=lambda: job.placed_on is not None)
    instance = job.placed_on
    assert instance is not None
    rig.api.terminate_job(jobId=job.id, reason="enough")
    rig.run(300)

    assert job.status is JobStatus.FAILED
    assert rig.started == []
    assert instance.vcpus_used == 0


def test_the_room_of_ended_jobs_is_free_again_and_idle_hosts_go() -> None:
    rig = Rig(work=exits(0))
    rig.finish(rig.submit(arrayProperties={"size": 6}))

    rig.run(1000)

    assert all(one.vcpus_used == 0 for one in rig.fleet.instances.values())
    assert rig.fleet.live() == []


def test_the_controller_and_the_command_line_find_a_runs_jobs() -> None:
    rig = Rig(work=exits(0), page_max=2)
    process = Process(rig.scheduler, name="p", kind="controller", rng=rig.rng, on_exit=lambda _: None)
    retrier = Retrier(clock=process.clock, rng=random.Random(1))
    batch = cast(Any, rig.api)
    live = RunJobs(batch=batch, queues=("spot", "on-demand"), retrier=retrier)
    workers = WorkerJobs(batch=batch, retrier=retrier, queues=("spot",))
    job_id = workers.submit(
        run_id="r", job="fold", definition="fold", workers=3, queue="spot", parameters={"run": "r"}, tags={}
    )

    assert live.has_live_job("r")
    assert not live.has_live_job("other")
    assert [job.job_id for job in workers.of_run("r")] == [job_id]
    rig.finish(rig.batch.jobs[job_id])
    assert not live.has_live_job("r")
    submission = live.submission_of(f"{job_id}:1")
    assert submission is not None
    assert submission.job_definition == SimJobDefinition(name="fold").arn
    assert workers.of_run("r")[0].by_status == {"SUCCEEDED": 3}


# --- whole worlds ------------------------------------------------------------------------------------------------


def storm(seed: int) -> Rig:
    rig = Rig(rates=STORM, seed=seed, work=exits(0))
    rig.scheduler.after(2 * 3600, lambda: setattr(rig.faults, "at_peace", True))
    parent = rig.submit(arrayProperties={"size": 8})
    rig.finish(parent)
    rig.run(2 * 3600)
    return rig


def test_in_any_storm_every_job_ends_no_room_is_lost_and_every_event_is_readable() -> None:
    for seed in range(40):
        rig = storm(seed)
        assert all(one.vcpus_used == 0 and not one.processes for one in rig.fleet.instances.values())
        assert rig.fleet.live() == []
        assert not any(process.alive for process in rig.containers)
        for job in rig.batch.jobs.values():
            assert told(rig, job)[-1].status == job.status
            assert len(job.past) <= 10


def test_the_same_seed_gives_the_same_storm() -> None:
    assert storm(5).trace.digest() == storm(5).trace.digest()
    assert storm(5).trace.digest() != storm(6).trace.digest()
