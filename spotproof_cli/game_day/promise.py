"""The promise that a game day checks: every shard once, no work lost, and hands that change quickly."""

from collections.abc import Mapping, Sequence
from typing import Final

from spotproof import contract, events
from spotproof.checkpoints.policy import CAP_S
from spotproof_cli.game_day.evidence import Evidence
from spotproof_cli.game_day.handover import release_to_lease
from spotproof_cli.game_day.lease_lives import LeaseLife, lease_lives, longest_step_s
from spotproof_cli.game_day.spread import spread
from spotproof_cli.game_day.strikes import Strike, StruckShard, strikes
from spotproof_cli.game_day.verdicts import Verdict, committed_once, within_bar

STOP_FILE_BAR_S: Final = 5.0  # the event travels, the function may have to start; EC2's times are whole seconds
SEEN_BAR_S: Final = 10.0  # two looks at instance metadata, with the longest way between
HANDOVER_BAR_S: Final = 5.0


def struck(evidence: Evidence) -> list[Strike]:
    """Who was struck, from the workers' log and the stop files."""
    began_at = _interrupted_at(evidence)
    if began_at is None:
        return []
    return strikes(
        began_at=began_at,
        lead_s=contract.NOTICE_LEAD_S,
        entries=evidence.entries,
        lives=lease_lives(evidence.entries),
        stop_files=evidence.stop_files,
    )


def judge(evidence: Evidence, found: Sequence[Strike]) -> list[Verdict]:
    """All claims, the promises first. A bar that is missed is shown; with --strict it counts as well."""
    lives = lease_lives(evidence.entries)
    return [
        carried_out(evidence, found),
        *(_of_the_end(evidence, found, lives) if evidence.run.state.ended else ()),
        *_bars(evidence, found, lives),
    ]


def _of_the_end(evidence: Evidence, found: Sequence[Strike], lives: Sequence[LeaseLife]) -> list[Verdict]:
    """What only a run that has ended can keep."""
    committed = [life.shard for life in lives if life.ending == events.SHARD_COMMITTED]
    return [
        committed_once(evidence.run, evidence.shards, committed),
        published_once(evidence),
        let_go_in_time(found),
        lost_within(evidence, found, lives),
        nothing_lost(found),
    ]


def carried_out(evidence: Evidence, found: Sequence[Strike]) -> Verdict:
    """The experiment ran, struck the run, and was ended by nobody but itself or this command."""
    experiment = evidence.experiment
    problems = [] if experiment.status in ("completed", "stopped") else [f"experiment {experiment.status}"]
    if "stop condition" in experiment.reason:
        problems.append("a stop condition ended it")
    problems += [
        f"{action.name} {action.status}" for action in experiment.actions if action.status in ("skipped", "failed")
    ]
    if not found:
        problems.append("no instance of the run got a notice")
    said = f": {experiment.reason}" if problems and experiment.reason else ""
    return Verdict(
        claim="the experiment did what the plan says",
        holds=not problems,
        seen="; ".join(problems) + said if problems else f"{len(found)} of the run's instances got a notice",
    )


def published_once(evidence: Evidence) -> Verdict:
    """`_SUCCESS` lists every shard once, and each of its files is there with its size."""
    claim = "every output published once, and all of them there"
    manifest = evidence.manifest
    if manifest is None:
        return Verdict(claim=claim, holds=False, seen="there is no _SUCCESS")
    listed, bad = list(manifest.shards), {int(each["shard"]) for each in manifest.quarantined}
    twice = sorted({index for index in listed if listed.count(index) > 1})
    absent = sorted(set(range(evidence.run.shards)) - set(listed) - bad)
    wrong = [file.name for file in manifest.files if evidence.published.get(file.key) != file.size_bytes]
    problems = [
        f"{what}: {', '.join(map(str, which[:5]))}"
        for what, which in (("listed twice", twice), ("not listed", absent), ("missing or of another size", wrong))
        if which
    ]
    return Verdict(
        claim=claim,
        holds=not problems,
        seen="; ".join(problems) or f"{len(manifest.files)} objects of {len(listed)} shards",
    )


