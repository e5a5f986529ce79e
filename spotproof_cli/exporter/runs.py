"""The table as a source: live runs, their shards, workers and costs."""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Final

from spotproof.capacity.pool_records import PoolRecords
from spotproof.clock import Clock
from spotproof.commits.worked_sessions import worked_sessions
from spotproof.costs.price_book import PriceBook
from spotproof.costs.worked_session import WorkedSession
from spotproof.errors import ItemError
from spotproof.leases.model import RunId, RunState
from spotproof.leases.store import LeaseStore
from spotproof_cli.exporter import metrics
from spotproof_cli.exporter.costs import RunBill, bills_of_runs
from spotproof_cli.exporter.samples import Observation, Sample, sample
from spotproof_cli.exporter.watched import Look, WatchedRun, run_gauges, shard_numbers
from spotproof_cli.exporter.worked import still_series
from spotproof_cli.run_view import RunReader

RUNS_SHOWN_MAX: Final = 20  # with series of their own, the newest; all are in the sums
_LIVE: Final = (RunState.RUNNING, RunState.PAUSED)
_ENDED: Final = (RunState.COMPLETE, RunState.FAILED, RunState.CANCELLED)


class RunsSource:
    """Watches every live run, and one that ended until nothing of it moves any more."""

    name = "table"

    def __init__(self, *, store: LeaseStore, pools: PoolRecords, book: PriceBook, clock: Clock) -> None:
        self._store = store
        self._pools = pools
        self._book = book
        self._clock = clock
        self._watched: dict[RunId, WatchedRun] = {}
        self._done_with: set[RunId] = set()  # ended ones that the table still lists
        self._began = False

    def read(self) -> Observation:
        """All requests come first, so that a failure counts nothing."""
        active, ended = set(self._store.active_runs()), set(self._store.ended_runs())
        wanted = sorted(active | (ended - self._done_with) | self._watched.keys())
        watched: dict[RunId, WatchedRun] = {}
        looks: dict[RunId, Look] = {}
        unreadable: set[RunId] = set()
        for run_id in wanted:
            watched[run_id] = self._watched.get(run_id) or self._new()
            try:
                run = self._store.get_run(run_id)
                if run is not None:
                    looks[run_id] = watched[run_id].look(run)
            except ItemError:
                unreadable.add(run_id)
        bills = bills_of_runs({run_id: _lives(look) for run_id, look in looks.items()}, book=self._book)
        taken = taken_hosts(self._pools)
        counted = list(self._count(watched, looks, bills, taken))
        self._forget(looks, watched, ended, unreadable)
        self._began = True
        unread = sample(metrics.RUNS_UNREADABLE, len(unreadable))
        return Observation(gauges=(unread, *_gauges(watched, looks, bills)), increments=(*_still(), *counted))

    def _new(self) -> WatchedRun:
        return WatchedRun(reader=RunReader(store=self._store, clock=self._clock), is_new=self._began)

    def _count(
        self,
        watched: Mapping[RunId, WatchedRun],
        looks: Mapping[RunId, Look],
        bills: Mapping[RunId, RunBill],
        taken: Mapping[str, int],
    ) -> Iterator[Sample]:
        for run_id, look in looks.items():
            yield from watched[run_id].take(look, bills[run_id], taken=taken)

    def _forget(
        self,
        looks: Mapping[RunId, Look],
        watched: Mapping[RunId, WatchedRun],
        ended: set[RunId],
        unreadable: set[RunId],
    ) -> None:
        """Keep what may still move, and ended runs whose hosts still serve others: they bear a part of them."""
        busy = {
            session.host.instance_id for look in looks.values() for session in look.sessions if look.is_alive(session)
        }
        kept = {
            run_id: watched[run_id]
            for run_id, look in looks.items()
            if not watched[run_id].settled or busy & {session.host.instance_id for session in look.sessions}
        }
        self._done_with = (self._done_with | (looks.keys() - kept.keys())) & ended
        self._watched = kept | {run_id: watched[run_id] for run_id in unreadable}


def _lives(look: Look) -> list[WorkedSession]:
    """As they were when they were read: an ended run's workers do not live on because its hosts serve others."""
    return worked_sessions(look.sessions, now_ms=look.read_ms)


def _gauges(
    watched: Mapping[RunId, WatchedRun], looks: Mapping[RunId, Look], bills: Mapping[RunId, RunBill]
) -> Iterator[Sample]:
    live = [look for look in looks.values() if not look.run.state.ended]
    by_state = Counter(look.run.state for look in live)
    for state in _LIVE:
        yield sample(metrics.RUNS, by_state[state], state=state.lower())
    for look in live:
        for name, number in shard_numbers(look.counts).items():
            yield sample(metrics.SHARDS, number, job_name=look.run.job, state=name)
    newest = sorted(live, key=lambda look: (-look.run.created_at, look.run.run_id))
    for look in islice(newest, RUNS_SHOWN_MAX):
        run_id = look.run.run_id
        yield from run_gauges(look, bills[run_id], interruptions=watched[run_id].interruptions)


def taken_hosts(pools: PoolRecords) -> dict[str, int]:
    """Spot hosts that EC2 took back or will, and since when that is known (epoch ms): the newest of each pool.

    Raises:
        AwsError: the table refused or stayed unavailable.
    """
    return {noted.instance_id: noted.at for record in pools.all().values() for noted in record.interruptions}


def _still() -> Iterator[Sample]:
    yield from still_series()
    for state in _ENDED:
        yield sample(metrics.RUNS_ENDED, 0, state=state.lower())
