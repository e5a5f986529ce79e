"""A campaign: one undisturbed run, then run after run, each in a storm of its own."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from demo.outputs import RunOutput
from spotproof.leases.model import RunId
from tests.local.storm.aftermath import Drain, came_too_late, drain_of, failure_kind, lost_work_s, what_zombie_noticed
from tests.local.storm.ledger import PROCESS_EVENTS, TOLD, process_events
from tests.local.storm.plan import Blow, Trouble, plan_storm
from tests.local.storm.play import LOOK_S, Played, Player, StormError
from tests.local.storm.stage import Stage
from tests.local.storm.trace import write_trace
from tests.local.storm.verdict import Broken, judge

CALM_LIMIT_S: Final = 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """All runs with what they broke."""

    played: Sequence[Played]
    broken: Sequence[Broken]

    @property
    def events(self) -> int:
        """Events on real processes, spot notices not counted."""
        counts = process_events(one.ledger for one in self.played)
        return sum(counts[blow] for blow in PROCESS_EVENTS)

    @property
    def drains(self) -> list[Drain]:
        """Every notice and SIGTERM that found a worker with a shard."""
        dealt = ((one, each) for one in self.played for each in one.ledger.blows)
        told = (drain_of(each, one) for one, each in dealt if each.step.blow in TOLD and not each.cut_short)
        return [drain for drain in told if drain is not None]

    @property
    def lost_per_kill_s(self) -> list[float]:
        """Seconds of work that each kill without notice cost."""
        dealt = ((one, each) for one in self.played for each in one.ledger.blows if each.step.blow is Blow.KILL)
        lost = (lost_work_s(each, one) for one, each in dealt)
        return [seconds for seconds in lost if seconds is not None]

    def report(self) -> dict[str, Any]:
        """The campaign in numbers."""
        counts = process_events(one.ledger for one in self.played)
        troubles = Counter(str(seen.trouble) for one in self.played for seen in one.ledger.troubles if seen.effects)
        return {
            "runs": len(self.played),
            "seeds": [one.ledger.seed for one in self.played],
            "process_events": self.events,
            "events": {str(blow): counts[blow] for blow in Blow},
            "troubles": dict(troubles),
            "workers_submitted_again": sum(one.ledger.submissions - 1 for one in self.played),
            "zombies": self._zombies(),
            "no_memory_or_disk": self._failures(),
            "told_to_stop": {str(blow): self._drained(blow) for blow in TOLD},
            "lost_per_kill_s": quantiles(self.lost_per_kill_s),
            "run_s": quantiles([one.took_s for one in self.played]),
            "broken_promises": [str(one) for one in self.broken],
        }

    def _drained(self, blow: Blow) -> dict[str, Any]:
        """How workers with a shard left it. After SIGTERM the host's own end may take the shard from them first."""
        drains = [drain for drain in self.drains if drain.blow is blow]
        done = [drain for drain in drains if drain.took_s is not None]
        shares = [drain.took_s / drain.window_s for drain in done if drain.took_s and drain.window_s]
        return {
            "handed_back": sum(not drain.finished for drain in done),
            "finished": sum(drain.finished for drain in done),
            "taken_from_them": len(drains) - len(done),
            "hand_back_s": quantiles(drain.took_s for drain in done if drain.took_s and not drain.finished),
            "let_go_s": quantiles(drain.took_s for drain in done if drain.took_s),
            "share_of_window": quantiles(shares),
            "lost_s": quantiles(drain.lost_s for drain in drains),
        }

    def _zombies(self) -> dict[str, int]:
        frozen = [
            (one, each)
            for one in self.played
            for each in one.ledger.blows
            if each.step.blow is Blow.FREEZE and not each.cut_short and not came_too_late(each, one)
        ]
        said = Counter(what_zombie_noticed(each, one) or "nothing" for one, each in frozen)
        return {"commits_refused": sum(each.commit_refused is True for _, each in frozen), **said}

    def _failures(self) -> dict[str, dict[str, int]]:
        found: dict[str, Counter[str]] = {str(Blow.MEMORY): Counter(), str(Blow.DISK): Counter()}
        for one in self.played:
            for each in one.ledger.blows:
                if str(each.step.blow) in found and not each.cut_short:
                    found[str(each.step.blow)][failure_kind(each, one) or "no effect"] += 1
        return {blow: dict(kinds) for blow, kinds in found.items()}


def quantiles(values: Iterable[float]) -> dict[str, float]:
    """Count, median, 99th percentile (nearest rank) and maximum; only the count if there is nothing."""
    ordered = sorted(values)
    if not ordered:
        return {"n": 0}
    rank = {share: ordered[max(0, math.ceil(share * len(ordered)) - 1)] for share in (0.5, 0.99)}
    return {
        "n": len(ordered),
        "p50": round(rank[0.5], 3),
        "p99": round(rank[0.99], 3),
        "max": round(ordered[-1], 3),
    }


def run_campaign(
    stage: Stage,
    storms: Sequence[tuple[int, Trouble]],
    *,
    mix: Mapping[Blow, int],
    traces: Path,
    say: Callable[[str], None] = lambda _text: None,
) -> Campaign:
    """Play every storm (seed and trouble) and judge each run against the undisturbed one.

    Args:
        traces: directory for the stories of runs that broke a promise.

    Raises:
        StormError: a run did not end.
    """
    undisturbed = run_undisturbed(stage)
    played: list[Played] = []
    broken: list[Broken] = []
    for number, (seed, trouble) in enumerate(storms):
        plan = plan_storm(seed, trouble=trouble, mix=mix)
        one = Player(stage=stage, plan=plan, run_id=RunId(f"storm-{number}-{seed}")).play()
        found = judge(one, undisturbed)
        played.append(one)
        broken.extend(found)
        say(
            f"{one.ledger.run_id}: {one.took_s:.1f} s, {len(one.ledger.blows)} of {len(plan.steps)} blows, "
            f"trouble {trouble}, {len(found)} broken promises"
        )
        for each in found:
            say(f"  {each}")
        if found:
            say(f"  told in {write_trace(one, found, traces)}")
    return Campaign(played=played, broken=broken)


def run_undisturbed(stage: Stage) -> RunOutput:
    """The output of a run that nobody disturbs.

    Raises:
        StormError: it did not end.
    """
    run_id = RunId("calm")
    deadline = stage.clock.monotonic() + CALM_LIMIT_S
    stage.submit(run_id, pace_s=0.0)
    while (run := stage.run(run_id)) is None or not stage.is_over(run):
        if stage.clock.monotonic() > deadline:
            raise StormError(f"the undisturbed run is not over after {CALM_LIMIT_S:g} s")
        stage.clock.sleep(LOOK_S)
    return stage.output(run_id)
