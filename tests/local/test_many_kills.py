"""Many real kills in a row: the short storm. The long one is `python -m bench.kills`; both are tests/local/storm."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from spotproof.clock import SystemClock
from tests.local.storm.campaign import Campaign, run_campaign
from tests.local.storm.plan import Blow, Trouble, plan_storm
from tests.local.storm.stage import SCALE, Stage, opened_stage

# Fifteen events on processes in each run.
DENSE = {Blow.KILL: 5, Blow.TERMINATE: 3, Blow.FREEZE: 3, Blow.MEMORY: 2, Blow.DISK: 2, Blow.NOTICE: 2}
STORMS = ((5, Trouble.THROTTLED), (2, Trouble.RESTART))
HAND_BACK_BAR_S = 30 / SCALE  # of the notice's two minutes, on the account's clock

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(__import__("resource"), "prlimit"), reason="limits of running processes need Linux"),
]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with opened_stage(tmp_path_factory.mktemp("storm") / "state", seed=1, clock=SystemClock()) as opened:
        yield opened


@pytest.fixture(scope="module")
def campaign(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    return run_campaign(stage, STORMS, mix=DENSE, traces=tmp_path_factory.mktemp("broken"))


@pytest.fixture(scope="module")
def report(campaign: Campaign) -> dict[str, Any]:
    return campaign.report()


def test_no_promise_is_broken_in_a_storm_of_real_kills(campaign: Campaign) -> None:
    assert [str(broken) for broken in campaign.broken] == []


def test_the_storm_really_took_place(campaign: Campaign, report: dict[str, Any]) -> None:
    assert campaign.events >= 28, json.dumps(report["events"])
    assert min(report["events"].values()) >= 1
    assert set(report["troubles"]) == {str(Trouble.THROTTLED), str(Trouble.RESTART)}
    assert report["zombies"]["commits_refused"] >= 2
    for kinds in report["no_memory_or_disk"].values():
        assert sum(kinds.values()) > kinds.get("no effect", 0)


def test_shards_are_handed_back_well_inside_the_notice(report: dict[str, Any]) -> None:
    told = report["told_to_stop"][str(Blow.NOTICE)]

    assert told["let_go_s"]["n"] >= 1
    assert told["taken_from_them"] == 0
    assert told["hand_back_s"].get("p99", 0.0) <= HAND_BACK_BAR_S


def test_the_same_seed_is_the_same_storm() -> None:
    plans = [plan_storm(5, trouble=Trouble.NONE, mix=DENSE) for _ in range(2)]

    assert plans[0] == plans[1]
    assert plans[0] != plan_storm(6, trouble=Trouble.NONE, mix=DENSE)
