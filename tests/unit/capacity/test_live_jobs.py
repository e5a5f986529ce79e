"""A run's Batch jobs, read from moto's Batch."""

import random
from collections.abc import Iterator
from typing import Any, cast

import boto3
import pytest
from moto import mock_aws

from spotproof.capacity.live_jobs import CANCELLED_BY_US, JOBS_READ_MAX, RunJobs, run_of_job
from spotproof.retries import Retrier
from tests.fakes.clock import FakeClock

QUEUES = ("spot", "on-demand")


@pytest.fixture
def batch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws(config={"batch": {"use_docker": False}}):
        client = boto3.client("batch", region_name="us-east-1")
        role = boto3.client("iam", region_name="us-east-1").create_role(RoleName="r", AssumeRolePolicyDocument="{}")
        environment = client.create_compute_environment(
            computeEnvironmentName="compute", type="UNMANAGED", state="ENABLED", serviceRole=role["Role"]["Arn"]
        )
        for queue in QUEUES:
            client.create_job_queue(
                jobQueueName=queue, state="ENABLED", priority=1,
                computeEnvironmentOrder=[{"order": 1, "computeEnvironment": environment["computeEnvironmentArn"]}],
            )  # fmt: skip
        client.register_job_definition(
            jobDefinitionName="spotproof-x", type="container", parameters={"run": "auto"},
            containerProperties={"image": "busybox", "command": ["true"], "memory": 128, "vcpus": 1},
        )  # fmt: skip
        yield client


class WaitingForever:
    """moto's jobs finish on their own; this shows them all as RUNNABLE."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def list_jobs(self, *, jobQueue: str, jobStatus: str) -> Any:  # noqa: N803
        if jobStatus != "RUNNABLE":
            return {"jobSummaryList": []}
        everything: list[Any] = []
        for status in ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED"):
            everything += self.inner.list_jobs(jobQueue=jobQueue, jobStatus=status)["jobSummaryList"]
        return {"jobSummaryList": everything}

    def describe_jobs(self, *, jobs: list[str]) -> Any:
        return self.inner.describe_jobs(jobs=jobs)


class TooMany:
    """A queue with an endless number of other people's jobs."""

    def list_jobs(self, *, jobQueue: str, jobStatus: str, nextToken: str = "0") -> Any:  # noqa: N803
        jobs = [{"jobId": f"{nextToken}-{position}"} for position in range(100)]
        return {"jobSummaryList": jobs, "nextToken": str(int(nextToken) + 1)}

    def describe_jobs(self, *, jobs: list[str]) -> Any:
        raise AssertionError("more jobs than are worth describing")


def run_jobs(client: object) -> RunJobs:
    return RunJobs(batch=cast(Any, client), queues=QUEUES, retrier=Retrier(clock=FakeClock(), rng=random.Random(1)))


def submit(batch: Any, *, queue: str, run: str | None = None) -> str:
    parameters = {} if run is None else {"run": run, "input": "s3://b/i"}
    job_id: str = batch.submit_job(
        jobName="w", jobQueue=queue, jobDefinition="spotproof-x", parameters=parameters
    )["jobId"]  # fmt: skip
    return job_id


@pytest.mark.parametrize("queue", QUEUES)
def test_a_waiting_job_of_the_run_in_either_queue_counts_and_others_do_not(batch: Any, queue: str) -> None:
    submit(batch, queue=queue, run="mine")

    assert run_jobs(WaitingForever(batch)).has_live_job("mine")
    assert not run_jobs(WaitingForever(batch)).has_live_job("other")


def test_no_jobs_at_all_is_no_live_job(batch: Any) -> None:
    assert not run_jobs(batch).has_live_job("mine")


def test_in_a_queue_too_long_to_read_a_job_of_the_run_is_assumed() -> None:
    assert run_jobs(TooMany()).has_live_job("mine")


def test_a_worker_can_be_submitted_again_as_it_was(batch: Any) -> None:
    job_id = submit(batch, queue="spot", run="mine")

    submission = run_jobs(batch).submission_of(f"{job_id}:3")

    assert submission is not None
    assert (submission.job_name, submission.parameters["input"]) == ("w", "s3://b/i")
    assert submission.job_definition.endswith(":job-definition/spotproof-x:1")
    assert submission.job_queue.endswith("job-queue/spot")


def test_a_job_that_batch_has_forgotten_can_not(batch: Any) -> None:
    assert run_jobs(batch).submission_of("11111111-2222-3333-4444-555555555555") is None


def test_what_batch_says_of_a_job_is_read_and_of_a_forgotten_one_nothing(batch: Any) -> None:
    job_id = submit(batch, queue="spot", run="mine")

    described = run_jobs(batch).described(job_id)

    assert described is not None
    assert (described["jobId"], described["parameters"]["run"]) == (job_id, "mine")
    assert run_jobs(batch).described("11111111-2222-3333-4444-555555555555") is None


