"""The numbers of one simulated run, and the bars they are held against."""

import heapq
from bisect import bisect_right
from dataclasses import dataclass
from typing import Any, Final

from bench.scale.journal import Wait
from bench.scale.limits import PARTITION_READS_PER_S, PARTITION_WRITES_PER_S
from bench.scale.network import Tally
from bench.scale.world import World

# $ per unit, us-east-1, on demand since November 2024.
WRITE_UNIT: Final = 0.625e-6
READ_UNIT: Final = 0.125e-6
BACK_SHARE: Final = 0.95  # of the fleet: background interruptions always keep some places empty
PER_WORKER_TIME: Final = ("heartbeat", "record checkpoint")  # told apart: they grow with time, not with shards


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """What is promised of one number."""

    name: str
    at_most: float


BARS: Final = (
    Bar(name="requests_per_shard", at_most=6.0),
    Bar(name="write_units_per_shard", at_most=5.0),
    Bar(name="usd_per_million_shards", at_most=3.2),
    Bar(name="conflicts_per_shard", at_most=0.05),
    Bar(name="hottest_partition_write_share", at_most=0.8),
    Bar(name="claim_p99_ms", at_most=100.0),
    Bar(name="leased_again_after_capacity_is_back_max_s", at_most=5.0),
    Bar(name="redone_share_with_notice", at_most=0.002),
    Bar(name="lost_per_unannounced_kill_max_intervals", at_most=1.0),
    Bar(name="done_twice", at_most=0),
)


def measure(world: World, *, ended: bool) -> dict[str, Any]:
    """Everything the issue asks for; times in seconds unless the name says otherwise."""
    journal, scenario = world.journal, world.scenario
    waits = [wait.leased_at - wait.claimable_at for wait in journal.waits]
    behind = behind_ideal_queue(journal.waits, list(journal.looked_at), list(journal.leased_at))
    late = after_capacity_is_back(journal.waits, world.fleet.alive_over_time, workers=scenario.workers)
    looks_ms = [(end - start) * 1000 for start, end in zip(journal.found_look_at, journal.leased_at, strict=True)]
    useful_s = sum(world.work_s[index] for index, done in enumerate(journal.commits) if done)
    redone_s = journal.executed_s - useful_s
    interval_s = scenario.options.checkpoint_interval_s
    assert interval_s is not None, "the model's saves keep to an interval"
    hottest_writes, hottest_reads = world.table.writes.hottest(), world.table.reads.hottest()
    return {
        "scenario": scenario.name,
        "shards": scenario.shards,
        "workers": scenario.workers,
        "stripes": world.run.stripes,
        "session_buckets": world.run.session_buckets,
        "shard_mean_s": round(sum(world.work_s) / scenario.shards, 2),
        "ended": ended,
        "committed": journal.committed,
        "quarantined": journal.quarantined,
        "done_twice": journal.done_twice,
        **_costs(world),
        "claim_p50_ms": _quantile(looks_ms, 0.5),
        "claim_p99_ms": _quantile(looks_ms, 0.99),
        "leased_again": len(waits),
        "claimable_wait_p50_s": _quantile(waits, 0.5),
        "claimable_wait_p99_s": _quantile(waits, 0.99),
        "claimable_wait_max_s": _quantile(waits, 1.0),
        "leased_again_after_capacity_is_back_p50_s": _quantile(late, 0.5),
        "leased_again_after_capacity_is_back_p99_s": _quantile(late, 0.99),
        "leased_again_after_capacity_is_back_max_s": _quantile(late, 1.0),
        "behind_ideal_queue_p50_s": _quantile(behind, 0.5),
        "behind_ideal_queue_p99_s": _quantile(behind, 0.99),
        "behind_ideal_queue_max_s": _quantile(behind, 1.0),
        "hottest_partition_writes_per_s": hottest_writes.units_per_s,
        "hottest_partition_write_share": round(hottest_writes.units_per_s / PARTITION_WRITES_PER_S, 3),
        "hottest_partition_by_writes": hottest_writes.partition,
        "hottest_partition_reads_per_s": hottest_reads.units_per_s,
        "hottest_partition_read_share": round(hottest_reads.units_per_s / PARTITION_READS_PER_S, 3),
        "hottest_partition_by_reads": hottest_reads.partition,
        "claimable_index_writes_per_s": world.table.writes.hottest(of="claimable").units_per_s,
        "claimable_index_reads_per_s": world.table.reads.hottest(of="claimable").units_per_s,
        "table_writes_per_s": world.table.writes.table.peak,
        "table_reads_per_s": world.table.reads.table.peak,
        "kills": journal.kills,
        "kills_unannounced": len(journal.lost_s),
        "redone_s": round(redone_s, 1),
        "redone_share": round(redone_s / useful_s, 6),
        # what unannounced kills cost is apart; frozen workers lose work that nobody announced either
        "redone_share_with_notice": None if scenario.frozen else round((redone_s - sum(journal.lost_s)) / useful_s, 6),
        "lost_per_unannounced_kill_max_intervals": round(max(journal.lost_s, default=0.0) / interval_s, 3),
        "lost_by_announced_kills_s": round(sum(journal.lost_noticed_s), 1),
        "last_commit_s": round(journal.last_commit_s, 1),
        "ideal_last_commit_s": round(ideal_end_s(world, useful_s), 1),
        "end_announced_after_last_commit_s": round(journal.announced_s - journal.last_commit_s, 2),
        "last_worker_left_s": round(world.seconds(), 1),
        "worker_s": round(journal.worker_s),
        "useful_share_of_worker_time": round(useful_s / journal.worker_s, 4),
        "worker_exits": {str(code): count for code, count in sorted(journal.exits.items())},
        "worker_crashes": journal.crashes,
        "function_failures": dict(sorted(world.events.failures.items())[:10]),
    }


