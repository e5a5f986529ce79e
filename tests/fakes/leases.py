"""Runs, sessions, checkpoints and outputs as tests need them."""

from dataclasses import replace
from typing import Any

from spotproof import contract
from spotproof.leases.model import (
    CapacityClass,
    CheckpointPointer,
    Host,
    Lease,
    OutputFile,
    OutputPointer,
    Run,
    RunId,
    RunOptions,
    RunState,
    Session,
    SessionId,
    SessionKey,
    SessionState,
)
from spotproof.leases.store import LeaseStore

NOON = 1_795_348_800_000  # epoch ms: where FakeClock starts
HOUR = 3_600_000


def a_run(**changes: Any) -> Run:
    run = Run(
        run_id=RunId("2026-11-22"),
        state=RunState.RUNNING,
        job="flight-delays",
        plan_key="runs/2026-11-22/plan",
        plan_sha256="a" * 64,
        parameters_sha256="b" * 64,
        input_uri="s3://data/flights/",
        output_uri="s3://data/output/2026-11-22/",
        shards=6,
        stripes=2,
        session_buckets=2,
        options=RunOptions(),
        closed=frozenset(),
        created_at=NOON,
    )
    return replace(run, **changes)


def a_session(name: str = "worker-a", *, run: Run | None = None, **changes: Any) -> Session:
    session = Session(
        session_id=SessionId(name),
        run_id=(run or a_run()).run_id,
        bucket=0,
        host=Host(instance_id="i-0a", instance_type="m6i.large", zone="eu-west-1a", lifecycle="spot", vcpus=1.0),
        state=SessionState.ALIVE,
        until=NOON + HOUR,
        seq=0,
        held=None,
        stop=None,
        hint_until=None,
        started_at=NOON,
    )
    return replace(session, **changes)


def key_of(session: Session) -> SessionKey:
    return SessionKey(run_id=session.run_id, bucket=session.bucket, session_id=session.session_id)


def a_checkpoint(lease: Lease, seq: int = 1) -> CheckpointPointer:
    prefix = contract.checkpoints_prefix(lease.run_id, lease.index)
    return CheckpointPointer(manifest_key=f"{prefix}{lease.fencing_token:06d}/{seq:08d}.manifest", seq=seq)


def an_output(lease: Lease, digest: str = "c") -> OutputPointer:
    staged = f"{contract.staging_prefix(lease.run_id, lease.index)}{lease.fencing_token}-{lease.owner}/part.json"
    file = OutputFile(name=f"part-{lease.index:08d}.json", staged_key=staged, sha256=digest * 64, size_bytes=1234)
    return OutputPointer(files=(file,), manifest_key=None, sha256=digest * 64, size_bytes=1234, records=56)


def leased(store: LeaseStore, run: Run, session: Session, index: int = 0, *, seq: int = 1) -> Lease:
    """Hold and claim a shard that has no row, as a worker does."""
    assert store.hold(session, index, seq=seq, until=session.until) is not None
    lease = store.claim_fresh(run, index, session)
    assert lease is not None
    return lease


def reclaimed(store: LeaseStore, run: Run, session: Session, index: int = 0) -> Lease:
    """Claim a shard that the claimable index shows, of whichever class."""
    shown = [found for each in CapacityClass for found in store.candidates(run, each, limit=100)]
    [candidate] = [found for found in shown if found.index == index]
    lease = store.claim_requeued(run, candidate, session)
    assert lease is not None
    return lease
