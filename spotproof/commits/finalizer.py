"""The finalizer: publishes what workers could not, writes `_SUCCESS`, ends the run and cleans up, exactly once."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from spotproof import events
from spotproof.checkpoints.store import ObjectStore
from spotproof.clock import Clock, to_epoch_ms
from spotproof.commits.buckets import OutputBuckets
from spotproof.commits.cleanup import RunCleanup
from spotproof.commits.publish import Publisher, output_folder
from spotproof.commits.run_record import run_record, write_run_record
from spotproof.commits.staging import read_output_pointer
from spotproof.commits.success import (
    PublishedShard,
    QuarantinedShard,
    read_success,
    success_manifest,
    write_success,
)
from spotproof.commits.worked_sessions import neighbours, worked_sessions
from spotproof.costs.price_book import PriceBook
from spotproof.costs.prices import InstancePrice, SpotPrices
from spotproof.costs.run_cost import RunCost, run_cost
from spotproof.errors import OutputConflictError, OutputDamagedError, RunNotFoundError
from spotproof.leases.model import (
    FailurePolicy,
    OutputPointer,
    Run,
    RunId,
    RunState,
    Session,
    Shard,
    ShardState,
)
from spotproof.leases.store import LeaseStore

logger = logging.getLogger(__name__)
TERM_BASE_S: Final = 60.0  # a crashed finalizer's term runs this long for a small run ...
TERM_PER_SHARD_S: Final = 0.1  # ... and longer for a larger one: a look or a copy per shard, with room
# So long after a run's end a fenced worker may still write: the pass that calls the run clean begins later.
QUIET: Final = timedelta(minutes=10)
QUIET_MS: Final = QUIET // timedelta(milliseconds=1)
HEAD_MAX: Final = 20_000  # files whose digest is looked at one by one; beyond, names and sizes of the listing count


class FinalizeResult(StrEnum):
    FINALIZED = "finalized"  # by this call
    CLEANED = "cleaned"  # had ended before; what it left behind is gone now
    NOT_READY = "not-ready"  # stripes are open
    BUSY = "busy"  # another finalizer's term runs
    OUT_OF_TIME = "out-of-time"  # the next call goes on
    SUPERSEDED = "superseded"  # another finalizer or a cancellation was faster


@dataclass(frozen=True, slots=True, kw_only=True)
class Finalized:
    """What a call did."""

    result: FinalizeResult
    state: RunState
    quarantined: int = 0
    reason: str = ""
    cost: RunCost | None = None  # set when this call ended the run
    duration_s: float = 0.0  # from the run's creation to its end, when this call ended it


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How a run ends."""

    state: RunState
    reason: str | None


def decide_end(*, quarantined: int, on_failure: FailurePolicy) -> Verdict:
    """COMPLETE, or FAILED where the submitter wanted every shard."""
    if quarantined and on_failure is FailurePolicy.FAIL:
        return Verdict(state=RunState.FAILED, reason=f"{quarantined} shards are quarantined and on_failure=fail")
    if quarantined:
        return Verdict(state=RunState.COMPLETE, reason=f"degraded: {quarantined} shards are quarantined")
    return Verdict(state=RunState.COMPLETE, reason=None)


class _OutOfTimeError(Exception):
    """Stop here; everything so far may be repeated."""


