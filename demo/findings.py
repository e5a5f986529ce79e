"""From what the demo saw to its report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from demo.hits import Hit, aftermath, aftermaths_by_kind
from demo.latencies import STOP_FILE_WRITTEN, channel_latencies
from demo.outputs import RunOutput
from demo.report import Report, Story
from demo.shard_usage import ShardUsageSummary
from demo.snapshot import Snapshot
from demo.statistics import DelayStatistics
from demo.verdicts import (
    all_carried_out,
    count_within,
    equals_reference,
    manifest_fits,
    redone_within,
    same_bytes,
    zombie_refused,
)
from demo.zombie import paused_worker, what_it_noticed
from spotproof import events
from spotproof.checkpoints.policy import CAP_S
from spotproof.leases.model import Run
from spotproof_cli.game_day.handover import release_to_lease
from spotproof_cli.game_day.lease_lives import LeaseLife, lease_lives, longest_step_s
from spotproof_cli.game_day.log_entries import LogEntry
from spotproof_cli.game_day.spread import spread
from spotproof_cli.game_day.verdicts import Verdict, committed_once, within_bar

REQUESTS_BAR = 6.0
WRITE_UNITS_BAR = 5.0
STOP_FILE_BAR_S = 2.0
RELEASE_BAR_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was seen of both runs. Times: seconds since 1970."""

    seed: int
    run: Run
    snapshot: Snapshot
    entries: Sequence[LogEntry]
    hits: Sequence[Hit]
    started_at: float
    run_s: float
    undisturbed_s: float
    output: RunOutput
    undisturbed_output: RunOutput
    manifest: Mapping[str, str]  # object name to SHA-256, as `_SUCCESS` has it
    cost: Mapping[str, Any]
    expected: DelayStatistics
    replay_refused: bool
    workers: int
    usage: ShardUsageSummary


def make_report(evidence: Evidence) -> Report:
    """Put the evidence together and judge it."""
    lives = lease_lives(evidence.entries)
    stories = [_story(hit, lives) for hit in evidence.hits]
    latencies = {
        channel: measured
        for channel, durations in channel_latencies(evidence.hits, evidence.entries).items()
        if (measured := spread(durations)) is not None
    }
    ledgers = evidence.snapshot.sessions.values()
    return Report(
        seed=evidence.seed,
        started_at=evidence.started_at,
        run_s=evidence.run_s,
        undisturbed_s=evidence.undisturbed_s,
        shards=evidence.run.shards,
        flights=evidence.expected.flights,
        workers=evidence.workers,
        attempts=len(evidence.snapshot.sessions),
        stories=stories,
        redone_s=sum(after.redone_s for story in stories for after in story.aftermaths),
        work_s=sum(session.work_ms + session.redone_ms for session in ledgers) / 1000,
        latencies=latencies,
        usage=evidence.usage,
        cost=evidence.cost,
        verdicts=_verdicts(evidence, lives),
    )


def committed_shards(entries: Sequence[LogEntry]) -> list[int]:
    """The shards whose commits workers logged, as often as they did."""
    return [life.shard for life in lease_lives(entries) if life.ending == events.SHARD_COMMITTED]


def _story(hit: Hit, lives: Sequence[LeaseLife]) -> Story:
    return Story(hit=hit, aftermaths=tuple(aftermath(hit, victim, lives) for victim in hit.victims))


def _verdicts(evidence: Evidence, lives: Sequence[LeaseLife]) -> list[Verdict]:
    aftermaths = aftermaths_by_kind(evidence.hits, lives)
    interval_s = evidence.run.options.checkpoint_interval_s or CAP_S
    return [
        all_carried_out(evidence.hits),
        committed_once(evidence.run, evidence.snapshot.shards, committed_shards(evidence.entries)),
        same_bytes(evidence.undisturbed_output.digests(), evidence.output.digests()),
        manifest_fits(evidence.manifest, evidence.output.digests()),
        equals_reference(evidence.expected, evidence.output.statistics()),
        _zombie(evidence),
        *redone_within(aftermaths, interval_s=interval_s, step_s=longest_step_s(lives, interval_s=interval_s)),
        *_bars(evidence, lives),
    ]


def _zombie(evidence: Evidence) -> Verdict:
    paused = paused_worker(evidence.hits)
    noticed = None
    if paused is not None and paused[1] is not None:
        noticed = what_it_noticed(evidence.entries, paused[0], resumed_at=paused[1])
    return zombie_refused(log_says=noticed, replay_refused=evidence.replay_refused)


def _bars(evidence: Evidence, lives: Sequence[LeaseLife]) -> list[Verdict]:
    ready_at = {str(name): session.started_at / 1000 for name, session in evidence.snapshot.sessions.items()}
    released = spread(release_to_lease(lives, ready_at))
    stop_file = channel_latencies(evidence.hits, evidence.entries).get(STOP_FILE_WRITTEN, ())
    return [
        within_bar("notice → stop file visible to the worker, p95 ≤ 2 s", spread(stop_file), bar_s=STOP_FILE_BAR_S),
        within_bar("released → leased by a free worker ≤ 5 s", released, bar_s=RELEASE_BAR_S, worst=True),
        count_within("requests to the table, any undisturbed shard", evidence.usage.requests_max, bar=REQUESTS_BAR),
        count_within("write units, any undisturbed shard", evidence.usage.write_units_max, bar=WRITE_UNITS_BAR),
    ]
