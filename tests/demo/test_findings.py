"""What the demo tells about interruptions is computed from the log, and is right on a log made by hand."""

import json
from typing import Any

import pytest

from demo.hits import Hit, aftermath, aftermaths_by_kind
from demo.latencies import STOP_FILE_WRITTEN, channel_latencies
from demo.schedule import Kind, Step
from demo.snapshot import Working
from spotproof import events
from spotproof.leases.model import SessionId
from spotproof_cli.game_day.handover import release_to_lease
from spotproof_cli.game_day.lease_lives import lease_lives, longest_step_s, next_lease
from spotproof_cli.game_day.log_entries import LogEntry, in_order, parse_line
from spotproof_cli.game_day.spread import spread


def entry(at: float, event: str, **fields: Any) -> LogEntry:
    return LogEntry(at=at, event=event, stream="s", fields=fields)


def lease(shard: int, token: int) -> dict[str, int]:
    return {"shard": shard, "fencing_token": token}


def working(shard: int, token: int, *, session: str = "a", instance: str = "i-1") -> Working:
    return Working(
        session_id=SessionId(session), instance_id=instance, batch_job_id="j:0", shard=shard, fencing_token=token,
        checkpoints=1,
    )  # fmt: skip


def hit(kind: Kind, at: float, *victims: Working) -> Hit:
    step = Step(kind=kind, gap=1, pick=0.0)
    return Hit(step=step, at=at, instance_id="i-1", place="m5.large", victims=victims)


KILLED = [
    entry(10.0, events.SHARD_LEASED, **lease(3, 1), session_id="a", instance_id="i-1"),
    entry(11.0, events.CHECKPOINT_SAVED, **lease(3, 1)),
    entry(12.0, events.CHECKPOINT_SAVED, **lease(3, 1), duration_ms=40),
    entry(17.5, events.SHARD_LEASED, **lease(3, 3), session_id="b", instance_id="i-2"),
    entry(19.0, events.SHARD_COMMITTED, **lease(3, 3)),
]
NOTICED = [
    entry(10.0, events.SHARD_LEASED, **lease(4, 1), session_id="a", instance_id="i-1"),
    entry(12.3, events.STOP_SEEN, signal="imds", instance_id="i-1"),
    entry(12.4, events.STOP_SEEN, signal="stop-file", instance_id="i-1"),
    entry(12.5, events.CHECKPOINT_SAVED, **lease(4, 1)),
    entry(12.6, events.SHARD_RELEASED, **lease(4, 1), lost_ms=0),
    entry(13.1, events.SHARD_LEASED, **lease(4, 3), session_id="b", instance_id="i-2"),
]


def test_a_line_of_the_workers_log_is_read_and_a_print_of_the_users_is_not() -> None:
    line = json.dumps({"ts": "2026-11-22T00:00:01.500+00:00", "event": "shard_leased", "shard": 3})

    parsed = parse_line(line, stream="x")

    assert parsed is not None
    assert (parsed.at % 60, parsed.event, parsed.number("shard"), parsed.number("none")) == (
        1.5,
        "shard_leased",
        3,
        None,
    )
    assert [parse_line(text, stream="x") for text in ("hello", '"event"', '{"event": 1}', "")] == [None] * 4


def test_a_line_of_a_functions_log_is_read_as_well() -> None:
    line = json.dumps({"message": "stop_file_written", "timestamp": "2026-11-22 00:00:01,250+0000", "kind": "notice"})

    parsed = parse_line(line, stream="x")

    assert parsed is not None
    assert (parsed.at % 60, parsed.event) == (1.25, "stop_file_written")


def test_the_log_is_put_in_order() -> None:
    assert [each.at for each in in_order([entry(2, "b"), entry(1, "a")])] == [1, 2]


def test_a_lease_lives_from_its_claim_to_its_end() -> None:
    killed, second = lease_lives(KILLED)

    assert (killed.session, killed.checkpoints, killed.ending, killed.saved_at) == ("a", (11.0, 12.0), None, 12.0)
    assert (second.fencing_token, second.ending, second.ended_at) == (3, events.SHARD_COMMITTED, 19.0)


def test_a_kill_loses_the_work_since_the_last_checkpoint() -> None:
    victim = working(3, 1)

    after = aftermath(hit(Kind.KILL, 12.75, victim), victim, lease_lives(KILLED))

    assert after.outcome == "lost with its worker"
    assert after.redone_s == pytest.approx(0.75)
    assert after.leased_again_after_s == pytest.approx(4.75)
    assert (after.released_after_s, after.token_after) == (None, 3)


