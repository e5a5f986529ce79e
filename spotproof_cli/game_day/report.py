"""The report of a game day, for people and for programs."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from spotproof_cli.game_day.evidence import Evidence
from spotproof_cli.game_day.promise import judge, latencies, struck
from spotproof_cli.game_day.spread import spread
from spotproof_cli.game_day.strikes import Strike, StruckShard
from spotproof_cli.game_day.verdicts import Verdict

SCHEMA: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a game day found."""

    evidence: Evidence
    strikes: Sequence[Strike]
    verdicts: Sequence[Verdict]
    strict: bool

    @property
    def broken(self) -> list[Verdict]:
        """Promises that do not hold, and with `strict` bars that were missed; what did not happen is not missed."""
        return [each for each in self.verdicts if not each.holds and (each.promise or (self.strict and each.measured))]

    @property
    def verdict(self) -> str:
        """The whole game day in one word."""
        if self.broken:
            return "broken"
        return "kept" if self.evidence.run.state.ended else "unfinished"


def make_report(evidence: Evidence, *, strict: bool) -> Report:
    """Judge the evidence."""
    found = struck(evidence)
    return Report(evidence=evidence, strikes=found, verdicts=judge(evidence, found), strict=strict)


def write_report(report: Report, directory: Path) -> None:
    """Write `report.json` and `report.md` into the directory, which is made."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "report.json").write_text(json.dumps(fields(report), indent=2, ensure_ascii=False) + "\n", "utf-8")
    (directory / "report.md").write_text("\n".join(lines(report)) + "\n", "utf-8")


def fields(report: Report) -> dict[str, Any]:
    """The report as a JSON value."""
    evidence = report.evidence
    return {
        "schema": SCHEMA,
        "verdict": report.verdict,
        "plan": evidence.plan.name,
        "run": {"id": evidence.run.run_id, "state": evidence.run.state.value, "shards": evidence.run.shards},
        "experiment": {
            "id": evidence.experiment.experiment_id,
            "status": evidence.experiment.status,
            "reason": evidence.experiment.reason,
            "aim": evidence.aim.reason,
            "starved_groups": list(evidence.groups),
        },
        "started_at": _moment(evidence.started_at),
        "ended_at": _moment(evidence.ended_at),
        "claims": [
            {
                "claim": each.claim,
                "holds": each.holds,
                "seen": each.seen,
                "promise": each.promise,
                "measured": each.measured,
            }
            for each in report.verdicts
        ],
        "latencies_s": {
            name: {key: round(value, 3) for key, value in asdict(measured).items()}
            for name, durations in latencies(report.strikes).items()
            if (measured := spread(durations)) is not None
        },
        "lost_s": round(_lost_s(report), 3),
        "worked_s": round(_worked_s(evidence), 3),
        "struck": [_strike_fields(each) for each in report.strikes],
    }


def lines(report: Report) -> Iterator[str]:
    """The report as Markdown."""
    evidence = report.evidence
    yield f"# Game day `{evidence.plan.name}` on run `{evidence.run.run_id}`: {report.verdict}"
    yield ""
    yield f"{_moment(evidence.started_at)} to {_moment(evidence.ended_at)}: {evidence.plan.summary}."
    experiment = evidence.experiment
    yield f"Experiment `{experiment.experiment_id}` is {experiment.status}; {evidence.aim.reason}."
    if evidence.groups:
        yield f"No new Spot instance for {len(evidence.groups)} Auto Scaling group(s) while it ran."
    yield ""
    yield "## Claims"
    yield "| | claim | seen |"
    yield "|---|---|---|"
    for each in report.verdicts:
        yield f"| {mark(each)} | {each.claim} | {each.seen} |"
    yield ""
    yield "## How fast hands changed"
    yield "| step | n | p50 s | p95 s | most s |"
    yield "|---|---|---|---|---|"
    for name, durations in latencies(report.strikes).items():
        measured = spread(durations)
        if measured is not None:
            numbers = f"{measured.count} | {measured.p50_s:.2f} | {measured.p95_s:.2f} | {measured.max_s:.2f}"
            yield f"| {name} | {numbers} |"
    yield ""
    yield f"Done again: {_lost_s(report):.2f} s of {_worked_s(evidence):.1f} s of work."
    yield ""
    yield "## What became of the shards"
    for strike in report.strikes:
        yield f"- `{strike.instance_id}`, notice at {_moment(strike.noticed_at)}"
        for struck_shard in strike.shards:
            yield f"  - {_story(struck_shard, strike)}"
        if not strike.shards:
            yield "  - held no shard"


def mark(verdict: Verdict) -> str:
    """One sign for a claim: it holds, it does not, a bar was missed, it could not be measured."""
    if verdict.holds:
        return "✓"
    if not verdict.measured:
        return "·"
    return "✗" if verdict.promise else "!"


def _story(struck_shard: StruckShard, strike: Strike) -> str:
    parts = [f"shard {struck_shard.shard}: {struck_shard.outcome}"]
    if struck_shard.let_go_at is not None:
        parts[0] += f" {max(0.0, struck_shard.let_go_at - strike.noticed_at):.1f} s after the notice"
    if struck_shard.leased_again_at is not None:
        since = struck_shard.let_go_at if struck_shard.let_go_at is not None else strike.reclaim_at
        parts.append(f"leased again {max(0.0, struck_shard.leased_again_at - since):.1f} s later")
    parts.append(f"{struck_shard.lost_s:.2f} s to do again" if struck_shard.lost_s else "nothing lost")
    return ", ".join(parts)


def _strike_fields(strike: Strike) -> dict[str, Any]:
    return {
        "instance": strike.instance_id,
        "noticed_at": _moment(strike.noticed_at),
        "reclaim_at": _moment(strike.reclaim_at),
        "stop_file_at": _moment(strike.stop_file_at),
        "seen_at": {channel: _moment(moment) for channel, moment in sorted(strike.seen_at.items())},
        "shards": [
            {
                "shard": each.shard,
                "fencing_token": each.fencing_token,
                "outcome": each.outcome,
                "let_go_at": _moment(each.let_go_at),
                "leased_again_at": _moment(each.leased_again_at),
                "lost_s": round(each.lost_s, 3),
            }
            for each in strike.shards
        ],
    }


def _lost_s(report: Report) -> float:
    return sum((each.lost_s for strike in report.strikes for each in strike.shards), 0.0)


def _worked_s(evidence: Evidence) -> float:
    return sum(session.work_ms + session.redone_ms for session in evidence.sessions) / 1000


def _moment(seconds: float | None) -> str | None:
    """ISO 8601, UTC, milliseconds."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
