"""The host's facts come from instance metadata, and a worker without them goes on."""

from dataclasses import replace

import pytest

from spotproof.clock import parse_utc, to_epoch_ms
from spotproof.interruptions.imds import InstanceMetadata
from spotproof.settings import BatchSettings
from spotproof.worker.host import IDENTITY_PATH, launched_at_ms, read_host
from tests.fakes.clock import FakeClock
from tests.fakes.imds import ScriptedTransport

FACTS = {
    "instance-id": "i-0123456789abcdef0",
    "instance-type": "m6i.large",
    "placement/availability-zone": "us-east-1a",
    "instance-life-cycle": "spot",
}
BATCH = BatchSettings.from_env(
    {"AWS_BATCH_JOB_ID": "job:3", "AWS_BATCH_JOB_ATTEMPT": "2", "SPOTPROOF_VCPUS": "2", "SPOTPROOF_MEMORY_MIB": "1800"}
)
LAUNCHED = "2026-11-22T11:58:30Z"


def metadata(*, busy: int) -> InstanceMetadata:
    """Does not answer the first `busy` requests."""
    return InstanceMetadata(transport=ScriptedTransport(FACTS, busy=busy), clock=FakeClock())


def test_the_facts_are_read() -> None:
    host = read_host(metadata(busy=0), BATCH)

    assert (host.instance_id, host.instance_type) == ("i-0123456789abcdef0", "m6i.large")
    assert (host.zone, host.lifecycle) == ("us-east-1a", "spot")
    assert (host.batch_job_id, host.batch_attempt) == ("job:3", 2)


def test_a_host_knows_what_the_worker_takes_of_it_and_when_it_was_launched() -> None:
    document = ScriptedTransport({**FACTS, IDENTITY_PATH: f'{{"pendingTime": "{LAUNCHED}"}}'})

    host = read_host(InstanceMetadata(transport=document, clock=FakeClock()), BATCH)

    assert (host.vcpus, host.memory_mib) == (2, 1800)
    assert host.launched_at == to_epoch_ms(parse_utc(LAUNCHED))


@pytest.mark.parametrize(
    "document",
    [None, "", "<html>", "[]", "{}", '{"pendingTime": "soon"}', '{"pendingTime": "0001-01-01T00:00:00+14:00"}'],
)
def test_a_launch_that_nobody_tells_is_unknown(document: str | None) -> None:
    assert launched_at_ms(document) is None


def test_a_busy_moment_does_not_cost_the_link_to_the_instance() -> None:
    assert read_host(metadata(busy=2), BATCH).instance_id == "i-0123456789abcdef0"


def test_without_metadata_the_worker_goes_on_unlinked() -> None:
    host = read_host(metadata(busy=1000), BATCH)

    assert host.instance_id == ""
    assert host.batch_job_id == "job:3"


@pytest.mark.parametrize("name", sorted(FACTS))
def test_nonsense_is_no_fact(name: str) -> None:
    portal = ScriptedTransport({**FACTS, name: "\ufffd<html>captive portal"})

    host = read_host(InstanceMetadata(transport=portal, clock=FakeClock()), BATCH)

    assert (host.instance_id, host.instance_type, host.zone, host.lifecycle) == ("", "", "", "")


@pytest.mark.parametrize(
    ("queue", "lifecycle"),
    [("serverless-spot", "spot"), ("arn:aws:batch:r:0:job-queue/serverless-spot", "spot"), ("serverless", "on-demand")],
)
def test_a_worker_on_fargate_asks_nobody_for_its_host(queue: str, lifecycle: str) -> None:
    transport = ScriptedTransport(FACTS)
    batch = replace(BATCH, queue=queue, fargate_spot_queue="serverless-spot")

    host = read_host(InstanceMetadata(transport=transport, clock=FakeClock()), batch)

    assert transport.busy == 0  # counts requests down
    assert (host.instance_id, host.instance_type, host.zone, host.lifecycle) == ("", "fargate", "", lifecycle)
    assert (host.batch_job_id, host.batch_attempt, host.vcpus, host.memory_mib) == ("job:3", 2, 2, 1800)


def test_an_instance_is_named_as_ec2_names_instances() -> None:
    other = ScriptedTransport({**FACTS, "instance-id": "mi-0123456789abcdef0"})

    assert read_host(InstanceMetadata(transport=other, clock=FakeClock()), BATCH).instance_id == ""
