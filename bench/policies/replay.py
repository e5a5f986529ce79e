"""One job replayed on a market, in the model of "Can't Be Late" (NSDI 2024): one worker, whole ticks.

Each tick the policy sees whether there is Spot and chooses where to be. Starting on a host costs `changeover` ticks that
are paid and bring nothing; so does starting again after a loss. Progress survives losses. On-demand is always there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol


class Place(IntEnum):
    NOWHERE = 0
    SPOT = 1
    ON_DEMAND = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Ticks of work, until the deadline, and of one changeover; what an on-demand tick costs in Spot ticks."""

    work: int
    deadline: int
    changeover: int
    price_ratio: float
    step_s: float

    @property
    def on_demand_cost(self) -> float:
        """Of doing all on demand."""
        return self.price_ratio * (self.work + self.changeover)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What a policy may know at a tick: the past and the present."""

    tick: int  # since the job's start
    work_left: int
    place: Place  # a Spot host that was lost is NOWHERE
    starting: int  # ticks of the changeover still to go
    spot: bool  # there is Spot in this tick
    up_ticks: int  # seen so far, this tick not counted
    losses: int  # seen so far: ticks without Spot after one with it


class Policy(Protocol):
    """Decides one job, from its first tick to its last; may remember."""

    def choose(self, view: View) -> Place: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    ticks: int  # until the work was done
    spot_ticks: int
    on_demand_ticks: int
    changeovers: int

    def cost(self, job: Job) -> float:
        """In Spot ticks."""
        return self.spot_ticks + job.price_ratio * self.on_demand_ticks

    def met(self, job: Job) -> bool:
        return self.ticks <= job.deadline


def replay(job: Job, market: Sequence[bool], policy: Policy) -> Outcome:
    """Play the job from the market's first tick; after the market's end there is no Spot.

    Raises:
        ValueError: the policy chose Spot where there is none, or does not finish within ten deadlines.
    """
    place, starting, work_left, changeovers, up_ticks, losses = Place.NOWHERE, 0, job.work, 0, 0, 0
    paid = {Place.NOWHERE: 0, Place.SPOT: 0, Place.ON_DEMAND: 0}
    was_up = False
    for tick in range(10 * job.deadline):
        if work_left == 0:
            return Outcome(
                ticks=tick,
                spot_ticks=paid[Place.SPOT],
                on_demand_ticks=paid[Place.ON_DEMAND],
                changeovers=changeovers,
            )
        up = tick < len(market) and market[tick]
        losses += was_up and not up
        if place is Place.SPOT and not up:
            place, starting = Place.NOWHERE, 0
        chosen = policy.choose(
            View(
                tick=tick,
                work_left=work_left,
                place=place,
                starting=starting,
                spot=up,
                up_ticks=up_ticks,
                losses=losses,
            )
        )
        if chosen is Place.SPOT and not up:
            raise ValueError(f"there is no Spot at tick {tick}")
        if chosen is not place:
            starting = 0 if chosen is Place.NOWHERE else job.changeover
            changeovers += chosen is not Place.NOWHERE
            place = chosen
        paid[place] += 1
        if place is not Place.NOWHERE:
            work_left, starting = (work_left, starting - 1) if starting else (work_left - 1, 0)
        up_ticks += up
        was_up = up
    raise ValueError(f"not done after ten deadlines of {job.deadline} ticks")
