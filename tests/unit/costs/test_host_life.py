"""An instance's life from its sessions: when it began and ended, whether it is free, who had how much of it."""

from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest

from spotproof.costs.host_life import HostLife, host_lives, share_of_host
from spotproof.costs.prices import InstancePrice
from spotproof.costs.worked_session import WorkedSession
from tests.unit.costs.builders import M5_LARGE, T0, minutes, worked


def life(*sessions: WorkedSession) -> HostLife:
    (found,) = host_lives(sessions)
    return found


def reclaimed(at: float) -> dict[str, Any]:
    return {"reclaimed_at": T0 + minutes(at)}


def test_a_host_lives_from_its_launch_to_its_last_worker_or_its_reclaim() -> None:
    early, late = worked("a", since=2, until=10), worked("b", since=20, until=30)

    found = life(late, early)

    assert (found.launched_at, found.ended_at) == (T0, T0 + minutes(30))
    assert [each.session_id for each in found.sessions] == ["a", "b"]
    assert life(early, worked("b", since=20, until=30, **reclaimed(32))).ended_at == T0 + minutes(32)


def test_a_host_whose_launch_nobody_knows_begins_with_its_first_worker() -> None:
    found = life(worked("a", since=2, launched_at=None), worked("b", since=3, launched_at=None))

    assert (found.launched_at, found.launch_known) == (T0 + minutes(2), False)


def test_sessions_without_an_instance_have_a_host_each() -> None:
    lives = host_lives([worked("a", instance_id=""), worked("b", instance_id=""), worked("c"), worked("d")])

    assert sorted(len(each.sessions) for each in lives) == [1, 1, 2]


@pytest.mark.parametrize(
    ("sessions", "free"),
    [
        ((worked(since=2, until=50, **reclaimed(59.9)),), True),
        ((worked(since=2, until=50, **reclaimed(60)),), False),  # the hour is over
        ((worked(since=2, until=50),), False),  # ended by itself: charged by the second
        ((worked(since=2, until=50, lifecycle="on-demand", **reclaimed(52)),), False),
        ((worked(since=2, until=50, lifecycle="", **reclaimed(52)),), False),
        ((worked(since=2, until=56.9, launched_at=None, **reclaimed(56.9)),), True),
        ((worked(since=2, until=57, launched_at=None, **reclaimed(57)),), False),  # may be an hour old: charged
        ((worked("a", since=1, until=9), worked("b", since=40, until=58, **reclaimed(58))), True),
        ((worked("a", since=1, until=9), worked("b", since=58, until=62, **reclaimed(62))), False),
    ],
)
def test_only_a_spot_host_reclaimed_by_ec2_in_its_first_hour_is_free(
    sessions: tuple[WorkedSession, ...], free: bool
) -> None:
    assert life(*sessions).is_free is free


def test_a_host_that_was_up_for_long_before_its_first_worker_had_been_somebody_elses() -> None:
    soon, late = life(worked(since=15, until=30)), life(worked(since=15.1, until=30))

    assert (soon.charged_from, late.charged_from) == (T0, T0 + minutes(15.1))
    assert late.launched_at == T0  # its age still counts for the first hour


def test_a_minute_is_charged_at_least() -> None:
    assert life(worked(since=0.1, until=0.5)).charged_until == T0 + timedelta(seconds=60)
    assert life(worked(since=0.1, until=1.5)).charged_until == T0 + timedelta(seconds=90)
    assert life(worked(since=60, until=60.5)).charged_until == T0 + timedelta(minutes=61)


@pytest.mark.parametrize(
    ("vcpus", "memory_mib", "size", "share"),
    [
        (1.0, 0, M5_LARGE, Fraction(1, 2)),
        (1.0, 2048, M5_LARGE, Fraction(1, 2)),  # a quarter of the memory: the vCPUs decide
        (0.25, 6144, M5_LARGE, Fraction(3, 4)),  # an eighth of the vCPUs: the memory decides
        (0.25, 0, M5_LARGE, Fraction(1, 8)),
        (64.0, 0, M5_LARGE, Fraction(1)),
        (0.0, 1024, M5_LARGE, Fraction(1)),  # unknown: nobody else has room that we know of
        (1.0, 1024, None, Fraction(1)),
        (1.0, 4096, InstancePrice(vcpus=4, usd_per_hour=M5_LARGE.usd_per_hour), Fraction(1, 4)),
    ],
)
def test_a_workers_share_is_the_larger_of_its_vcpus_and_its_memory(
    vcpus: float, memory_mib: int, size: InstancePrice | None, share: Fraction
) -> None:
    assert share_of_host(worked(vcpus=vcpus, memory_mib=memory_mib), size) == share
