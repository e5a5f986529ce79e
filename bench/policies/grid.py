"""The jobs that are replayed: lengths, deadlines, changeovers and starts on each trace, and what each policy made of them.

The long job, two deadlines, the changeovers and the prices are those of Frontier-CS, a public benchmark on the simulator of
"Can't Be Late" (its problem cant_be_late): 48 h of work, due after 52 h (tight) or 70 h (loose), changeovers of 0.05 h and
0.2 h, p3.2xlarge at 3.06 $/h on demand and 0.97 $/h on Spot. The other lengths and deadlines are ours, because a run of
this product takes hours rather than days.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bench.policies.baselines import EagerUniformProgress, Greedy, LossesThenOnDemand, UniformProgress
from bench.policies.optimum import optimum
from bench.policies.ours import Ours
from bench.policies.replay import Job, Policy, replay
from bench.policies.trace import Trace

WORK_H: Final = (48.0, 12.0, 4.0)
DEADLINE_RATIOS: Final = (52 / 48, 1.25, 70 / 48, 2.0)
LOOSE_FROM: Final = 70 / 48  # deadline over work
CHANGEOVERS_H: Final = (0.05, 0.2)
LENGTHS: Final = 3  # a trace must be so many deadlines long: starts in a shorter one see the same market
PRICE_RATIO: Final = 3.06 / 0.97
POLICIES: Final[Mapping[str, Callable[[Job], Policy]]] = {
    "greedy": Greedy,
    "n-then-on-demand": LossesThenOnDemand,
    "uniform-progress": UniformProgress,
    "uniform-progress-eager": EagerUniformProgress,
    "ours": Ours,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    work_h: float
    deadline_ratio: float
    changeover_h: float

    @property
    def loose(self) -> bool:
        return self.deadline_ratio >= LOOSE_FROM

    def job(self, step_s: float, price_ratio: float) -> Job:
        """In whole ticks: a changeover is at least one, the others are rounded."""
        work = round(self.work_h * 3600 / step_s)
        return Job(
            work=work,
            deadline=round(work * self.deadline_ratio),
            changeover=max(1, round(self.changeover_h * 3600 / step_s)),
            price_ratio=price_ratio,
            step_s=step_s,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """One job from one start: each policy's cost over that of all on demand, and the optimum's."""

    cell: Cell
    trace: str
    optimum: float
    costs: Mapping[str, float]
    met: Mapping[str, bool]

    def over_optimum(self, policy: str) -> float:
        return self.costs[policy] / self.optimum


def cells() -> list[Cell]:
    return [
        Cell(work_h=work_h, deadline_ratio=ratio, changeover_h=changeover_h)
        for work_h in WORK_H
        for ratio in DEADLINE_RATIOS
        for changeover_h in CHANGEOVERS_H
    ]


def play_all(
    traces: Sequence[Trace],
    *,
    starts: int,
    seed: int,
    price_ratio: float = PRICE_RATIO,
    policies: Mapping[str, Callable[[Job], Policy]] = POLICIES,
) -> Iterator[Played]:
    """Every cell on every trace that is `LENGTHS` deadlines long, from seeded starts."""
    rng = random.Random(seed)
    for cell in cells():
        for trace in traces:
            job = cell.job(trace.step_s, price_ratio)
            if len(trace.up) < LENGTHS * job.deadline:
                continue
            for _ in range(starts):
                start = rng.randrange(len(trace.up) - job.deadline)
                yield _play(cell, job, trace, start, policies)


def _play(cell: Cell, job: Job, trace: Trace, start: int, policies: Mapping[str, Callable[[Job], Policy]]) -> Played:
    market = trace.up[start : start + job.deadline]
    outcomes = {name: replay(job, market, policy(job)) for name, policy in policies.items()}
    return Played(
        cell=cell,
        trace=trace.name,
        optimum=optimum(job, market) / job.on_demand_cost,
        costs={name: outcome.cost(job) / job.on_demand_cost for name, outcome in outcomes.items()},
        met={name: outcome.met(job) for name, outcome in outcomes.items()},
    )
