"""The demo's claims, each checked against what really happened."""

from collections.abc import Mapping, Sequence

from demo.hits import Aftermath, Hit
from demo.schedule import STEPS, Delivery, Kind
from demo.statistics import DelayStatistics, first_difference
from spotproof_cli.game_day.verdicts import Verdict as Verdict
from spotproof_cli.game_day.verdicts import committed_once as committed_once


def same_bytes(undisturbed: Mapping[str, str], disturbed: Mapping[str, str]) -> Verdict:
    """Both runs published the same objects with the same SHA-256."""
    names = sorted(undisturbed.keys() | disturbed.keys())
    different = [name for name in names if undisturbed.get(name) != disturbed.get(name)]
    return Verdict(
        claim="output identical to the undisturbed run, byte for byte",
        holds=bool(names) and not different,
        seen=f"different or missing: {', '.join(different[:5])}" if different else f"{len(names)} objects by SHA-256",
    )


def manifest_fits(listed: Mapping[str, str], published: Mapping[str, str]) -> Verdict:
    """`_SUCCESS` names every published object with its hash, and nothing else."""
    wrong = sorted(name for name in listed.keys() | published.keys() if listed.get(name) != published.get(name))
    return Verdict(
        claim="_SUCCESS lists every object with its hash",
        holds=bool(listed) and not wrong,
        seen=f"does not fit: {', '.join(wrong[:5])}" if wrong else f"{len(listed)} objects",
    )


def equals_reference(expected: DelayStatistics, actual: DelayStatistics) -> Verdict:
    """The combined output equals a straight computation by another library."""
    difference = first_difference(expected, actual)
    rows = len(expected.carriers) + len(expected.routes)
    return Verdict(
        claim="output equal to one straight polars process",
        holds=difference is None,
        seen=difference or f"{rows} rows over {expected.flights:,} flights",
    )


def all_carried_out(hits: Sequence[Hit]) -> Verdict:
    """Every kind of disturbance took place as often as promised, with one event doubled and one lost."""
    counts = {kind: sum(hit.step.kind is kind for hit in hits) for kind in Kind}
    deliveries = [hit.step.delivery for hit in hits]
    short = [f"{kind} {counts[kind]} of {wanted}" for kind, wanted in STEPS.items() if counts[kind] < wanted]
    short += [f"no event {each}" for each in (Delivery.TWICE, Delivery.LOST) if each not in deliveries]
    done = "3 notices (1 event twice, 1 lost), 2 kills, 1 rebalance, 1 pause"
    return Verdict(claim="the adversary did all it planned", holds=not short, seen=", ".join(short) or done)


def zombie_refused(*, log_says: str | None, replay_refused: bool) -> Verdict:
    """The paused worker was refused when it went on, and its commit is refused by the store itself.

    Args:
        log_says: the event with which the worker noticed that it is no longer entitled; None if it never did.
        replay_refused: whether the table refused a commit with the worker's own lease.
    """
    seen = f"worker: {log_says or 'nothing'}; its commit at the table: {'refused' if replay_refused else 'ACCEPTED'}"
    return Verdict(claim="the zombie's commit is refused", holds=replay_refused and log_says is not None, seen=seen)


def redone_within(
    aftermaths: Mapping[Kind, Sequence[Aftermath]], *, interval_s: float, step_s: float
) -> tuple[Verdict, Verdict]:
    """At most one checkpoint interval again after a kill, nothing after a notice.

    A save begins an interval after the one before did, or once that one is durable, and counts from its own end on: what
    was in force follows from how long saves took.

    Args:
        interval_s: what the run asked for.
        step_s: the longest way to the next safe point, with the save there.
    """
    kills, notices = aftermaths[Kind.KILL], aftermaths[Kind.NOTICE]
    in_force = [max(interval_s, each.save_s) + each.save_s for each in kills]
    return (
        Verdict(
            claim="at most one checkpoint interval redone per kill",
            holds=all(each.redone_s <= limit + step_s for each, limit in zip(kills, in_force, strict=True)),
            seen=f"{_seconds([each.redone_s for each in kills])} (intervals in force: {_seconds(in_force)})",
        ),
        Verdict(
            claim="nothing redone after a notice",
            holds=all(each.redone_s <= 0.0005 for each in notices),
            seen=_seconds([each.redone_s for each in notices]),
        ),
    )


def _seconds(durations: Sequence[float]) -> str:
    return ", ".join(f"{each:.2f} s" for each in durations) or "none"


def count_within(claim: str, value: float, *, bar: float) -> Verdict:
    """A count against its bar."""
    return Verdict(claim=claim, holds=value <= bar, seen=f"{value:.2f} (bar {bar:g})", promise=False)
