"""Claims about sessions: registered, held, kept alive, marked, fenced, ended."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from spotproof.errors import SessionLostError
from spotproof.leases.model import Host, Ledger, Run, Session, SessionId, SessionKey, SessionState, Stop, StopKind
from spotproof.leases.store import LeaseStore
from tests.fakes.clock import FakeClock
from tests.fakes.leases import NOON, a_run, a_session, key_of

LEDGER = Ledger(work_ms=1000, checkpoint_ms=200, idle_ms=30, redone_ms=4)


def test_a_session_reads_back_as_it_was_opened(store: LeaseStore, run: Run) -> None:
    host = Host(
        instance_id="i-0b", instance_type="c7g.xlarge", zone="eu-west-1b", lifecycle="spot",
        batch_job_id="j:3", batch_attempt=2, vcpus=0.5,
        memory_mib=1800, launched_at=NOON - 90_000,
    )  # fmt: skip
    session = a_session(host=host, bucket=1)

    store.open_session(session)

    assert store.get_session(key_of(session)) == session
    assert list(store.sessions(run)) == [session]


def test_a_session_id_is_never_used_twice(store: LeaseStore, session: Session) -> None:
    with pytest.raises(SessionLostError, match=r"worker-a.*used before"):
        store.open_session(replace(session, started_at=NOON + 1))


def test_an_unknown_session_is_none_and_can_not_be_changed(store: LeaseStore) -> None:
    ghost = a_session("ghost")

    assert store.get_session(key_of(ghost)) is None
    assert store.mark_stop(key_of(ghost), Stop(kind=StopKind.NOTICE, deadline=1)) is None
    assert store.mark_hint(key_of(ghost), until=1) is None
    assert store.fence_session(key_of(ghost), expired_at=None) is None
    assert store.end_session(ghost, ledger=LEDGER) is False
    with pytest.raises(SessionLostError, match="ghost"):
        store.hold(ghost, 0, seq=1, until=1)
    with pytest.raises(SessionLostError, match="ghost"):
        store.heartbeat(ghost, seq=1, until=1, ledger=LEDGER)
    assert store.get_session(key_of(ghost)) is None


def test_sessions_are_found_by_their_instance_across_runs_and_buckets(store: LeaseStore, run: Run) -> None:
    other_run = store.create_run(a_run(run_id="other"))
    here = Host(instance_id="i-0b")
    keys = {
        key_of(store.open_session(session))
        for session in (
            a_session("one", host=here),
            a_session("two", host=here, bucket=1),
            a_session("three", run=other_run, host=here),
        )
    }
    store.open_session(a_session("elsewhere", host=Host(instance_id="i-0c")))

    assert set(store.sessions_on_instance("i-0b")) == keys
    assert store.sessions_on_instance("i-unknown") == []


def test_a_session_without_an_instance_is_not_in_the_index(store: LeaseStore, run: Run) -> None:
    session = store.open_session(a_session(host=Host(instance_id="")))

    assert store.get_session(key_of(session)) == session
    assert store.sessions_on_instance("") == []


def test_a_hold_names_the_shard_and_extends_the_session(store: LeaseStore, session: Session) -> None:
    held = store.hold(session, 4, seq=1, until=session.until + 9)

    assert held == replace(session, held=4, seq=1, until=session.until + 9)
    assert store.get_session(key_of(session)) == held


@pytest.mark.parametrize("kind", list(StopKind))
def test_a_hold_is_refused_after_a_stop(store: LeaseStore, session: Session, kind: StopKind) -> None:
    store.mark_stop(key_of(session), Stop(kind=kind, deadline=None))

    assert store.hold(session, 4, seq=1, until=session.until) is None
    assert store.get_session(key_of(session)) == replace(session, stop=Stop(kind=kind, deadline=None))


def test_a_hint_does_not_refuse_a_hold_but_rides_on_its_answer(store: LeaseStore, session: Session) -> None:
    store.mark_hint(key_of(session), until=NOON + 5)

    held = store.hold(session, 4, seq=1, until=session.until)

    assert held is not None
    assert held.hint_until == NOON + 5


def test_a_late_duplicate_of_an_old_hold_does_not_change_what_is_held(store: LeaseStore, session: Session) -> None:
    store.hold(session, 4, seq=1, until=NOON + 10)
    newer = store.hold(session, 5, seq=2, until=NOON + 20)

    assert store.hold(session, 4, seq=1, until=NOON + 10) is None
    assert store.get_session(key_of(session)) == newer


def test_a_heartbeat_extends_the_session_and_carries_the_ledger_and_the_flags(
    store: LeaseStore, session: Session
) -> None:
    store.hold(session, 4, seq=1, until=NOON + 10)
    stop = Stop(kind=StopKind.NOTICE, deadline=NOON + 120_000)
    store.mark_stop(key_of(session), stop)

    beaten = store.heartbeat(session, seq=2, until=NOON + 30, ledger=LEDGER)

    assert beaten == replace(
        session, held=4, seq=2, until=NOON + 30, stop=stop, work_ms=1000, checkpoint_ms=200, idle_ms=30, redone_ms=4
    )


def test_a_late_duplicate_of_a_heartbeat_changes_nothing_and_tells_the_stored_session(
    store: LeaseStore, session: Session
) -> None:
    newer = store.heartbeat(session, seq=2, until=NOON + 30, ledger=LEDGER)

    assert store.heartbeat(session, seq=1, until=NOON + 10, ledger=Ledger()) == newer
    assert store.heartbeat(session, seq=2, until=NOON + 10, ledger=Ledger()) == newer
    assert store.get_session(key_of(session)) == newer


@pytest.mark.parametrize("how", ["fenced", "ended"])
def test_a_session_that_is_over_can_not_hold_or_beat(store: LeaseStore, session: Session, how: str) -> None:
    if how == "fenced":
        store.fence_session(key_of(session), expired_at=None)
    else:
        store.end_session(session, ledger=LEDGER)
    over = store.get_session(key_of(session))

    with pytest.raises(SessionLostError, match="worker-a"):
        store.hold(session, 1, seq=9, until=NOON + 99)
    with pytest.raises(SessionLostError, match="worker-a"):
        store.heartbeat(session, seq=9, until=NOON + 99, ledger=LEDGER)
    assert store.mark_stop(key_of(session), Stop(kind=StopKind.NOTICE, deadline=1)) is None
    assert store.mark_hint(key_of(session), until=NOON + 99) is None
    assert store.get_session(key_of(session)) == over


def test_ending_a_session_records_time_and_ledger(store: LeaseStore, session: Session, clock: FakeClock) -> None:
    clock.advance(3)

    assert store.end_session(session, ledger=LEDGER) is True

    ended = store.get_session(key_of(session))
    assert ended is not None
    assert (ended.state, ended.ended_at, ended.work_ms) == (SessionState.ENDED, NOON + 3000, 1000)


def test_a_fenced_session_can_not_end(store: LeaseStore, session: Session) -> None:
    store.fence_session(key_of(session), expired_at=None)

    assert store.end_session(session, ledger=LEDGER) is False


@pytest.mark.parametrize("order", [(10, 20), (20, 10)])
def test_the_first_deadline_wins(store: LeaseStore, session: Session, order: tuple[int, int]) -> None:
    marked = [
        store.mark_stop(key_of(session), Stop(kind=StopKind.NOTICE, deadline=NOON + deadline)) for deadline in order
    ]

    first = Stop(kind=StopKind.NOTICE, deadline=NOON + order[0])
    assert [session.stop for session in marked if session] == [first, first]


def test_a_stop_without_a_deadline_takes_that_of_a_later_notice(store: LeaseStore, session: Session) -> None:
    store.mark_stop(key_of(session), Stop(kind=StopKind.CANCELLED, deadline=None))

    marked = store.mark_stop(key_of(session), Stop(kind=StopKind.NOTICE, deadline=NOON + 7))

    assert marked is not None
    assert marked.stop == Stop(kind=StopKind.CANCELLED, deadline=NOON + 7)


RETIRED = Stop(kind=StopKind.RETIRED, deadline=None)


def test_a_retired_session_holds_nothing_more_and_lives_on(store: LeaseStore, session: Session) -> None:
    store.hold(session, 1, seq=1, until=session.until)

    marked = store.mark_stop(key_of(session), RETIRED)
    again = store.mark_stop(key_of(session), RETIRED)

    assert marked is not None
    assert (marked.stop, marked.held, marked.state) == (RETIRED, 1, SessionState.ALIVE)
    assert again == marked
    assert store.hold(session, 2, seq=2, until=session.until) is None
    assert store.heartbeat(session, seq=2, until=NOON + 9, ledger=LEDGER).stop == RETIRED


@pytest.mark.parametrize("other", [kind for kind in StopKind if kind is not StopKind.RETIRED])
@pytest.mark.parametrize("retired_first", [True, False])
def test_to_be_retired_gives_way_to_every_other_stop(
    store: LeaseStore, session: Session, other: StopKind, retired_first: bool
) -> None:
    stop = Stop(kind=other, deadline=NOON + 7)
    order = [RETIRED, stop] if retired_first else [stop, RETIRED]

    marked = [store.mark_stop(key_of(session), each) for each in order][-1]

    assert marked is not None
    assert marked.stop == stop


def test_nobody_retires_a_session_that_is_over(store: LeaseStore, session: Session) -> None:
    store.end_session(session, ledger=LEDGER)

    assert store.mark_stop(key_of(session), RETIRED) is None


def test_the_latest_hint_wins(store: LeaseStore, session: Session) -> None:
    def hint(until: int) -> int | None:
        marked = store.mark_hint(key_of(session), until=until)
        assert marked is not None
        return marked.hint_until

    assert [hint(10), hint(30), hint(20)] == [10, 30, 30]


def test_only_an_expired_session_is_fenced_when_expiry_is_asked_for(store: LeaseStore, session: Session) -> None:
    assert store.fence_session(key_of(session), expired_at=session.until) is None

    fenced = store.fence_session(key_of(session), expired_at=session.until + 1)

    assert fenced is not None
    assert fenced.state is SessionState.DEAD


def test_a_heartbeat_in_time_saves_the_session_from_its_rescuer(store: LeaseStore, session: Session) -> None:
    seen_expired_at = session.until + 1
    store.heartbeat(session, seq=1, until=session.until + 1000, ledger=LEDGER)

    assert store.fence_session(key_of(session), expired_at=seen_expired_at) is None
    assert store.heartbeat(session, seq=2, until=session.until + 2000, ledger=LEDGER).state is SessionState.ALIVE


@pytest.mark.parametrize("expired", [None, NOON + 10_000_000])
def test_fencing_tells_what_was_held_also_the_second_time(
    store: LeaseStore, session: Session, expired: int | None
) -> None:
    store.hold(session, 3, seq=1, until=session.until)

    first = store.fence_session(key_of(session), expired_at=expired)
    second = store.fence_session(key_of(session), expired_at=expired)

    assert first is not None
    assert (first.state, first.held) == (SessionState.DEAD, 3)
    assert second == first


def test_an_ended_session_is_not_fenced(store: LeaseStore, session: Session) -> None:
    store.end_session(session, ledger=LEDGER)

    assert store.fence_session(key_of(session), expired_at=None) is None


def test_sessions_lists_every_bucket(store: LeaseStore, run: Run) -> None:
    opened = [store.open_session(a_session(f"w{number}", bucket=number % 2)) for number in range(5)]

    assert sorted(store.sessions(run), key=_id) == sorted(opened, key=_id)


_id: Callable[[Session], SessionId] = lambda session: session.session_id  # noqa: E731


def test_a_session_key_reads_back_from_the_instance_index(store: LeaseStore, session: Session) -> None:
    assert store.sessions_on_instance("i-0a") == [
        SessionKey(run_id=session.run_id, bucket=0, session_id=session.session_id)
    ]
