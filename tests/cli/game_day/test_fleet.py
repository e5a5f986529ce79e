"""Whose instances and groups they are."""

from typing import Any

import pytest

from spotproof.errors import AwsMissingError, InputError
from spotproof.leases.model import Host, RunId, Session, SessionId, SessionState, Stop, StopKind
from spotproof_cli.game_day.fleet import choose_groups, hosts_of

OURS = {"subnet-a", "subnet-b"}


def group(name: str, *, subnets: str = "subnet-a,subnet-b", on_demand: int = 0) -> dict[str, Any]:
    """As DescribeAutoScalingGroups shows one of Batch's."""
    distribution = {"OnDemandBaseCapacity": 0, "OnDemandPercentageAboveBaseCapacity": on_demand}
    return {
        "AutoScalingGroupName": name,
        "AutoScalingGroupARN": f"arn:{name}",
        "VPCZoneIdentifier": subnets,
        "MixedInstancesPolicy": {"InstancesDistribution": distribution},
    }


def test_a_group_is_ours_if_it_launches_spot_only_into_our_subnets() -> None:
    groups = [
        group("spot"),
        group("on-demand", on_demand=100),
        group("elsewhere", subnets="subnet-z"),
        group("partly-elsewhere", subnets="subnet-a,subnet-z"),
        {**group("plain"), "MixedInstancesPolicy": {}},
        group("nowhere", subnets=""),
    ]

    assert choose_groups(groups, named=(), subnets=OURS) == ["arn:spot"]


def test_a_group_is_ours_if_one_of_our_spot_instances_names_it() -> None:
    groups = [{"AutoScalingGroupName": "other", "AutoScalingGroupARN": "arn:other"}, group("spot")]

    assert choose_groups(groups, named=["other", ""], subnets=OURS) == ["arn:other", "arn:spot"]


def test_no_group_says_what_to_do() -> None:
    with pytest.raises(AwsMissingError, match="start the run first"):
        choose_groups([group("on-demand", on_demand=100)], named=[""], subnets=OURS)


def test_more_groups_than_an_experiment_names_are_refused() -> None:
    with pytest.raises(InputError, match="6 Auto Scaling groups"):
        choose_groups([group(str(number)) for number in range(6)], named=(), subnets=OURS)


def session(name: str, **changes: Any) -> Session:
    fields: dict[str, Any] = {
        "session_id": SessionId(name),
        "run_id": RunId("r"),
        "bucket": 0,
        "host": Host(instance_id=f"i-{name}", lifecycle="spot"),
        "state": SessionState.ALIVE,
        "until": 0,
        "seq": 0,
        "held": None,
        "stop": None,
        "hint_until": None,
        "started_at": 5,
    }
    return Session(**{**fields, **changes})


def test_hosts_are_those_of_live_spot_workers_busy_and_old_ones_first() -> None:
    sessions = [
        session("idle"),
        session("old", started_at=1),
        session("busy", held=3),
        session("twin", host=Host(instance_id="i-busy", lifecycle="spot")),
        session("dead", state=SessionState.DEAD),
        session("paid", host=Host(instance_id="i-paid", lifecycle="on-demand")),
        session("leaving", stop=Stop(kind=StopKind.NOTICE, deadline=9)),
        session("lost", host=Host(instance_id="")),
    ]

    assert hosts_of(sessions) == ["i-busy", "i-old", "i-idle"]
