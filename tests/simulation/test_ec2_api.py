"""What the simulated EC2 says of instances, and what the product makes of it."""

import random
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from simulation.cloud.ec2_api import Ec2Api
from simulation.cloud.instance import SimInstance
from simulation.kernel.process import Process
from spotproof.capacity.host_ends import HostEnds
from spotproof.interruptions.eventbridge import InstanceState
from spotproof.retries import Retrier
from tests.simulation.cloud_rig import Rig
from tests.simulation.test_queue_views import conforms


def api(rig: Rig) -> Ec2Api:
    return Ec2Api(fleet=rig.fleet, market=rig.market)


def taken_back(rig: Rig, instance: SimInstance) -> bool:
    process = Process(rig.scheduler, name="p", kind="function", rng=rig.rng, on_exit=lambda _: None)
    retrier = Retrier(clock=process.clock, rng=random.Random(1))
    return HostEnds(ec2=cast(Any, api(rig)), retrier=retrier).taken_back(instance.id)


def test_a_reclaimed_host_is_told_apart_from_every_other_end() -> None:
    rig = Rig()
    ends = {"reclaimed": True, "reclaimed without notice": True, "idle": False, "host failure": False}

    for why, taken in ends.items():
        instance = rig.running_instance()
        assert not taken_back(rig, instance)
        rig.fleet.lose(instance, why)
        assert taken_back(rig, instance) is taken, why


def test_an_end_that_ec2_has_not_seen_has_no_reason_yet() -> None:
    rig = Rig()
    instance = rig.running_instance()

    rig.fleet.fail(instance, "host failure")
    [shown] = api(rig).describe_instances(InstanceIds=[instance.id])["Reservations"][0]["Instances"]
    assert (shown["State"]["Name"], "StateReason" in shown) == ("running", False)

    rig.run(3600)
    answer = api(rig).describe_instances(InstanceIds=[instance.id])
    assert conforms("ec2", "DescribeInstances", answer)
    assert answer["Reservations"][0]["Instances"][0]["StateReason"]["Code"] == "Server.InternalError"
    assert instance.state is InstanceState.TERMINATED


def test_an_unknown_host_is_refused_as_ec2_does() -> None:
    with pytest.raises(ClientError, match=r"InvalidInstanceID\.NotFound"):
        api(Rig()).describe_instances(InstanceIds=["i-0000000000000dead"])
