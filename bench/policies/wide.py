"""Runs of several workers: the controller's decision for n places at once, on markets recorded at the same time.

Each place is one zone's trace. The run's shards (half an hour of work each) are taken by whoever works; a lost worker's
shard goes back with its progress, and what waits longest goes first. On-demand workers work beside Spot ones. Compared with as many jobs of one worker that
do one n-th each on their own place, by uniform progress and by ours, and with a bound that no schedule can beat.
"""

import random
import statistics
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bench.policies.baselines import EagerUniformProgress, UniformProgress
from bench.policies.grid import LENGTHS, PRICE_RATIO, Cell, cells
from bench.policies.ours import Ours
from bench.policies.replay import Job, Policy, replay
from bench.policies.trace import Trace
from spotproof.capacity.deadline import DeadlineDecision, DeadlineFacts, SpotMarket, decide_deadline

SHARD_H: Final = 0.5
Market = Sequence[Sequence[bool]]  # by place, by tick


@dataclass(slots=True, kw_only=True)
class _Body:
    starting: int
    shard: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WideOutcome:
    ticks: int
    spot_ticks: int
    on_demand_ticks: int


@dataclass(slots=True)
class WideRun:
    """One run on n places; `job.work` is per place."""

    job: Job
    market: Market
    left: dict[int, int] = field(init=False)  # ticks of each unfinished shard
    fresh: deque[int] = field(init=False)
    returned: deque[int] = field(default_factory=deque)
    on_spot: dict[int, _Body] = field(default_factory=dict)  # by place
    on_demand: list[_Body] = field(default_factory=list)
    up_ticks: int = 0
    losses: int = 0
    was_up: Sequence[bool] = ()

    def __post_init__(self) -> None:
        shard = max(1, round(SHARD_H * 3600 / self.job.step_s))
        total = self.job.work * len(self.market)
        self.left = {index: min(shard, total - at) for index, at in enumerate(range(0, total, shard))}
        self.fresh = deque(self.left)

    def play(self) -> WideOutcome:
        spot_ticks = on_demand_ticks = 0
        for tick in range(10 * self.job.deadline):
            if not self.left:
                return WideOutcome(ticks=tick, spot_ticks=spot_ticks, on_demand_ticks=on_demand_ticks)
            up = [tick < len(place) and place[tick] for place in self.market]
            self._lose(up)
            self._follow(decide_deadline(self._facts(tick, up)), up)
            spot_ticks += len(self.on_spot)
            on_demand_ticks += len(self.on_demand)
            for body in (*self.on_spot.values(), *self.on_demand):
                self._work(body)
            self.up_ticks += sum(up)
            self.was_up = up
        raise ValueError(f"not done after ten deadlines of {self.job.deadline} ticks")

    def _lose(self, up: Sequence[bool]) -> None:
        self.losses += sum(before and not now for before, now in zip(self.was_up, up, strict=False))
        for place, is_up in enumerate(up):
            if not is_up and place in self.on_spot:
                self._dismiss(self.on_spot.pop(place))

    def _facts(self, tick: int, up: Sequence[bool]) -> DeadlineFacts:
        step_s, width = self.job.step_s, len(self.market)
        running = sum(not body.starting for body in self.on_spot.values())
        return DeadlineFacts(
            now_s=tick * step_s,
            deadline_s=self.job.deadline * step_s,
            work_left_s=sum(self.left.values()) * step_s,
            shards_left=len(self.left),
            shard_s=max(self.left.values()) * step_s,
            workers=width,
            restart_s=self.job.changeover * step_s,
            step_s=step_s,
            spot_running=running,
            spot_starting=sum(up) - running,
            on_demand_running=len(self.on_demand),
            market=SpotMarket(
                up_s=self.up_ticks * step_s,
                short_s=(tick * width - self.up_ticks) * step_s,
                losses=self.losses,
            ),
        )

    def _follow(self, decision: DeadlineDecision, up: Sequence[bool]) -> None:
        while len(self.on_demand) < decision.on_demand_workers:
            self.on_demand.append(_Body(starting=self.job.changeover))
        while len(self.on_demand) > decision.on_demand_workers:
            self._dismiss(self.on_demand.pop())
        for place, is_up in enumerate(up):
            if is_up and place not in self.on_spot and len(self.on_spot) < decision.spot_workers:
                self.on_spot[place] = _Body(starting=self.job.changeover)

    def _work(self, body: _Body) -> None:
        if body.starting:
            body.starting -= 1
            return
        if body.shard is None:
            waiting = self.returned or self.fresh
            if not waiting:
                return
            body.shard = waiting.popleft()
        self.left[body.shard] -= 1
        if self.left[body.shard] == 0:
            del self.left[body.shard]
            body.shard = None

    def _dismiss(self, body: _Body) -> None:
        if body.shard is not None:
            self.returned.append(body.shard)


def play_wide(traces: Sequence[Trace], *, starts: int, seed: int) -> dict[str, Any]:
    """All availability traces together, one place each: they were recorded at the same time with the same step."""
    together = [trace for trace in traces if trace.kind == "availability"]
    rng = random.Random(seed)
    results: dict[str, Any] = {"places": [trace.name for trace in together], "shard_h": SHARD_H, "cells": {}}
    for cell in cells():
        job = cell.job(together[0].step_s, PRICE_RATIO)
        ticks = min(len(trace.up) for trace in together)
        if ticks < LENGTHS * job.deadline:
            continue
        begins = [rng.randrange(ticks - job.deadline) for _ in range(starts)]
        markets = [[trace.up[begin : begin + job.deadline] for trace in together] for begin in begins]
        results["cells"][_name(cell)] = _compared(job, markets)
    return results


def _compared(job: Job, markets: Sequence[Market]) -> dict[str, Any]:
    outcomes = [WideRun(job, market).play() for market in markets]
    costs = [outcome.spot_ticks + job.price_ratio * outcome.on_demand_ticks for outcome in outcomes]
    return {
        "n": len(markets),
        "met": sum(outcome.ticks <= job.deadline for outcome in outcomes) / len(outcomes),
        "ours": _share(job, markets, costs),
        "ours_one_by_one": _share(job, markets, [_alone(job, market, Ours) for market in markets]),
        "uniform_progress_one_by_one": _share(
            job, markets, [min(_alone(job, market, each) for each in UNIFORM) for market in markets]
        ),
        "bound": _share(job, markets, [_bound(job, market) for market in markets]),
    }


UNIFORM: Final = (UniformProgress, EagerUniformProgress)  # the cheaper reading counts, run by run


def _alone(job: Job, market: Market, policy: Callable[[Job], Policy]) -> float:
    return sum(replay(job, place, policy(job)).cost(job) for place in market)


def _bound(job: Job, market: Market) -> float:
    """All Spot there is until the deadline, without a changeover, and on-demand for the rest."""
    work = job.work * len(market)
    spot = min(work, sum(map(sum, market)))
    return spot + job.price_ratio * (work - spot)


def _share(job: Job, markets: Sequence[Market], costs: Sequence[float]) -> float:
    """Mean cost as a share of all on demand."""
    return round(statistics.fmean(costs) / (job.on_demand_cost * len(markets[0])), 4)


def _name(cell: Cell) -> str:
    return f"{cell.work_h:g} h, deadline x {cell.deadline_ratio:.3f}, changeover {cell.changeover_h:g} h"
