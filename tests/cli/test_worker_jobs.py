"""Batch jobs of a run, on moto's Batch: the requests are what Batch takes."""

import random
from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws

from spotproof.clients import Clients
from spotproof.leases.model import CapacityClass
from spotproof.retries import Retrier
from spotproof.settings import AwsSettings
from spotproof.worker.planning import RUN_ID
from spotproof_cli import names_given
from spotproof_cli.worker_jobs import WorkerJobs, batch_job_name
from tests.cli.conftest import REGION
from tests.cli.fake_batch import FakeBatch
from tests.fakes.clock import FakeClock

QUEUES = {CapacityClass.SPOT: "spot-queue", CapacityClass.ON_DEMAND: "on-demand-queue"}


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> Iterator[WorkerJobs]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws(config={"batch": {"use_docker": False}}):
        role = boto3.client("iam").create_role(RoleName="batch", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
        batch = Clients(AwsSettings(region=REGION, endpoint_url=None)).batch
        batch.create_compute_environment(
            computeEnvironmentName="environment", type="UNMANAGED", state="ENABLED", serviceRole=role
        )
        for queue in QUEUES.values():
            batch.create_job_queue(
                jobQueueName=queue,
                state="ENABLED",
                priority=1,
                computeEnvironmentOrder=[{"order": 1, "computeEnvironment": "environment"}],
            )
        batch.register_job_definition(
            jobDefinitionName="spotproof-flight-delays",
            type="container",
            containerProperties={"image": "busybox", "vcpus": 1, "memory": 128, "command": ["true"]},
        )
        yield WorkerJobs(batch=batch, retrier=Retrier(clock=FakeClock(), rng=random.Random(0)), queues=QUEUES.values())


def submit(jobs: WorkerJobs, run_id: str, *, workers: int, queue: CapacityClass = CapacityClass.SPOT) -> str:
    return jobs.submit(
        run_id=run_id,
        job="flight-delays",
        definition="spotproof-flight-delays",
        workers=workers,
        queue=QUEUES[queue],
        parameters={"run": run_id, "input": "s3://bucket/in"},
        tags={"team": "delays"},
    )


@pytest.mark.parametrize("workers", [1, 3])
def test_batch_takes_what_is_submitted_and_finds_it_by_run(jobs: WorkerJobs, workers: int) -> None:
    job_id = submit(jobs, "run.1", workers=workers)
    submit(jobs, "another", workers=1)

    found = jobs.of_run("run.1")

    assert [(job.job_id, job.run_id, job.size) for job in found] == [(job_id, "run.1", workers)]
    assert jobs.batch.describe_jobs(jobs=[job_id])["jobs"][0]["tags"] == {
        "team": "delays",
        "spotproof:run": "run.1",
        "spotproof:job": "flight-delays",
    }


def test_runs_whose_job_names_are_equal_are_told_apart(jobs: WorkerJobs) -> None:
    first, second = submit(jobs, "run.1", workers=1), submit(jobs, "run-1", workers=1)

    assert [job.job_id for job in jobs.of_run("run.1")] == [first]
    assert [job.job_id for job in jobs.of_run("run-1")] == [second]


def test_a_job_on_the_other_queue_is_found_too(jobs: WorkerJobs) -> None:
    job_id = submit(jobs, "run-1", workers=1, queue=CapacityClass.ON_DEMAND)

    assert [job.job_id for job in jobs.of_run("run-1")] == [job_id]


def test_more_jobs_than_one_description_takes_are_all_described() -> None:
    batch = FakeBatch()
    for _ in range(205):
        batch.add("run-1", status="RUNNING")
    jobs = WorkerJobs(batch=batch, retrier=Retrier(clock=FakeClock(), rng=random.Random(0)), queues=QUEUES.values())  # type: ignore[arg-type]

    assert len(jobs.describe(batch.jobs)) == 205


@pytest.mark.parametrize("run_id", ["a", "2026.11.21", "x" * 64, "A_b-c"])
def test_every_run_id_makes_a_job_name_that_batch_takes(run_id: str) -> None:
    name = batch_job_name(run_id)

    assert name.replace("-", "").replace("_", "").isalnum()
    assert len(name) <= 128


@pytest.mark.parametrize("text", ["a", "-a", ".a", "a.b_c-D", "x" * 64, "x" * 65, "", "a/b", "ä", "a\n"])
def test_a_run_id_is_accepted_here_exactly_when_a_worker_accepts_it(text: str) -> None:
    try:
        accepted = names_given.run_id(text) == text
    except Exception:
        accepted = False

    assert accepted == bool(RUN_ID.fullmatch(text))
