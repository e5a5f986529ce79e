"""Queues of several families of hosts: who falls back where, with how much memory, and in whose share."""

from typing import Any

import pytest

from lambdas import queue_blocked, wiring
from lambdas.queue_pairs import QueuePair, QueuePairs, parse_further
from spotproof import contract
from spotproof.errors import ConfigurationError
from spotproof.leases.model import RunId
from tests.lambdas.batch_world import BatchWorld
from tests.lambdas.conftest import Account
from tests.lambdas.test_job_state_change import EXHAUSTED, JOB_ID, OOM, ShowingBatch, needing, report, storm
from tests.lambdas.test_queue_blocked import blocked, waiting

FURTHER = "graviton=arm-spot/arm-on-demand/15170,fargate=serverless-spot/serverless/61440"
ARN = "arn:aws:batch:us-east-1:123456789012:job-queue/"


@pytest.fixture
def families(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two families more; asked for before the account, whose functions read it once."""
    monkeypatch.setenv(contract.ENV_FAMILY_QUEUES, FURTHER)


@pytest.fixture
def plain(families: None, account: Account) -> ShowingBatch:
    double = ShowingBatch()
    vars(wiring.wire().clients).update(batch=double)
    return double


def ended(account: Account, queue: str, *, event: str = EXHAUSTED, **detail: Any) -> dict[str, Any]:
    found = account.event(event)
    parameters = {"run": account.run.run_id, "input": "s3://b/in/"}
    found["detail"] |= {"parameters": parameters, "jobQueue": ARN + queue, **detail}
    answer: dict[str, Any] = report(account, found)
    return answer


def queue_of(job: dict[str, Any]) -> str:
    return str(job["jobQueue"]).rpartition("/")[2]


def test_a_worker_of_another_family_is_replaced_in_its_own_queue(
    families: None, account: Account, plain: ShowingBatch
) -> None:
    assert ended(account, "arm-spot")["topup"] == "submitted"

    [job] = plain.jobs
    assert queue_of(job) == "arm-spot"


def test_past_a_pool_that_loses_hosts_it_goes_on_demand_within_its_family(
    families: None, account: Account, plain: ShowingBatch
) -> None:
    account.worker(batch_job_id=JOB_ID)
    storm(account)

    ended(account, "arm-spot")

    [job] = plain.jobs
    assert queue_of(job) == "arm-on-demand"


@pytest.mark.parametrize(
    ("queue", "vcpus", "memory_mib", "next_mib"),
    [
        ("spot-queue", 1, 16_000, 30_340),
        ("arm-spot", 1, 8_000, 15_170),
        ("serverless-spot", 1, 4_096, 8_192),
        ("serverless-spot", 2, 12_288, 16_384),  # the most that Fargate gives 2 vCPUs
    ],
)
def test_more_memory_is_asked_for_up_to_what_the_family_gives(
    families: None, account: Account, plain: ShowingBatch, queue: str, vcpus: int, memory_mib: int, next_mib: int
) -> None:
    container = needing(memory_mib)
    container["resourceRequirements"][1]["value"] = str(vcpus)

    assert ended(account, queue, event=OOM, container=container)["topup"] == "submitted"

    [job] = plain.jobs
    assert job["containerOverrides"]["resourceRequirements"] == [{"type": "MEMORY", "value": str(next_mib)}]


def test_where_fargate_gives_no_more_for_its_vcpus_the_run_is_held(
    families: None, account: Account, plain: ShowingBatch
) -> None:
    assert ended(account, "serverless-spot", event=OOM, container=needing(8_192)) == {"classified": "out-of-memory"}
    assert plain.jobs == []


def test_a_replacement_keeps_the_share_that_its_predecessor_was_submitted_in(
    families: None, account: Account, plain: ShowingBatch
) -> None:
    ended(account, "arm-spot", shareIdentifier="nightly")

    [job] = plain.jobs
    assert job["shareIdentifier"] == "nightly"


@pytest.mark.parametrize("share", [{}, {"shareIdentifier": "no;share"}])
def test_without_a_share_that_could_be_one_none_is_given(
    families: None, account: Account, plain: ShowingBatch, share: dict[str, Any]
) -> None:
    ended(account, "spot-queue", **share)

    [job] = plain.jobs
    assert "shareIdentifier" not in job


def test_a_blocked_queue_of_a_family_begins_the_run_on_demand_in_that_family(
    families: None, account: Account, batch: BatchWorld
) -> None:
    job_id = waiting(batch, queue="arm-spot", shareIdentifier="research")

    assert queue_blocked.handler(blocked(account, job_id, queue="arm-spot"), account.context) == {
        "noted": 1,
        "begun": 1,
    }

    [job] = batch.submitted
    assert (job["jobQueue"], job["shareIdentifier"]) == ("arm-on-demand", "research")
    assert queue_blocked.warm().blocks.read("spot-queue") is None
    assert account.store.get_run(RunId("unborn")) is None


def test_a_queue_of_no_family_is_nobodys_business(families: None, account: Account, batch: BatchWorld) -> None:
    job_id = batch.add("unborn", queue="gpu-spot")

    assert queue_blocked.handler(blocked(account, job_id, queue="gpu-spot"), account.context) == {"ignored": 1}


PAIRS = QueuePairs(pairs=(QueuePair(spot="s", on_demand="o", memory_mib_max=9), *parse_further(FURTHER)))


def test_queues_are_known_by_name_and_by_arn() -> None:
    assert PAIRS.names == ("s", "o", "arm-spot", "arm-on-demand", "serverless-spot", "serverless")
    assert PAIRS.spot_names == ("s", "arm-spot", "serverless-spot")
    for queue in ("arm-spot", f"{ARN}arm-spot"):
        assert (PAIRS.is_spot(queue), PAIRS.is_on_demand(queue)) == (True, False)
        assert PAIRS.on_demand_for(queue) == "arm-on-demand"
    assert not PAIRS.is_spot("spot")


def test_workers_of_a_foreign_queue_fall_back_to_the_first_family() -> None:
    assert PAIRS.on_demand_for("somebody-elses") == "o"
    assert not (PAIRS.is_spot("somebody-elses"))
    assert not (PAIRS.is_on_demand("somebody-elses"))


def test_without_further_families_there_are_none() -> None:
    assert parse_further("") == ()


@pytest.mark.parametrize(
    "text",
    [
        "graviton",
        "graviton=a/b",
        "graviton=a/b/0",
        "graviton=a/b/c",
        "g=a/a/1",
        "g=a/b/1,g=c/d/1",
        "g=a/b/1,h=b/c/1",
        "g=a/b/1,",
    ],
)
def test_queues_that_make_no_sense_are_refused_in_one_line(text: str) -> None:
    with pytest.raises(ConfigurationError, match="SPOTPROOF_FAMILY_QUEUES must be family=spot/on-demand/memory MiB"):
        parse_further(text)