class Finalizer:
    """One run at a time, any number of times: every step is idempotent or conditional on the finalizer's epoch."""

    def __init__(
        self,
        *,
        store: LeaseStore,
        buckets: OutputBuckets,
        cleanup: RunCleanup,
        on_demand: Mapping[str, InstancePrice],
        spot: SpotPrices,
        clock: Clock,
    ) -> None:
        self._store = store
        self._buckets = buckets
        self._publisher = Publisher(buckets)
        self._cleanup = cleanup
        self._on_demand = on_demand
        self._spot = spot
        self._clock = clock

    def finalize(self, run_id: RunId, *, finalizer: str, deadline: float) -> Finalized:
        """Bring a run whose stripes are all closed to its end, or go on where an earlier call stopped.

        Args:
            run_id: the run.
            finalizer: who we are, unique per call.
            deadline: monotonic seconds; nothing new is begun after it.

        Raises:
            RunNotFoundError: there is no such run.
            AwsError: table or buckets refused or stayed unavailable; calling again goes on.
        """
        run = self._store.get_run(run_id)
        if run is None:
            raise RunNotFoundError(f"there is no run {run_id!r}; check the run id")
        if run.state.ended:
            result = FinalizeResult.CLEANED if self._clean(run, deadline) else FinalizeResult.OUT_OF_TIME
            return Finalized(result=result, state=run.state, quarantined=run.quarantined)
        if len(run.closed) < run.stripes:
            return Finalized(result=FinalizeResult.NOT_READY, state=run.state)
        term_s = min(TERM_BASE_S + TERM_PER_SHARD_S * run.shards, max(1.0, deadline - self._clock.monotonic()))
        taken = self._store.take_finalizer(run, finalizer=finalizer, ttl_s=term_s)
        if taken is None:
            return Finalized(result=FinalizeResult.BUSY, state=run.state)
        try:
            return self._end(taken, deadline)
        except _OutOfTimeError:
            return Finalized(result=FinalizeResult.OUT_OF_TIME, state=taken.state)

    def _end(self, run: Run, deadline: float) -> Finalized:
        shards = self._final_rows(run, deadline)
        quarantined = [_quarantined(shard) for shard in shards if shard.state is ShardState.QUARANTINED]
        sessions = list(self._store.sessions(run))
        cost = self._cost(run, sessions)
        verdict = decide_end(quarantined=len(quarantined), on_failure=run.options.on_failure)
        try:
            published = self._publish(run, shards, deadline)
            self._check_time(deadline)
            manifest = success_manifest(
                run=run, state=verdict.state, published=published, quarantined=quarantined,
                finished_at=self._clock.now(), cost=cost.as_fields(),
            )  # fmt: skip
            write_success(self._buckets.bucket(output_folder(run).bucket), run, manifest)
        except (OutputConflictError, OutputDamagedError) as error:
            verdict = Verdict(state=RunState.FAILED, reason=str(error))  # without _SUCCESS; staged objects are kept
        self._leave_record(run, shards, sessions)
        ended = self._end_run(run, verdict, len(quarantined), cost)
        if ended.result is FinalizeResult.FINALIZED:
            self._clean(run, deadline)
        return ended

    def _end_run(self, run: Run, verdict: Verdict, quarantined: int, cost: RunCost) -> Finalized:
        if not self._store.end_run(run, state=verdict.state, quarantined=quarantined, reason=verdict.reason):
            return Finalized(result=FinalizeResult.SUPERSEDED, state=run.state)
        fields = {"run_id": run.run_id, "state": verdict.state.value, "shards": run.shards, "quarantined": quarantined}
        logger.info(events.RUN_PUBLISHED, extra={**fields, "reason": verdict.reason})
        logger.info(events.RUN_COST, extra={"run_id": run.run_id, **cost.as_fields()})
        return Finalized(
            result=FinalizeResult.FINALIZED, state=verdict.state, quarantined=quarantined,
            reason=verdict.reason or "", cost=cost,
            duration_s=max(0, to_epoch_ms(self._clock.now()) - run.created_at) / 1000,
        )  # fmt: skip

    def _final_rows(self, run: Run, deadline: float) -> list[Shard]:
        """Every shard's row, all DONE or QUARANTINED, by index.

        The walk is eventually consistent: what it shows as open or not at all is read again, consistently.

        Raises:
            AssertionError: a stripe was closed with an open shard in it (invariant I6).
        """
        rows = {shard.index: shard for shard in self._store.shards(run)}
        for index in range(run.shards):
            if index not in rows or not rows[index].state.final:
                self._check_time(deadline)
                fresh = self._store.get_shard(run, index)
                if fresh is None or not fresh.state.final:
                    raise AssertionError(f"shard {index} of run {run.run_id} is open in a closed stripe")
                rows[index] = fresh
        return [rows[index] for index in range(run.shards)]

    def _publish(self, run: Run, shards: Iterable[Shard], deadline: float) -> list[PublishedShard]:
        """All DONE shards at their final keys: missing files copied, present ones compared."""
        done = [(shard, shard.output) for shard in shards if shard.state is ShardState.DONE]
        folder = output_folder(run)
        sizes = {facts.key.removeprefix(folder.key): facts.size_bytes for facts in self._publisher.list_final(run)}
        look_at_each = len(sizes) <= HEAD_MAX
        published = []
        for shard, output in done:
            if output is None:
                raise OutputDamagedError(f"shard {shard.index} is DONE without an output in its row")
            self._check_time(deadline)
            published.append(self._publish_shard(run, shard.index, output, sizes, look_at_each=look_at_each))
        return published

    def _publish_shard(
        self, run: Run, index: int, output: OutputPointer, sizes: Mapping[str, int], *, look_at_each: bool
    ) -> PublishedShard:
        files = read_output_pointer(self._buckets.work, run.run_id, index, output)
        listed = all(sizes.get(file.name) == file.size_bytes for file in files)
        if not listed or (look_at_each and not all(self._publisher.is_published(run, file) for file in files)):
            files = self._publisher.publish(run, index, output)
            logger.info(events.SHARD_PUBLISHED, extra={"run_id": run.run_id, "shard": index, "by": "finalizer"})
        return PublishedShard(
            index=index, files=files, sha256=output.sha256, size_bytes=output.size_bytes, records=output.records
        )

    def _clean(self, run: Run, deadline: float) -> bool:
        """Delete what the run left behind; False if time ran out.

        Staged objects go only where nothing can need them: the run is published in full, or was cancelled. The run is
        called clean by a pass that begins when nobody writes for it any more; until then the controller asks again.
        """
        quiet = run.ended_at is not None and to_epoch_ms(self._clock.now()) - run.ended_at >= QUIET_MS
        cancelled = run.state is RunState.CANCELLED
        objects = self._buckets.bucket(output_folder(run).bucket)
        staging = cancelled or _is_published(objects, run)
        cleaned = self._cleanup.clean(run.run_id, staging=staging, deadline=deadline)
        if cleaned.complete and quiet:
            self._store.mark_cleaned(run.run_id)
        return cleaned.complete

    def _leave_record(self, run: Run, shards: Iterable[Shard], sessions: Iterable[Session]) -> None:
        """For the sizing of the next runs; before the end, so that a run that ended has left one."""
        record = run_record(run, shards, sessions, ended_at=to_epoch_ms(self._clock.now()))
        if record.samples:
            write_run_record(self._buckets.work, run, record)

    def _cost(self, run: Run, known: Iterable[Session]) -> RunCost:
        everybody = [*known, *neighbours(self._store, run, known)]
        sessions = worked_sessions(everybody, now_ms=to_epoch_ms(self._clock.now()))
        book = PriceBook(on_demand=self._on_demand, spot=self._spot)
        return run_cost(sessions, run_id=run.run_id, book=book)

    def _check_time(self, deadline: float) -> None:
        if self._clock.monotonic() >= deadline:
            raise _OutOfTimeError


def _quarantined(shard: Shard) -> QuarantinedShard:
    return QuarantinedShard(
        index=shard.index, error=shard.last_error or "", failures=shard.failures, losses=shard.losses
    )


def _is_published(objects: ObjectStore, run: Run) -> bool:
    """Whether this run's `_SUCCESS` stands."""
    try:
        manifest = read_success(objects, run)
    except OutputConflictError:
        return False
    return manifest is not None and manifest.get("run") == run.run_id
