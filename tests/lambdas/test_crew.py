"""A run's workers and work, as sessions, jobs and counters show them."""

import random
from dataclasses import replace
from typing import cast

import pytest

from lambdas.controlling import work as work_module
from lambdas.controlling.crew import Crew, unheard_of
from lambdas.controlling.look import Look
from lambdas.controlling.submissions import Submissions
from lambdas.controlling.work import WorkLeft, WorkReader
from lambdas.queue_pairs import QueuePair, QueuePairs
from spotproof.capacity.live_jobs import LiveJob, LiveJobs, RunJobs, Submission
from spotproof.capacity.situation import Workforce
from spotproof.capacity.submitted_workers import SubmittedWorkers
from spotproof.leases.in_memory import InMemoryLeaseStore
from spotproof.leases.model import (
    CapacityClass,
    Run,
    RunOptions,
    Session,
    SessionState,
    ShardUsage,
    Stop,
    StopKind,
)
from spotproof.retries import Retrier
from tests.fakes.clock import FakeClock
from tests.fakes.leases import HOUR, NOON, a_run, a_session, an_output, leased

LIKE = Submission(job_name="w", job_queue="spot", job_definition="d:1", parameters={})


def job(*, waiting: int = 0, starting: int = 0, running: int = 0) -> LiveJob:
    return LiveJob(
        job_id="j", run_id="r", queue="spot", created_at=NOON, waiting=waiting, starting=starting, running=running,
        submission=LIKE,
    )  # fmt: skip


def on_demand(name: str, **changes: object) -> Session:
    base = a_session(name)
    return replace(base, host=replace(base.host, lifecycle="on-demand"), **changes)  # type: ignore[arg-type]


def stopped(session: Session, kind: StopKind) -> Session:
    return replace(session, stop=Stop(kind=kind, deadline=None))


def test_only_workers_that_take_shards_are_alive_and_jobs_without_a_session_are_coming() -> None:
    crew = Crew(
        now_ms=NOON + 60_000,
        sessions=[
            replace(a_session("busy"), held=3),
            a_session("idle"),
            stopped(a_session("noticed"), StopKind.NOTICE),
            a_session("silent", until=NOON),
            a_session("gone", state=SessionState.DEAD),
            on_demand("bought"),
            stopped(on_demand("retired", held=5), StopKind.RETIRED),
        ],
    )

    assert crew.workforce([job(waiting=2, starting=1, running=4)], on_demand=False) == Workforce(
        alive=2, coming=4, working=1
    )
    assert crew.workforce([job(running=2)], on_demand=True) == Workforce(alive=1, coming=0, working=0)
    assert crew.held == 2


def test_submitted_workers_that_nobody_heard_of_are_coming() -> None:
    def submitted(job_id: str | None, workers: int) -> SubmittedWorkers:
        return SubmittedWorkers(key="k", job_id=job_id, job_queue="on-demand", workers=workers, claimed_at=NOON)

    heard = ["array:0", "array:0", "array:2", "alone"]  # the first child came twice: one worker, two attempts

    assert unheard_of([submitted("array", 5), submitted("alone", 1)], heard=heard) == 3
    assert unheard_of([submitted("new", 2), submitted(None, 1)], heard=heard) == 3
    assert unheard_of([submitted("array", 1)], heard=heard) == 0


def test_a_run_is_without_workers_since_the_last_one_was_known_to_live() -> None:
    run = a_run(created_at=NOON)
    gone = a_session("gone", state=SessionState.DEAD, ended_at=NOON + 5_000)
    silent = a_session("silent", until=NOON + 9_000)

    def since(*sessions: Session) -> int | None:
        return Crew(sessions=sessions, now_ms=NOON + 60_000).nobody_since(run)

    assert since() == NOON
    assert since(gone) == NOON + 5_000
    assert since(gone, silent) == NOON + 9_000
    assert since(gone, on_demand("rescuer")) is None
    assert since(stopped(a_session("leaving"), StopKind.NOTICE)) == NOON + 60_000


def test_the_market_counts_what_spot_gave_and_took() -> None:
    crew = Crew(
        now_ms=NOON + 100_000,
        sessions=[
            a_session("alive"),
            replace(stopped(a_session("taken", state=SessionState.DEAD), StopKind.NOTICE), ended_at=NOON + 40_000),
            replace(stopped(a_session("paused", state=SessionState.ENDED), StopKind.PAUSED), ended_at=NOON + 10_000),
            on_demand("bought"),
        ],
    )

    market = crew.market(width=3, since_ms=NOON)

    assert (market.up_s, market.short_s, market.losses) == (150.0, 150.0, 1)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(clock: FakeClock) -> InMemoryLeaseStore:
    return InMemoryLeaseStore(clock=clock, retrier=Retrier(clock=clock, rng=random.Random(1)))


