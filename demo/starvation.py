"""What the famine showed: did the run go on without Spot, did it come back, and what did that cost."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from demo.famine import Famine, Phase
from demo.verdicts import Verdict, committed_once, same_bytes
from spotproof.leases.model import CapacityClass, HistoryEntry, Run, Session, Shard, StopKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Starved:
    """What was seen of the run. Times: seconds since 1970."""

    run: Run
    shards: Mapping[int, Shard]
    sessions: Sequence[Session]
    committed_in_log: Sequence[int]
    famine: Famine
    history: Sequence[HistoryEntry]
    undisturbed: Mapping[str, str]  # object name to SHA-256
    published: Mapping[str, str]
    cost: Mapping[str, Any]  # of `_SUCCESS`
    started_at: float
    run_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StarvationReport:
    """Ready to be shown."""

    started_at: float
    run_s: float
    decisions: Sequence[HistoryEntry]
    cost: Mapping[str, Any]
    verdicts: Sequence[Verdict]

    @property
    def holds(self) -> bool:
        return all(verdict.holds for verdict in self.verdicts if verdict.promise)


def judge_starvation(starved: Starved) -> StarvationReport:
    """Every claim about a run that was starved of Spot."""
    return StarvationReport(
        started_at=starved.started_at,
        run_s=starved.run_s,
        decisions=starved.history,
        cost=starved.cost,
        verdicts=[
            went_on(starved.famine),
            came_back(starved.famine, starved.sessions),
            explained(starved.history),
            committed_once(starved.run, starved.shards, starved.committed_in_log),
            same_bytes(starved.undisturbed, starved.published),
        ],
    )


def went_on(famine: Famine) -> Verdict:
    """On-demand workers committed shards while there was no Spot capacity."""
    began, ended = famine.entered.get(Phase.FAMINE), famine.entered.get(Phase.RELIEF)
    if began is None or ended is None or famine.first_on_demand is None:
        seen = "there was no famine" if began is None else "no shard was committed on demand"
    else:
        seen = f"on-demand work {famine.first_on_demand - began:.1f} s after the last Spot host was noticed"
        seen += f", a shard committed {ended - began:.1f} s after"
    return Verdict(claim="without Spot capacity the run goes on, on demand", holds=ended is not None, seen=seen)


def came_back(famine: Famine, sessions: Sequence[Session]) -> Verdict:
    """Spot workers work again, and on-demand workers were sent home."""
    relief, back = famine.entered.get(Phase.RELIEF), famine.entered.get(Phase.BACK)
    on_demand = [each for each in sessions if each.host.lifecycle == CapacityClass.ON_DEMAND]
    retired = sum(each.stop is not None and each.stop.kind is StopKind.RETIRED for each in on_demand)
    seen = f"{retired} of {len(on_demand)} on-demand workers sent home"
    if relief is not None and back is not None:
        seen = f"Spot work {back - relief:.1f} s after capacity was back, " + seen
    else:
        seen = "no Spot worker came back, " + seen
    return Verdict(claim="with Spot capacity back the run returns to Spot", holds=back is not None, seen=seen)


def explained(history: Sequence[HistoryEntry]) -> Verdict:
    """Every decision about capacity is in the run's history with its reason."""
    mute = [each.kind for each in history if not each.reason]
    return Verdict(
        claim="every decision is in the run's history, with its reason",
        holds=bool(history) and not mute,
        seen=f"no reason for: {', '.join(mute)}" if mute else f"{len(history)} decisions",
    )


def page(report: StarvationReport) -> Iterator[tuple[str, str]]:
    """Style and text of each line."""
    yield "bold", ""
    yield "bold", f"A run without Spot for a while ({report.run_s:.1f} s; seconds since it was submitted)"
    for entry in report.decisions:
        yield "", f"  {entry.at / 1000 - report.started_at:6.1f}  {entry.kind}: {entry.reason}"
    usd, premium = report.cost.get("usd"), report.cost.get("fallback_premium_usd")
    if usd is not None and premium is not None:
        yield "", f"  cost, simulated prices: ${usd}, of it ${premium} because there was no Spot"
