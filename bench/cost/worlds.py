"""Random timelines of hosts, priced a second time by a clock that ticks: nothing of the library's arithmetic in it."""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Final

from bench.cost.golden import NOON
from spotproof.costs.host_bill import HostBill
from spotproof.costs.prices import InstancePrice, PriceStep
from spotproof.costs.worked_session import WorkedSession

TICK: Final = timedelta(seconds=15)  # every moment in a world is a whole number of ticks
TICKS: Final = 600
TYPES: Final = {
    "m5.large": InstancePrice(vcpus=2, usd_per_hour=Decimal("0.096"), memory_mib=8192),
    "c6i.xlarge": InstancePrice(vcpus=4, usd_per_hour=Decimal("0.17"), memory_mib=8192),
    "r5.2xlarge": InstancePrice(vcpus=8, usd_per_hour=Decimal("0.504"), memory_mib=65536),
}
RUNS: Final = ("A", "B", "C")


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Workers of a few runs on a few hosts, and the market they lived in."""

    sessions: tuple[WorkedSession, ...]
    changes: tuple[tuple[int, Decimal], ...]  # tick, and US dollars an hour from then on

    def steps(self, *, instance_type: str, zone: str, since: datetime, until: datetime) -> tuple[PriceStep, ...]:  # noqa: ARG002
        """The market is one for all pools."""
        return tuple(PriceStep(since=moment(tick), usd_per_hour=usd) for tick, usd in self.changes)


def moment(tick: int) -> datetime:
    return NOON + tick * TICK


def random_world(rng: random.Random) -> World:
    """Up to four hosts with up to six workers each, which overlap, leave gaps, and ask for more than there is."""
    sessions: list[WorkedSession] = []
    for host in range(rng.randint(1, 4)):
        kind, lifecycle = rng.choice(sorted(TYPES)), rng.choice(["spot", "spot", "on-demand"])
        launched = rng.randrange(TICKS // 2)
        stays = [_stay(rng, launched) for _ in range(rng.randint(1, 6))]
        last = max(until for _, until in stays)
        reclaimed = last + rng.randrange(8) if rng.random() < 0.4 else None
        sessions.extend(
            WorkedSession(
                session_id=f"s{host}-{number}",
                run_id=rng.choice(RUNS),
                instance_id=f"i-{host}",
                instance_type=kind,
                zone="us-east-1a",
                lifecycle=lifecycle,
                vcpus=rng.choice([0.25, 0.5, 1.0, 2.0, 3.0]),
                memory_mib=rng.choice([0, 900, 1800, 4096, 7000]),
                started_at=moment(since),
                ended_at=moment(until),
                launched_at=moment(launched),
                reclaimed_at=None if reclaimed is None else moment(reclaimed),
            )
            for number, (since, until) in enumerate(stays)
        )
    ticks = sorted(rng.sample(range(-50, TICKS), rng.randint(1, 8)))
    return World(
        sessions=tuple(sessions),
        changes=tuple((tick, Decimal(rng.randint(100, 99_999)) / 10_000) for tick in ticks),
    )


def _stay(rng: random.Random, launched: int) -> tuple[int, int]:
    since = launched + rng.randrange(TICKS // 4)
    return since, since + rng.choice([0, 1, 2, 7, 40, rng.randrange(TICKS)])


def ticking_cost(world: World, bill: HostBill) -> tuple[Fraction, dict[str, Fraction]]:
    """What the host and each of its workers cost in US dollars, one tick after the other."""
    stays = bill.life.sessions
    size = TYPES[stays[0].instance_type]
    ends = [each.ended_at for each in stays] + [each.reclaimed_at for each in stays if each.reclaimed_at]
    launched = min(each.launched_at or each.started_at for each in stays)
    end = max(ends)
    reclaimed = any(each.reclaimed_at for each in stays)
    if stays[0].lifecycle == "spot" and reclaimed and end - launched < timedelta(hours=1):
        return Fraction(0), {each.session_id: Fraction(0) for each in stays}
    whole, parts = Fraction(0), {each.session_id: Fraction(0) for each in stays}
    first = min(each.started_at for each in stays)
    now = began = launched if first - launched <= timedelta(minutes=15) else first
    while now < max(end, began + timedelta(minutes=1)):
        usd = _price(world, size, stays[0].lifecycle, now) * Fraction(TICK // timedelta(seconds=1), 3600)
        whole += usd
        here = {each.session_id: _share(each, size) for each in stays if each.started_at <= now < each.ended_at}
        crowd = max(Fraction(1), sum(here.values(), Fraction(0)))
        for name, share in here.items():
            parts[name] += usd * share / crowd
        now += TICK
    return whole, parts


def _price(world: World, size: InstancePrice, lifecycle: str, now: datetime) -> Fraction:
    if lifecycle != "spot":
        return Fraction(size.usd_per_hour)
    valid = [usd for tick, usd in world.changes if moment(tick) <= now] or [world.changes[0][1]]
    return Fraction(valid[-1])


def _share(session: WorkedSession, size: InstancePrice) -> Fraction:
    of_vcpus = Fraction(session.vcpus) / size.vcpus
    return min(Fraction(1), max(of_vcpus, Fraction(session.memory_mib, size.memory_mib)))
