"""Run records in the work bucket: written at a run's end, read to size the next runs of its job."""

import logging
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from spotproof import contract, events
from spotproof.capacity.sizing.record import RECORD_BYTES_MAX, PoolUse, RunRecord, ShardSample, decode_record
from spotproof.checkpoints.store import ObjectStore
from spotproof.errors import AwsError, CheckpointCorruptError, ItemError
from spotproof.leases.model import Run, Session, SessionId, SessionState, Shard

logger = logging.getLogger(__name__)
READ_MAX: Final = 40  # records of one job that are read; the newest ones


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRecords:
    """What lies in the bucket for one job."""

    records: tuple[RunRecord, ...]  # newest first
    unreadable: tuple[str, ...]  # why, a line each


def record_key(run: Run) -> str:
    """Of the run's beginning and its id: the same however often its end is tried, and sorted by time."""
    return f"{contract.history_prefix(run.job)}{run.created_at:015d}-{run.run_id}.json"


def run_record(run: Run, shards: Iterable[Shard], sessions: Iterable[Session], *, ended_at: int) -> RunRecord:
    """What the run tells about the next ones of its job.

    Args:
        ended_at: epoch ms.
    """
    known = {session.session_id: session for session in sessions}
    spans = {session_id: (each.started_at, _ended(each, ended_at)) for session_id, each in known.items()}
    return RunRecord(
        job=run.job,
        run_id=run.run_id,
        created_at=run.created_at,
        ended_at=max(ended_at, run.created_at),
        shards=run.shards,
        workers=most_at_once(list(spans.values())),
        session_ms=sum(ended - started for started, ended in spans.values()),
        work_ms=sum(session.work_ms for session in known.values()),
        checkpoint_ms=sum(session.checkpoint_ms for session in known.values()),
        redone_ms=sum(session.redone_ms for session in known.values()),
        idle_ms=sum(session.idle_ms for session in known.values()),
        vcpus=max((session.host.vcpus for session in known.values()), default=0.0),
        samples=tuple(_samples(shards, known)),
        pools=tuple(_pools(known.values(), ended_at)),
    )


def write_run_record(objects: ObjectStore, run: Run, record: RunRecord) -> None:
    """Leave the record; the first one of a run stands. Losing it costs a run's end nothing, so it never fails one."""
    key = record_key(run)
    try:
        objects.put_if_absent(key, record.encode(), content_type="application/json")
    except AwsError as error:
        logger.warning(events.RUN_RECORD_LOST, extra={"run_id": run.run_id, "key": key, "error": str(error)})


def read_run_records(objects: ObjectStore, job: str) -> FoundRecords:
    """The newest records of the job.

    Raises:
        AwsError: the bucket refused or stayed unavailable.
    """
    listed = (facts.key for facts in objects.list(contract.history_prefix(job)))
    newest = deque(listed, maxlen=READ_MAX)  # they come oldest first
    records, unreadable = [], []
    for key in reversed(newest):
        try:
            body = objects.get(key, size_max=RECORD_BYTES_MAX)
            if body is not None:
                records.append(decode_record(body, what=key))
        except (ItemError, CheckpointCorruptError) as error:
            unreadable.append(str(error))
    return FoundRecords(records=tuple(record for record in records if record.job == job), unreadable=tuple(unreadable))


def most_at_once(spans: Sequence[tuple[int, int]]) -> int:
    """The largest number of spans that cover one moment; one that ends when another begins does not meet it."""
    changes = sorted([(started, 1) for started, ended in spans if ended > started] + [
        (ended, -1) for started, ended in spans if ended > started
    ])  # fmt: skip
    now = most = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return most


def _samples(shards: Iterable[Shard], sessions: Mapping[SessionId, Session]) -> Iterable[ShardSample]:
    for shard in shards:
        usage = shard.usage
        if usage is None:
            continue  # quarantined, or committed by a worker that did not tell
        session = sessions.get(usage.session)
        yield ShardSample(
            input_bytes=usage.input_bytes,
            work_ms=usage.worked_ms + shard.earlier_ms,
            peak_mib=usage.peak_mib,
            cpu_ms=usage.cpu_ms,
            lease_ms=usage.worked_ms,
            instance_type=session.host.instance_type if session else "",
        )


def _pools(sessions: Iterable[Session], now_ms: int) -> Iterable[PoolUse]:
    pools: dict[tuple[str, str, str], list[Session]] = {}
    for session in sessions:
        host = session.host
        if host.instance_type and host.zone:
            pools.setdefault((host.instance_type, host.zone, host.lifecycle), []).append(session)
    for (instance_type, zone, lifecycle), members in sorted(pools.items()):
        yield PoolUse(
            instance_type=instance_type,
            zone=zone,
            lifecycle=lifecycle,
            sessions=len(members),
            session_ms=sum(_ended(session, now_ms) - session.started_at for session in members),
            interruptions=sum(_interrupted(session) for session in members),
        )


def _interrupted(session: Session) -> bool:
    """Whether its host was taken: it was told so, or it vanished."""
    told = session.stop is not None and session.stop.kind.interrupts
    return told or session.state is SessionState.DEAD


def _ended(session: Session, now_ms: int) -> int:
    """When the session ended; one that vanished is taken to have lived until its lease ran out."""
    ended = session.ended_at or now_ms
    if session.state is SessionState.DEAD:
        ended = min(ended, session.until)
    return max(ended, session.started_at)
