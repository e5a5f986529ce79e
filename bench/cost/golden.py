"""Timelines with costs that were worked out by hand. Minutes count from noon; the host is an m5.large, 2 vCPUs, 8 GiB.

Its prices: $0.096 an hour on demand; on Spot $0.06 an hour, which is a tenth of a cent a minute.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from spotproof.costs.price_book import PriceBook
from spotproof.costs.prices import InstancePrice, PriceStep
from spotproof.costs.run_cost import bill_hosts, cost_of_bills
from spotproof.costs.shard_cost import ShardWork, shard_costs
from spotproof.costs.worked_session import WorkedSession

NOON: Final = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
LISTED: Final = {"m5.large": InstancePrice(vcpus=2, usd_per_hour=Decimal("0.096"), memory_mib=8192)}
MINUTE_MS: Final = 60_000
SIX_CENTS: Final = ((-600.0, "0.06"),)


def worker(name: str, since: float, until: float, **changes: Any) -> WorkedSession:
    """A worker with one vCPU for run A on spot host 1, which was launched at noon."""
    for field in ("launched_at", "reclaimed_at"):
        if field in changes:
            changes[field] = NOON + timedelta(minutes=changes[field])
    for field in ("work", "redone", "checkpoint", "idle"):
        if field in changes:
            changes[f"{field}_ms"] = int(changes.pop(field) * MINUTE_MS)
    fields: dict[str, Any] = {
        "session_id": name,
        "run_id": "A",
        "instance_id": "i-1",
        "instance_type": "m5.large",
        "zone": "us-east-1a",
        "lifecycle": "spot",
        "vcpus": 1.0,
        "started_at": NOON + timedelta(minutes=since),
        "ended_at": NOON + timedelta(minutes=until),
        "launched_at": NOON,
    }
    return WorkedSession(**(fields | changes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """A timeline, how its cost comes about, and what it is in cents."""

    name: str
    by_hand: str
    sessions: tuple[WorkedSession, ...]
    cents: Mapping[str, str]
    prices: tuple[tuple[float, str], ...] = SIX_CENTS  # minute and US dollars an hour
    shards: tuple[ShardWork, ...] = ()


def shard(index: int, by: str, worked: float, earlier: float = 0) -> ShardWork:
    return ShardWork(index=index, session_id=by, worked_ms=int(worked * MINUTE_MS), earlier_ms=int(earlier * MINUTE_MS))


GOLDEN: Final = (
    Golden(
        name="half a host for an hour",
        by_hand="60 min x 0.1 c = 6 c; the worker has 50 min x 1/2 = 2.5 c; boot 10 min = 1 c; spare 2.5 c",
        sessions=(worker("w", 10, 60, work=30, redone=10, checkpoint=5, idle=2),),
        cents={
            "instances": "6", "A": "2.5", "boot": "1", "idle": "0", "spare": "2.5",
            # a minute of the worker is 0.05 c; 3 of its 50 minutes are in no ledger
            "A work": "1.5", "A redone": "0.5", "A checkpoint": "0.25", "A idle": "0.1", "A boot": "0.15", "A premium": "0",
            # 50 min of an hour at 9.6 c x 1/2
            "A on demand": "4",
        },
    ),
    Golden(
        name="the price changes twice",
        by_hand="20 min at 6 c/h = 2 c, 30 min at 12 c/h = 6 c, 10 min at 3 c/h = 0.5 c; the worker fills the host",
        sessions=(worker("w", 0, 60, vcpus=2.0),),
        prices=((-600, "0.06"), (20, "0.12"), (50, "0.03"), (9000, "7")),
        cents={"instances": "8.5", "A": "8.5", "boot": "0", "idle": "0", "spare": "0", "A on demand": "9.6"},
    ),
    Golden(
        name="workers one after the other",
        by_hand="20 min full = 2 c for two; 20 min empty = 2 c idle; 20 min half = 1 c and 1 c spare",
        sessions=(worker("a", 0, 20), worker("b", 0, 20), worker("c", 40, 60)),
        cents={"instances": "6", "A": "3", "boot": "0", "idle": "2", "spare": "1"},
    ),
    Golden(
        name="memory is the larger share",
        by_hand="6 GiB of 8 is 3/4, a quarter of a vCPU is 1/8: the worker has 3/4 of 6 c",
        sessions=(worker("w", 0, 60, vcpus=0.25, memory_mib=6144),),
        cents={"instances": "6", "A": "4.5", "boot": "0", "idle": "0", "spare": "1.5"},
    ),
    Golden(
        name="two runs whose shares exceed the host",
        by_hand="3/4 of the vCPUs and 3/4 of the memory: 30 min alone = 2.25 c and 0.75 c spare, 30 min halved = 1.5 c each",
        sessions=(
            worker("a", 0, 60, vcpus=1.5),
            worker("b", 30, 60, vcpus=0.1, memory_mib=6144, run_id="B"),
        ),
        cents={"instances": "6", "A": "3.75", "B": "1.5", "boot": "0", "idle": "0", "spare": "0.75"},
    ),
    Golden(
        name="reclaimed after 59 minutes and 59 seconds",
        by_hand="within the first hour: EC2 charges nothing; spared is the worker's half of 49 min = 2.45 c",
        sessions=(worker("w", 10, 59, reclaimed_at=59 + 59 / 60),),
        cents={"instances": "0", "A": "0", "boot": "0", "idle": "0", "spare": "0", "A free": "2.45"},
    ),
    Golden(
        name="reclaimed after an hour",
        by_hand="an hour is over: 6 c; the worker 49 min x 1/2 = 2.45 c; boot 1 c; 1 min without it 0.1 c; spare 2.45 c",
        sessions=(worker("w", 10, 59, reclaimed_at=60),),
        cents={"instances": "6", "A": "2.45", "boot": "1", "idle": "0.1", "spare": "2.45", "A free": "0"},
    ),
    Golden(
        name="ended by Batch in its first hour",
        by_hand="nobody reclaimed it: 30 min = 3 c",
        sessions=(worker("w", 0, 30, vcpus=2.0),),
        cents={"instances": "3", "A": "3", "boot": "0", "idle": "0", "spare": "0", "A free": "0"},
    ),
    Golden(
        name="a host that had been somebody else's for hours",
        by_hand="up for 100 min before its first known worker: charged from there, 20 min = 2 c, half of it the worker's",
        sessions=(worker("w", 100, 120),),
        cents={"instances": "2", "A": "1", "boot": "0", "idle": "0", "spare": "1"},
    ),
    Golden(
        name="a life of fifteen seconds",
        by_hand="a minute is charged, 0.1 c; the worker had the host for a quarter of it",
        sessions=(worker("w", 0, 0.25, vcpus=2.0),),
        cents={"instances": "0.1", "A": "0.025", "boot": "0", "idle": "0.075", "spare": "0"},
    ),
    Golden(
        name="an on-demand worker instead of Spot",
        by_hand="9.6 c, of it 6 c is what Spot would have cost: premium 3.6 c; half of the time was work",
        sessions=(worker("w", 0, 60, vcpus=2.0, lifecycle="on-demand", work=30),),
        cents={
            "instances": "9.6", "A": "9.6", "boot": "0", "idle": "0", "spare": "0", "A premium": "3.6", "A work": "3",
            "A boot": "3", "A on demand": "9.6",
        },
    ),
    Golden(
        name="shards of two workers",
        by_hand=(
            "a (Spot, half) costs 0.05 c a minute, b (on demand, half) 0.08 c; shard 0: 20 min of a = 1 c; "
            "shard 1: 30 min of b = 2.4 c, and 10 min of earlier work at the mean of 7.8 c / 120 min = 0.65 c"
        ),
        sessions=(worker("a", 0, 60), worker("b", 0, 60, instance_id="i-2", lifecycle="on-demand")),
        shards=(shard(0, "a", 20), shard(1, "b", 30, earlier=10)),
        cents={
            "instances": "15.6", "A": "7.8", "boot": "0", "idle": "0", "spare": "7.8",
            "shard 0": "1", "shard 1": "3.05", "overhead": "3.75",
        },
    ),
)  # fmt: skip


class FixedPrices:
    """The same spot prices for every pool."""

    def __init__(self, prices: tuple[tuple[float, str], ...]) -> None:
        self._steps = tuple(
            PriceStep(since=NOON + timedelta(minutes=minute), usd_per_hour=Decimal(usd)) for minute, usd in prices
        )

    def steps(self, *, instance_type: str, zone: str, since: datetime, until: datetime) -> tuple[PriceStep, ...]:  # noqa: ARG002
        return self._steps


def measured_cents(case: Golden) -> dict[str, str]:
    """What the library makes of the timeline, under the names of `cents`."""
    bills = bill_hosts(case.sessions, PriceBook(on_demand=LISTED, spot=FixedPrices(case.prices)))
    found = {
        "instances": sum((bill.usd for bill in bills), Decimal(0)),
        "boot": sum((bill.charged.unallocated.boot for bill in bills), Decimal(0)),
        "idle": sum((bill.charged.unallocated.idle for bill in bills), Decimal(0)),
        "spare": sum((bill.charged.unallocated.spare for bill in bills), Decimal(0)),
    }
    for run_id in sorted({session.run_id for session in case.sessions}):
        cost = cost_of_bills(bills, run_id=run_id)
        split = cost.split
        found |= {
            run_id: cost.usd,
            f"{run_id} free": cost.free_usd,
            f"{run_id} on demand": cost.on_demand_usd,
            f"{run_id} work": split.work,
            f"{run_id} redone": split.redone,
            f"{run_id} checkpoint": split.checkpoint,
            f"{run_id} idle": split.idle,
            f"{run_id} boot": split.boot,
            f"{run_id} premium": split.premium,
        }
    if case.shards:
        costs = shard_costs(case.shards, cost_of_bills(bills, run_id="A"))
        found |= {f"shard {each.work.index}": each.usd for each in costs.shards} | {"overhead": costs.overhead_usd}
    return {name: f"{(100 * usd).normalize():f}" for name, usd in found.items()}
