"""`spotproof cost`: while a run goes on, and afterwards."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from spotproof.clock import to_epoch_ms
from spotproof.leases.model import Host, Ledger, Run, RunOptions, Session, ShardUsage
from tests.cli.conftest import World
from tests.cli.test_results import publish
from tests.cli.test_status import complete
from tests.fakes.leases import a_session, an_output, leased

HOUR_MS = 3_600_000


def a_worker(world: World, run: Run, *, kind: str = "m5.large") -> Session:
    """Half a host that was launched a quarter of an hour ago."""
    now_ms = to_epoch_ms(world.clock.now())
    host = Host(
        instance_id="i-0a", instance_type=kind, zone="eu-central-1a", lifecycle="spot", vcpus=1.0,
        launched_at=now_ms - HOUR_MS // 4,
    )  # fmt: skip
    return world.store.open_session(a_session("w1", run=run, host=host, started_at=now_ms, until=now_ms + 9 * HOUR_MS))


def work_on(world: World, run: Run, session: Session, *indexes: int) -> None:
    """A quarter of an hour of work on each shard, which is committed."""
    for number, index in enumerate(indexes):
        lease = leased(world.store, run, session, index, seq=2 * number + 1)
        world.clock.advance(900)
        usage = ShardUsage(session=session.session_id, worked_ms=900_000, input_bytes=1, peak_mib=1)
        world.store.commit(lease, an_output(lease), usage=usage)
        ledger = Ledger(work_ms=900_000 * (number + 1))
        until = session.until
        session = world.store.heartbeat(session, seq=2 * number + 2, until=until, ledger=ledger)


@pytest.fixture
def running(world: World) -> World:
    """A run of four shards, of which one worker did two in half an hour."""
    run = world.put_run(options=RunOptions(usd_max=1.0))
    work_on(world, run, a_worker(world, run), 0, 1)
    return world


def test_a_running_run_has_its_cost_so_far_its_rate_and_a_forecast(running: World) -> None:
    document = running.json("cost", "run-1", "--shards")

    assert list(document) == [
        "schema", "run", "state", "source", "cost", "budget_usd", "usd_per_hour", "unpriced_workers", "forecast",
        "shards", "overhead_usd",
    ]  # fmt: skip
    cost = document["cost"]
    # $0.04 an hour: a quarter of an hour of boot, then half an hour of which the worker has one half.
    assert (cost["total_usd"], cost["usd"], cost["work_usd"]) == ("0.030000", "0.010000", "0.010000")
    assert (cost["host_boot_usd"], cost["host_spare_usd"]) == ("0.010000", "0.010000")
    assert (cost["on_demand_usd"], cost["savings_percent"], cost["efficiency"]) == ("0.024000", "58.3", "0.333")
    assert (document["usd_per_hour"], document["budget_usd"], document["source"]) == ("0.040000", 1.0, "table")
    assert document["forecast"] == {"usd": "0.060000", "low_usd": "0.060000", "high_usd": "0.060000"}
    assert [(each["shard"], each["usd"]) for each in document["shards"]] == [
        (0, "0.005000000000"), (1, "0.005000000000"),
    ]  # fmt: skip
    assert document["overhead_usd"] == "0.000000000000"


def test_people_read_it_in_dollars(running: World) -> None:
    result = running.run("cost", "run-1", "--shards")

    assert result.exit_code == 0
    for words in (
        "$0.0300, at the prices of now",
        "$0.0100: 1 sessions on 1 hosts, 30 m 0 s",
        "$1.0000, 3.0% of it spent",
        "$0.0200: hosts booting $0.0100, unused parts of hosts $0.0100",
        "$0.0140 of $0.0240 on demand (58.3 %)",
        "33.3% of the vCPU-seconds",
        "$0.0400 an hour",
        "about $0.0600 (nine times in ten $0.0600 to $0.0600)",
    ):
        assert words in result.stdout
    assert "estimated" not in result.stdout
    assert "SHARD  COST     WORKED" in result.stdout


def test_without_spot_prices_it_says_that_it_estimates(running: World) -> None:
    running.ec2.refuses = True

    document = running.json("cost", "run-1")

    assert (document["cost"]["usd"], document["cost"]["estimated_seconds"]) == ("0.024000", "1800.000")
    assert document["shards"] is None
    assert "30 m 0 s at on-demand prices" in running.run("cost", "run-1").stdout


def test_a_type_without_a_price_is_in_no_number_and_named(world: World) -> None:
    run = world.put_run()
    work_on(world, run, a_worker(world, run, kind="x9.odd"), 0)
    world.ec2.refuses = True

    document = world.json("cost", "run-1")

    assert (document["cost"]["total_usd"], document["unpriced_workers"]) == ("0.000000", 1)
    assert document["forecast"] is None
    assert "15 m 0 s on types without a known price" in world.run("cost", "run-1").stdout


def test_other_runs_on_the_host_bear_their_part_of_it(running: World) -> None:
    other = running.put_run("run-2")
    now_ms = to_epoch_ms(running.clock.now())
    host = replace(a_worker(running, other).host, launched_at=None)
    session = a_session("w9", run=other, host=host, started_at=now_ms - HOUR_MS // 2, until=now_ms + HOUR_MS)
    running.store.open_session(session)

    cost = running.json("cost", "run-1")["cost"]

    assert (cost["usd"], cost["host_boot_usd"], cost["host_spare_usd"]) == ("0.010000", "0.005000", "0.000000")


def ended(world: World, **changes: Any) -> World:
    run = world.put_run()
    complete(world, run)
    publish(world, run, **changes)
    return world


KEPT = {
    "total_usd": "4.000000", "usd": "3.000000", "sessions": 7, "hosts": 3, "session_seconds": "7200.000",
    "work_usd": "2.000000", "redone_usd": "0.500000", "wasted_usd": "2.000000", "on_demand_usd": "9.000000",
    "savings_percent": "66.7", "first_hour_free_usd": "0.250000", "efficiency": "0.612",
}  # fmt: skip


def test_an_ended_run_costs_what_its_manifest_says(world: World) -> None:
    ended(world, cost=KEPT)

    document = world.json("cost", "run-1")

    assert (document["source"], document["cost"]) == ("_SUCCESS", KEPT)
    assert (document["usd_per_hour"], document["forecast"], document["unpriced_workers"]) == (None, None, None)
    told = world.run("cost", "run-1").stdout
    assert "$4.0000, as priced when it ended" in told
    assert "$2.0000: done again $0.5000" in told
    assert "$0.2500: hosts that EC2 took in their first hour" in told


def test_the_manifest_of_an_older_version_shows_what_it_knows(world: World) -> None:
    ended(world, cost={"usd": "3.000000", "sessions": 7, "session_seconds": "60.000", "redone_usd": "0.500000"})

    told = world.run("cost", "run-1").stdout

    assert "$3.0000: 7 sessions, 1 m 0 s" in told
    assert "wasted   done again $0.5000" in told


def test_shards_of_an_ended_run_come_from_the_table(world: World) -> None:
    run = world.put_run()
    work_on(world, run, a_worker(world, run), 0, 1)
    world.store.cancel_run(run.run_id, reason="enough")

    document = world.json("cost", "run-1", "--shards")

    assert (document["source"], document["usd_per_hour"], document["forecast"]) == ("table", None, None)
    shards = sum(Decimal(each["usd"]) for each in document["shards"])
    assert shards + Decimal(document["overhead_usd"]) == Decimal(document["cost"]["usd"])


def test_an_unknown_run_is_one_line(world: World) -> None:
    result = world.run("cost", "nobody")

    assert (result.exit_code, result.stderr.count("\n")) == (102, 1)