def missed(numbers: dict[str, Any]) -> list[str]:
    """Which bars a run does not reach."""
    return [bar.name for bar in BARS if numbers[bar.name] is not None and numbers[bar.name] > bar.at_most]


def after_capacity_is_back(waits: list[Wait], alive_over_time: list[tuple[float, int]], *, workers: int) -> list[float]:
    """For each shard that was leased again, the seconds from the moment the fleet was whole again to its lease.

    Whole is BACK_SHARE of its size; a shard that became claimable while it was counts from that moment.
    """
    whole_at = BACK_SHARE * workers
    moments = [moment for moment, _ in alive_over_time]
    next_whole: list[float] = [float("inf")] * (len(moments) + 1)
    for place in reversed(range(len(moments))):
        next_whole[place] = moments[place] if alive_over_time[place][1] >= whole_at else next_whole[place + 1]
    late = []
    for wait in waits:
        place = bisect_right(moments, wait.claimable_at) - 1
        whole = alive_over_time[place][1] >= whole_at
        back_at = wait.claimable_at if whole else next_whole[place + 1]
        late.append(max(0.0, wait.leased_at - back_at))
    return late


def behind_ideal_queue(waits: list[Wait], looked_at: list[float], leased_at: list[float]) -> list[float]:
    """For each shard that was leased again, the seconds that its lease came later than an ideal queue's.

    In it, without latency and index lag, every worker that looks for work takes the oldest claimable shard at once. A
    shard that overtook an older one counts as 0.
    """
    workers = sorted(zip(looked_at, leased_at, strict=True))  # each is free from its look to its lease
    free: list[float] = []  # until when, of those that look
    behind: list[float] = []
    place = 0
    waiting = sorted(waits, key=lambda wait: wait.claimable_at)
    for wait in waiting:
        while place < len(workers) and workers[place][0] <= wait.claimable_at:
            heapq.heappush(free, workers[place][1])
            place += 1
        while free and free[0] < wait.claimable_at:
            heapq.heappop(free)
        if free:
            heapq.heappop(free)
            back_at = wait.claimable_at
        elif place < len(workers):
            back_at = workers[place][0]
            place += 1
        else:
            back_at = wait.leased_at
        behind.append(max(0.0, wait.leased_at - back_at))
    return behind


def ideal_end_s(world: World, work_s: float) -> float:
    """When the work would be done if every live worker did nothing else and shards could be cut at will."""
    timeline = world.fleet.alive_over_time
    for (since, alive), (until, _) in zip(timeline, [*timeline[1:], (float("inf"), 0)], strict=True):
        if alive and work_s <= alive * (until - since):
            return since + work_s / alive
        work_s -= alive * (until - since) if alive else 0.0
    return float("inf")


def _costs(world: World) -> dict[str, Any]:
    shards = world.scenario.shards
    apart = _sum(tally for name, tally in world.bill.tallies.items() if name in PER_WORKER_TIME)
    total = _sum(tally for name, tally in world.bill.tallies.items() if name not in PER_WORKER_TIME)
    hours = world.journal.worker_s / 3600
    return {
        "requests_per_shard": round(total.requests / shards, 4),
        "write_units_per_shard": round(total.write_units / shards, 4),
        "read_units_per_shard": round(total.read_units / shards, 4),
        "usd_per_million_shards": round(_usd(total) / shards * 1e6, 3),
        "conflicts_per_shard": round((total.refused + apart.refused) / shards, 5),
        "throttled_per_shard": round((total.throttled + apart.throttled) / shards, 5),
        "per_worker_hour_requests": round(apart.requests / hours, 1),
        "per_worker_hour_usd": round(_usd(apart) / hours, 6),
        "requests_by_kind": {
            name: {
                "requests": tally.requests,
                "refused": tally.refused,
                "throttled": tally.throttled,
                "write_units": tally.write_units,
                "read_units": tally.read_units,
            }
            for name, tally in sorted(world.bill.tallies.items(), key=lambda pair: -pair[1].requests)
        },
    }


def _sum(tallies: Any) -> Tally:
    total = Tally()
    for tally in tallies:
        total.requests += tally.requests
        total.refused += tally.refused
        total.throttled += tally.throttled
        total.write_units += tally.write_units
        total.read_units += tally.read_units
    return total


def _usd(tally: Tally) -> float:
    return tally.write_units * WRITE_UNIT + tally.read_units * READ_UNIT


def _quantile(values: list[float], share: float) -> float | None:
    if not values:
        return None
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3)
