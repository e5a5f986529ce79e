"""Sessions of the table as the cost sees them: when they ended, whether their host was taken, who else was there."""

import random
from dataclasses import replace

from spotproof.clock import from_epoch_ms
from spotproof.commits.worked_sessions import neighbours, worked_sessions
from spotproof.costs.worked_session import WorkedSession
from spotproof.leases.in_memory import InMemoryLeaseStore
from spotproof.leases.model import Host, RunId, Session, SessionState, Stop, StopKind
from spotproof.retries import Retrier
from tests.fakes.clock import FakeClock
from tests.fakes.leases import HOUR, NOON, a_run, a_session

NOW = NOON + HOUR
MINUTE = 60_000


def worked(session: Session) -> WorkedSession:
    (found,) = worked_sessions([session], now_ms=NOW)
    return found


def notice(deadline: int | None) -> Stop:
    return Stop(kind=StopKind.NOTICE, deadline=deadline)


def test_a_dead_session_ends_with_its_lease_or_its_host_and_a_live_one_now() -> None:
    dead = a_session("dead", state=SessionState.DEAD, until=NOON + 90_000, ended_at=NOON + 10 * MINUTE)

    assert worked(dead).ended_at == from_epoch_ms(NOON + 90_000)
    assert worked(replace(dead, stop=notice(NOON + MINUTE))).ended_at == from_epoch_ms(NOON + MINUTE)
    assert worked(replace(dead, ended_at=NOON + 30_000)).ended_at == from_epoch_ms(NOON + 30_000)
    alive = worked(a_session("alive"))
    assert (alive.ended_at, alive.alive) == (from_epoch_ms(NOW), True)
    left = worked(a_session("left", state=SessionState.ENDED, until=NOON + 90_000, ended_at=NOON + 10 * MINUTE))
    assert (left.ended_at, left.alive) == (from_epoch_ms(NOON + 10 * MINUTE), False)


def test_only_a_notice_takes_the_host_and_no_sooner_than_now() -> None:
    left = a_session("left", state=SessionState.ENDED, ended_at=NOW - MINUTE)

    assert worked(left).reclaimed_at is None
    assert worked(replace(left, stop=Stop(kind=StopKind.CANCELLED, deadline=None))).reclaimed_at is None
    assert worked(replace(left, stop=notice(None))).reclaimed_at == from_epoch_ms(NOW - MINUTE)
    assert worked(replace(left, stop=notice(NOW - 1))).reclaimed_at == from_epoch_ms(NOW - 1)
    assert worked(replace(left, stop=notice(NOW + MINUTE))).reclaimed_at == from_epoch_ms(NOW)


def test_what_the_worker_took_of_its_host_is_passed_on() -> None:
    host = Host(instance_id="i-0b", instance_type="m5.large", vcpus=0.5, memory_mib=900, launched_at=NOON - MINUTE)

    found = worked(a_session(host=host, work_ms=7))

    assert (found.instance_id, found.vcpus, found.memory_mib, found.work_ms) == ("i-0b", 0.5, 900, 7)
    assert found.launched_at == from_epoch_ms(NOON - MINUTE)
    assert found.run_id == a_run().run_id


def test_neighbours_are_other_runs_sessions_on_the_same_hosts() -> None:
    clock = FakeClock()
    store = InMemoryLeaseStore(clock=clock, retrier=Retrier(clock=clock, rng=random.Random(0)))
    run, other = a_run(), a_run(run_id=RunId("other"))
    own = [store.open_session(a_session("mine", run=run)), store.open_session(a_session("mine-too", run=run))]
    store.open_session(a_session("neighbour", run=other))
    elsewhere = replace(own[0].host, instance_id="i-0c")
    store.open_session(a_session("elsewhere", run=other, host=elsewhere))

    assert [each.session_id for each in neighbours(store, run, own)] == ["neighbour"]
