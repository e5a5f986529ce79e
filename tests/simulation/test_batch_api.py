"""Claims about the simulated Batch: what clients are answered, and what events tell."""

import random
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError, ParamValidationError
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from simulation.cloud.batch_api import NOT_LISTED_YET
from simulation.cloud.batch_job import SimJobDefinition
from simulation.kernel.process import Process
from spotproof import contract
from spotproof.capacity.live_jobs import RunJobs
from spotproof.interruptions.eventbridge import JobStatus
from spotproof.retries import Retrier
from spotproof_cli.worker_jobs import WorkerJobs
from tests.simulation.batch_rig import exits, waits
from tests.simulation.cloud_rig import SPOT, Rig, recorded, shape

MODEL = ServiceModel(Loader().load_service_model("batch", "service-2"), "batch")


def conforms(operation: str, answer: Any) -> bool:
    """Whether the answer has the members and types of the API, and no others."""
    shape = MODEL.operation_model(operation).output_shape
    assert shape is not None
    report = ParamValidator().validate(answer, shape)
    assert not report.has_errors(), report.generate_report()
    return True


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