def half_done(store: InMemoryLeaseStore, clock: FakeClock) -> tuple[Run, Session]:
    """12 shards: two done in 10 s each, one held for 4 s, one requeued, one left to on-demand, seven never leased."""
    run = store.create_run(a_run(shards=12, stripes=3, options=RunOptions(on_demand_after=1)))
    session = store.open_session(a_session(run=run, until=NOON + HOUR))
    for stripe in (0, 0, 0, 1, 1):
        store.take_ticket(run, stripe)
    leases = [leased(store, run, session, index, seq=seq) for seq, index in enumerate((0, 1, 3, 4, 6), start=1)]
    usage = ShardUsage(session=session.session_id, worked_ms=10_000, input_bytes=1, peak_mib=1)
    for lease in leases[:2]:
        store.commit(lease, an_output(lease), usage=usage)
    store.release(leases[2], interrupted=False)
    store.release(leases[3], interrupted=True)
    clock.advance(4)
    return run, session


def test_what_is_left_is_counted_from_tickets_and_the_index(store: InMemoryLeaseStore, clock: FakeClock) -> None:
    run, _ = half_done(store, clock)

    work = WorkReader(store).read(run, held=1, now_ms=NOON + 4_000)

    assert work == WorkLeft(fresh=7, requeued=1, left_to_on_demand=1, held=1, oldest_requeued_at=NOON)
    assert (work.claimable, work.open) == (8, 10)


@pytest.mark.parametrize("on_demand_after", [1, 9])
def test_a_shard_that_rests_after_a_failure_is_work_left_and_one_whose_host_is_there_is_held(
    store: InMemoryLeaseStore, on_demand_after: int
) -> None:
    run = store.create_run(a_run(shards=2, stripes=1, options=RunOptions(on_demand_after=on_demand_after)))
    session = store.open_session(a_session(run=run, until=NOON + HOUR))
    for _ in range(2):
        store.take_ticket(run, 0)
    failed = leased(store, run, session, 0, seq=1)
    store.release(failed, interrupted=True)
    [candidate] = [each for kind in CapacityClass for each in store.candidates(run, kind, limit=1)]
    again = store.claim_requeued(run, candidate, session)
    assert again is not None
    store.fail(again, error="ValueError", retry_at=NOON + 40_000, failures_max=9)
    leased(store, run, session, 1, seq=2)
    store.drain(run, 1, owner=session.session_id, reclaim_at=NOON + 120_000)

    work = WorkReader(store).read(run, held=1, now_ms=NOON)

    left = (0, 1) if on_demand_after == 1 else (1, 0)
    assert (work.fresh, work.held, (work.requeued, work.left_to_on_demand)) == (0, 1, left)


def test_stripes_beyond_those_that_are_read_are_taken_to_be_as_far(
    store: InMemoryLeaseStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = store.create_run(a_run(shards=100, stripes=10))
    monkeypatch.setattr(work_module, "STRIPES_MAX", 2)
    for stripe in (0, 1):
        for _ in range(5):
            store.take_ticket(run, stripe)
    before = store.usage().requests

    assert WorkReader(store).read(run, held=0, now_ms=NOON).fresh == 50
    assert store.usage().requests - before == 4  # two counters, two queries of the index


def test_the_time_left_comes_from_the_runs_own_shards(store: InMemoryLeaseStore, clock: FakeClock) -> None:
    run, _ = half_done(store, clock)
    reader = WorkReader(store)

    estimate = reader.estimate(run, reader.read(run, held=1, now_ms=NOON + 4_000), now_ms=NOON + 4_000)

    assert estimate is not None
    assert 90 <= estimate.mean_s <= 100  # nine that wait at 10 s, and what is left of the one that is held


def test_before_anything_was_done_nobody_knows_how_long_it_takes(store: InMemoryLeaseStore, clock: FakeClock) -> None:
    run = store.create_run(a_run())
    reader = WorkReader(store)

    assert reader.estimate(run, reader.read(run, held=0, now_ms=NOON), now_ms=NOON) is None


def look(*jobs: LiveJob) -> Look:
    live = LiveJobs(jobs=jobs, truncated=frozenset())
    return Look(now_ms=NOON, live=live, blocks={}, open_pools=frozenset())


class OnlyThePlanner:
    """Batch knows the job that planned the run, one on-demand worker."""

    def submission_of(self, job_id: str) -> Submission | None:
        return replace(LIKE, job_queue="arn:aws:batch:r:0:job-queue/on-demand") if job_id == "planner" else None


def test_workers_are_copied_from_the_runs_spot_jobs_as_soon_as_there_are_any() -> None:
    submissions = Submissions(
        jobs=cast(RunJobs, OnlyThePlanner()), queues=QueuePairs(pairs=(QueuePair(spot="spot", on_demand="on-demand"),))
    )
    run = a_run(batch_job_id="planner")
    spot_job = replace(job(waiting=1), run_id=run.run_id)

    first = submissions.of(run, look())
    assert first is not None
    assert not submissions.is_spot(first)
    assert submissions.of(run, look(spot_job)) == LIKE
    assert submissions.of(run, look()) == LIKE  # remembered when they have ended
    submissions.forget_all_but(set())
    assert submissions.of(replace(run, batch_job_id="forgotten"), look()) is None