def test_a_notice_that_fits_loses_nothing_and_the_shard_moves_on_at_the_release() -> None:
    victim = working(4, 1)

    after = aftermath(hit(Kind.NOTICE, 12.0, victim), victim, lease_lives(NOTICED))

    assert after.outcome == "saved and released"
    assert after.redone_s == 0
    assert after.released_after_s == pytest.approx(0.6)
    assert after.leased_again_after_s == pytest.approx(0.5)


def test_a_lease_that_the_log_does_not_know_is_an_error() -> None:
    victim = working(9, 1)

    with pytest.raises(ValueError, match="no lease 1 of shard 9"):
        aftermath(hit(Kind.KILL, 12.0, victim), victim, lease_lives(KILLED))


def test_a_rebalance_recommendation_moves_nothing() -> None:
    victim = working(3, 3)

    after = aftermath(hit(Kind.REBALANCE, 18.0, victim), victim, lease_lives(KILLED))

    assert (after.outcome, after.redone_s, after.token_after) == ("saved and went on", 0.0, None)


def test_redone_work_is_kept_apart_by_kind() -> None:
    hits = [hit(Kind.KILL, 12.75, working(3, 1)), hit(Kind.NOTICE, 12.0, working(4, 1))]

    found = aftermaths_by_kind(hits, lease_lives(in_order([*KILLED, *NOTICED])))

    (killed,) = found[Kind.KILL]
    assert killed.redone_s == pytest.approx(0.75)
    assert killed.save_s == 0.04
    assert [each.redone_s for each in found[Kind.NOTICE]] == [0.0]
    assert found[Kind.PAUSE] == ()


def test_the_next_lease_of_a_shard_has_the_next_higher_token() -> None:
    follower = next_lease(lease_lives(KILLED), shard=3, after_token=1)

    assert follower is not None
    assert follower.fencing_token == 3
    assert next_lease(lease_lives(KILLED), shard=3, after_token=3) is None


def test_latencies_are_counted_from_the_notice_by_channel() -> None:
    written = entry(12.2, events.STOP_FILE_WRITTEN, kind="notice", instance_id="i-1")
    hint = entry(12.2, events.STOP_FILE_WRITTEN, kind="rebalance", instance_id="i-1")
    earlier = entry(11.0, events.STOP_SEEN, signal="imds", instance_id="i-1")
    elsewhere = entry(12.2, events.STOP_SEEN, signal="imds", instance_id="i-9")

    found = channel_latencies([hit(Kind.NOTICE, 12.0, working(4, 1))], [earlier, elsewhere, written, hint, *NOTICED])

    assert {name: list(each) for name, each in found.items()} == {
        "imds": [pytest.approx(0.3)],
        "stop-file": [pytest.approx(0.4)],
        STOP_FILE_WRITTEN: [pytest.approx(0.2)],
    }


def test_a_release_waits_for_a_free_worker_at_most_a_poll() -> None:
    lives = lease_lives(in_order([*KILLED, *NOTICED]))

    long_idle = release_to_lease(lives, {"b": 1.0})
    just_started = release_to_lease(lives, {"b": 13.0})

    assert long_idle == [pytest.approx(0.5)]
    assert just_started == [pytest.approx(0.1)]


def test_the_longest_step_is_how_late_a_first_checkpoint_came() -> None:
    assert longest_step_s(lease_lives(KILLED), interval_s=0.25) == pytest.approx(0.75)
    assert longest_step_s(lease_lives(NOTICED), interval_s=1.0) == pytest.approx(1.5)
    assert longest_step_s([], interval_s=1.0) == 0.0


def test_a_pause_costs_the_work_since_the_last_checkpoint_not_the_pause_itself() -> None:
    victim = working(4, 1)
    refused = [
        entry(30.0, events.LEASE_LOST, **lease(4, 1), lost_ms=18_000) if e.event == events.SHARD_RELEASED else e
        for e in NOTICED
    ]

    after = aftermath(hit(Kind.PAUSE, 12.7, victim), victim, lease_lives(in_order(refused)))

    assert after.outcome == "refused by the table"
    assert after.redone_s == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("durations", "p50", "p95"),
    [([3.0], 3.0, 3.0), ([1.0, 2.0], 1.0, 2.0), ([float(n) for n in range(1, 101)], 50, 95)],
)
def test_percentiles_are_values_that_really_occurred(durations: list[float], p50: float, p95: float) -> None:
    found = spread(list(reversed(durations)))

    assert found is not None
    assert (found.p50_s, found.p95_s, found.count, found.max_s) == (p50, p95, len(durations), durations[-1])


def test_no_durations_have_no_spread() -> None:
    assert spread([]) is None