def test_a_worker_of_an_auto_run_belongs_to_the_run_of_its_parents_id() -> None:
    assert run_of_job({"run": "auto"}, parent_job_id="abc") == "abc"
    assert run_of_job({}, parent_job_id="abc") == "abc"
    assert run_of_job({"run": "x"}, parent_job_id="abc") == "x"


class Told:
    """Batch with these jobs (JobDetail); a job may be listed under more than one status while it moves on."""

    def __init__(self, *jobs: dict[str, Any], also_listed: dict[str, str] | None = None) -> None:
        self.jobs = {job["jobId"]: job for job in jobs}
        self.also_listed = also_listed or {}
        self.calls: list[str] = []
        self.cancelled: list[dict[str, str]] = []

    def list_jobs(self, *, jobQueue: str, jobStatus: str) -> Any:  # noqa: N803
        self.calls.append("list")
        found = [
            job for job in self.jobs.values()
            if job["jobQueue"].endswith(f"/{jobQueue}") and jobStatus in (job["status"], self.also_listed.get(job["jobId"]))
        ]  # fmt: skip
        return {"jobSummaryList": [{"jobId": job["jobId"]} for job in found]}

    def describe_jobs(self, *, jobs: list[str]) -> Any:
        self.calls.append("describe")
        return {"jobs": [self.jobs[job_id] for job_id in jobs if job_id in self.jobs]}

    def cancel_job(self, **given: str) -> Any:
        self.cancelled.append(given)
        return {}


def detail(job_id: str, *, status: str = "RUNNABLE", queue: str = "spot", run: str = "mine", **more: Any) -> Any:
    return {
        "jobId": job_id, "jobName": "w", "jobQueue": f"arn:aws:batch:r:0:job-queue/{queue}", "status": status,
        "jobDefinition": "d:1", "parameters": {"run": run}, "createdAt": 1_000,
        "tags": {"team": "x", "resourceArn": "arn", "aws:batch:q": "y"},
        "container": {"resourceRequirements": [{"type": "MEMORY", "value": "1800"}]}, **more,
    }  # fmt: skip


def array(job_id: str, size: int, **counts: int) -> Any:
    return detail(job_id, status="PENDING", arrayProperties={"size": size, "statusSummary": counts})


def test_one_reading_tells_every_runs_workers_and_how_far_they_are() -> None:
    told = Told(
        array("a", 10, RUNNABLE=3, STARTING=1, RUNNING=4, SUCCEEDED=2),
        detail("b", status="RUNNING", queue="on-demand"),
        detail("c", run="other"),
        array("over", 2, SUCCEEDED=2),
    )

    live = run_jobs(told).read()

    [mine, bought] = live.of_run("mine")
    assert (mine.waiting, mine.starting, mine.running, mine.live) == (3, 1, 4, 8)
    assert (mine.submission.workers, mine.submission.memory_mib, mine.submission.tags) == (10, 1800, {"team": "x"})
    assert (bought.queue, bought.running) == ("on-demand", 1)
    assert live.of_run("mine", queue="on-demand") == (bought,)
    assert not live.truncated
    assert sorted(job.job_id for job in live.jobs) == ["a", "b", "c"]


def test_a_reading_takes_five_requests_a_queue_and_one_for_a_hundred_jobs() -> None:
    told = Told(*(detail(f"j{number}") for number in range(150)))

    assert len(run_jobs(told).read().jobs) == 150
    assert (told.calls.count("list"), told.calls.count("describe")) == (10, 2)


def test_a_job_that_moves_on_meanwhile_counts_once() -> None:
    told = Told(detail("a", status="STARTING"), also_listed={"a": "RUNNABLE"})

    assert [job.job_id for job in run_jobs(told).read().jobs] == ["a"]


def test_a_queue_too_long_to_read_is_said_to_be() -> None:
    told = Told(*(detail(f"j{number}") for number in range(JOBS_READ_MAX + 1)))

    live = run_jobs(told).read()

    assert live.truncated == {"spot"}
    assert len(live.jobs) == JOBS_READ_MAX


@pytest.mark.parametrize(
    ("status", "waits"), [("RUNNABLE", True), ("SUBMITTED", True), ("STARTING", False), ("FAILED", False)]
)
def test_a_job_waits_until_it_is_given_a_host(status: str, waits: bool) -> None:
    told = Told(detail("a:3", status=status))

    assert run_jobs(told).waits("a:3") is waits
    assert not run_jobs(told).waits("forgotten")


def test_what_we_cancel_is_marked_as_ours() -> None:
    told = Told()

    run_jobs(told).cancel("a", reason="Spot is back")

    assert told.cancelled == [{"jobId": "a", "reason": f"{CANCELLED_BY_US}Spot is back"}]