def let_go_in_time(found: Sequence[Strike]) -> Verdict:
    """No struck worker still held a shard when its host was taken."""
    held = [
        f"shard {each.shard} on {strike.instance_id}"
        for strike in found
        for each in strike.shards
        if each.let_go_at is None or each.let_go_at > strike.reclaim_at
    ]
    number = sum(len(strike.shards) for strike in found)
    return Verdict(
        claim="every struck worker let go before its host was taken",
        holds=not held,
        seen=f"still held: {', '.join(held)}" if held else f"{number} shards",
    )


def lost_within(evidence: Evidence, found: Sequence[Strike], lives: Sequence[LeaseLife]) -> Verdict:
    """Per struck shard at most one checkpoint interval is done again, whatever happened to its worker.

    A save begins an interval after the one before did and counts from its own end on, so that what was in force
    follows from how long it took; and work goes on to the next safe point.
    """
    interval_s = evidence.run.options.checkpoint_interval_s or CAP_S
    step_s = longest_step_s(lives, interval_s=interval_s)
    too_much = [
        f"shard {each.shard}: {each.lost_s:.2f} s"
        for each in _shards(found)
        if each.lost_s > max(interval_s, each.save_s) + each.save_s + step_s
    ]
    worst = max((each.lost_s for each in _shards(found)), default=0.0)
    return Verdict(
        claim="at most one checkpoint interval redone per struck shard",
        holds=not too_much,
        seen="; ".join(too_much) or f"at most {worst:.2f} s, interval {interval_s:g} s",
    )


def nothing_lost(found: Sequence[Strike]) -> Verdict:
    """Two minutes are enough for the last save of most jobs; a state too big for them loses one interval."""
    lost = [f"shard {each.shard}: {each.lost_s:.2f} s" for each in _shards(found) if each.lost_s > 0]
    return Verdict(
        claim="nothing redone after a notice",
        holds=not lost,
        seen="; ".join(lost) or "0.00 s",
        promise=False,
        measured=bool(_shards(found)),
    )


def latencies(found: Sequence[Strike]) -> Mapping[str, list[float]]:
    """Seconds of each step of the way from a notice to the next worker, for every struck instance or shard."""
    ways: dict[str, list[float]] = {
        "notice → stop file": [
            strike.stop_file_at - strike.noticed_at for strike in found if strike.stop_file_at is not None
        ],
        "notice → first seen by a worker": [
            min(strike.seen_at.values()) - strike.noticed_at for strike in found if strike.seen_at
        ],
        "notice → shard let go": [
            each.let_go_at - strike.noticed_at
            for strike in found
            for each in strike.shards
            if each.let_go_at is not None
        ],
        "stop file → shard let go": [
            each.let_go_at - strike.stop_file_at
            for strike in found
            for each in strike.shards
            if strike.stop_file_at is not None and each.let_go_at is not None
            if each.let_go_at >= strike.stop_file_at  # else another channel was faster
        ],
        "released → leased again": [
            each.leased_again_at - each.released_at
            for each in _shards(found)
            if each.released_at is not None and each.leased_again_at is not None
        ],
    }
    for strike in found:
        for channel, moment in strike.seen_at.items():
            ways.setdefault(f"notice → seen through {channel}", []).append(moment - strike.noticed_at)
    return {name: [max(0.0, each) for each in durations] for name, durations in ways.items()}


def _bars(evidence: Evidence, found: Sequence[Strike], lives: Sequence[LeaseLife]) -> list[Verdict]:
    ways = latencies(found)
    ready_at = {str(session.session_id): session.started_at / 1000 for session in evidence.sessions}
    handovers = spread(release_to_lease(lives, ready_at))
    stop_files, seen = spread(ways["notice → stop file"]), spread(ways["notice → first seen by a worker"])
    return [
        within_bar(f"notice → stop file, p95 ≤ {STOP_FILE_BAR_S:g} s", stop_files, bar_s=STOP_FILE_BAR_S),
        within_bar(f"notice → seen by a worker, p95 ≤ {SEEN_BAR_S:g} s", seen, bar_s=SEEN_BAR_S),
        within_bar(f"released → leased by a free worker ≤ {HANDOVER_BAR_S:g} s", handovers, bar_s=HANDOVER_BAR_S, worst=True),
    ]  # fmt: skip


def _interrupted_at(evidence: Evidence) -> float | None:
    action = evidence.experiment.action(contract.GAME_DAY_INSTANCES)
    return None if action is None else action.started_at


def _shards(found: Sequence[Strike]) -> list[StruckShard]:
    return [each for strike in found for each in strike.shards]
