"""Whether EC2 took a Spot host back, read from its answers."""

import random
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from spotproof.capacity.host_ends import HostEnds, was_taken_back
from spotproof.errors import AwsAccessError, AwsUnavailableError
from spotproof.retries import Retrier
from tests.fakes.clock import FakeClock

HOST = "i-1234567890abcdef0"


class OneHost:
    """EC2 with one instance, or with an error for every request."""

    def __init__(self, *, error: str = "", **instance: Any) -> None:
        self.error = error
        self.instance = {"InstanceId": HOST, **instance}
        self.calls = 0

    def describe_instances(self, *, InstanceIds: list[str]) -> Any:  # noqa: N803
        self.calls += 1
        if self.error:
            status = 503 if self.error == "Unavailable" else 400
            answer: Any = {"Error": {"Code": self.error}, "ResponseMetadata": {"HTTPStatusCode": status}}
            raise ClientError(answer, "DescribeInstances")
        return {"Reservations": [{"Instances": []}, {"Instances": [self.instance]}]}


def ends(ec2: OneHost) -> HostEnds:
    return HostEnds(ec2=cast(Any, ec2), retrier=Retrier(clock=FakeClock(), rng=random.Random(1)))


@pytest.mark.parametrize("code", ["Server.SpotInstanceTermination", "Server.SpotInstanceShutdown"])
def test_a_spot_host_that_ec2_terminated_or_stopped_was_taken_back(code: str) -> None:
    assert ends(OneHost(InstanceLifecycle="spot", StateReason={"Code": code})).taken_back(HOST)


@pytest.mark.parametrize(
    "instance",
    [
        {"InstanceLifecycle": "spot"},
        {"InstanceLifecycle": "spot", "StateReason": None},
        {"InstanceLifecycle": "spot", "StateReason": {"Code": "Client.UserInitiatedShutdown"}},
        {"InstanceLifecycle": "spot", "StateReason": {"Code": "Server.InternalError"}},
        {"StateReason": {"Code": "Server.SpotInstanceTermination"}},
        {},
    ],
)
def test_every_other_one_was_not(instance: dict[str, Any]) -> None:
    assert not was_taken_back(instance)
    assert not ends(OneHost(**instance)).taken_back(HOST)


def test_one_that_ec2_does_not_know_was_not() -> None:
    assert not ends(OneHost(error="InvalidInstanceID.NotFound")).taken_back(HOST)


def test_only_the_host_that_was_asked_about_counts() -> None:
    other = OneHost(InstanceLifecycle="spot", StateReason={"Code": "Server.SpotInstanceTermination"})

    assert not ends(other).taken_back("i-00000000000000001")


def test_a_refusal_is_told_and_an_outage_is_waited_out_first() -> None:
    with pytest.raises(AwsAccessError, match="looking at instance"):
        ends(OneHost(error="UnauthorizedOperation")).taken_back(HOST)
    down = OneHost(error="Unavailable")
    with pytest.raises(AwsUnavailableError, match="looking at instance"):
        ends(down).taken_back(HOST)
    assert down.calls > 1
