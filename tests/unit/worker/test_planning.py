"""Whichever worker comes first plans, the others join."""

import dataclasses
import random
from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws

from spotproof.errors import InputError, RunConflictError
from spotproof.leases.in_memory import InMemoryLeaseStore
from spotproof.leases.model import RunId, RunOptions, RunState
from spotproof.retries import Retrier
from spotproof.worker.planning import (
    RunJoiner,
    RunRequest,
    choose_output_uri,
    choose_patience_s,
    choose_run_id,
)
from tests.fakes.clock import FakeClock

REQUEST = RunRequest(
    run_id=RunId("nightly"),
    job="words",
    input_uri="s3://data/in/",
    output_uri="s3://data/out/",
    shard_by="objects",
    options=RunOptions(),
    queue="spot",
    job_definition="spotproof-words",
    batch_job_id="job-0:1",
    workers=7,
)


class World:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.retrier = Retrier(clock=self.clock, rng=random.Random(1))
        self.store = InMemoryLeaseStore(clock=self.clock, retrier=self.retrier)
        self.s3 = boto3.client("s3", region_name="us-east-1")
        for bucket in ("data", "work"):
            self.s3.create_bucket(Bucket=bucket)
        for name in ("a", "b", "c"):
            self.s3.put_object(Bucket="data", Key=f"in/{name}.txt", Body=b"one\ntwo\n")

    def joiner(self) -> RunJoiner:
        return RunJoiner(store=self.store, s3=self.s3, retrier=self.retrier, clock=self.clock, work_bucket="work")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield World()


def test_the_first_worker_plans_and_the_second_joins_the_same_run(world: World) -> None:
    first = world.joiner().join(REQUEST)
    second = world.joiner().join(dataclasses.replace(REQUEST, queue="on-demand"))

    assert first == second
    assert (first.shards, first.state) == (3, RunState.RUNNING)
    assert (first.batch_job_id, first.workers) == (REQUEST.batch_job_id, REQUEST.workers)


def test_the_same_run_with_other_parameters_is_a_conflict(world: World) -> None:
    world.joiner().join(REQUEST)

    with pytest.raises(RunConflictError, match="nightly"):
        world.joiner().join(dataclasses.replace(REQUEST, shard_by="size:1MiB"))


def test_a_plan_left_by_a_dead_planner_is_used(world: World) -> None:
    store, world.store = world.store, InMemoryLeaseStore(clock=world.clock, retrier=world.retrier)
    planned = world.joiner().join(REQUEST)  # into a table that is then forgotten, as if it had died before its row
    world.store = store

    assert world.joiner().join(REQUEST).plan_sha256 == planned.plan_sha256


def test_a_dead_planners_plan_never_serves_a_corrected_submission(world: World) -> None:
    store, world.store = world.store, InMemoryLeaseStore(clock=world.clock, retrier=world.retrier)
    left_behind = world.joiner().join(REQUEST)
    world.store = store
    world.s3.put_object(Bucket="data", Key="other/a.txt", Body=b"three\n")

    corrected = world.joiner().join(dataclasses.replace(REQUEST, input_uri="s3://data/other/"))

    assert corrected.plan_key != left_behind.plan_key
    assert corrected.shards == 1


def test_other_children_of_an_array_give_the_first_one_time_to_plan(world: World) -> None:
    patient = dataclasses.replace(REQUEST, planner_patience_s=60)
    asked = []
    real_get, real_sleep = world.store.get_run, world.clock.sleep

    def sleep(seconds: float) -> None:
        asked.append(seconds)
        real_sleep(seconds)
        if len(asked) == 3:
            world.joiner().join(REQUEST)

    world.clock.sleep = sleep  # type: ignore[method-assign]

    assert world.joiner().join(patient).shards == 3
    assert len(asked) == 3
    assert real_get(REQUEST.run_id) is not None


def test_a_planner_that_never_starts_is_waited_for_only_so_long(world: World) -> None:
    started = world.clock.monotonic()

    run = world.joiner().join(dataclasses.replace(REQUEST, planner_patience_s=60))

    assert run.shards == 3
    assert world.clock.monotonic() - started == 60
    assert (choose_patience_s(0), choose_patience_s(5)) == (0, 60)


def test_an_empty_input_plans_nothing(world: World) -> None:
    with pytest.raises(InputError, match="s3://data/nothing/"):
        world.joiner().join(dataclasses.replace(REQUEST, input_uri="s3://data/nothing/"))
    assert world.store.get_run(REQUEST.run_id) is None


def test_auto_is_the_batch_job_that_all_children_share() -> None:
    assert choose_run_id("auto", parent_job_id="abc-1") == "abc-1"
    with pytest.raises(InputError, match="--run"):
        choose_run_id("auto", parent_job_id="")


@pytest.mark.parametrize("run_id", ["", "a/b", "../x", "a b", "ä", "-x", "x" * 65, "a\n"])
def test_a_run_id_that_could_not_be_a_key_is_refused(run_id: str) -> None:
    with pytest.raises(InputError):
        choose_run_id(run_id, parent_job_id="p")


def test_the_output_defaults_to_the_data_bucket_and_ends_with_a_slash() -> None:
    assert choose_output_uri("auto", data_bucket="d", run_id=RunId("r")) == "s3://d/output/r/"
    assert choose_output_uri("s3://x/y", data_bucket="d", run_id=RunId("r")) == "s3://x/y/"


@pytest.mark.parametrize("uri", ["x", "s3://", "s3://bucket", "s3://bucket/", "s3:///key/", "http://b/k"])
def test_an_output_that_is_no_prefix_is_refused(uri: str) -> None:
    with pytest.raises(InputError, match="output"):
        choose_output_uri(uri, data_bucket="d", run_id=RunId("r"))
