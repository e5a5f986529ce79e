"""Runs, sessions, shards and leases as values, the way PROTOCOL (docs/protocol.md) names them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NewType

RunId = NewType("RunId", str)
SessionId = NewType("SessionId", str)
NEVER: Final = 1_000_000_000  # interruptions no shard reaches


class RunState(StrEnum):
    RUNNING = "RUNNING"
    COMPLETE = "COMPLETE"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    PAUSED = "PAUSED"

    @property
    def ended(self) -> bool:
        return self in (RunState.COMPLETE, RunState.FAILED, RunState.CANCELLED)


class ShardState(StrEnum):
    READY = "READY"
    LEASED = "LEASED"
    DONE = "DONE"
    QUARANTINED = "QUARANTINED"

    @property
    def final(self) -> bool:
        return self in (ShardState.DONE, ShardState.QUARANTINED)


class SessionState(StrEnum):
    ALIVE = "ALIVE"
    ENDED = "ENDED"  # closed by the worker itself
    DEAD = "DEAD"  # fenced by somebody else


class CapacityClass(StrEnum):
    SPOT = "spot"
    ON_DEMAND = "on-demand"


class FailurePolicy(StrEnum):
    CONTINUE = "continue"  # quarantined shards leave a degraded but COMPLETE run
    FAIL = "fail"  # one quarantined shard ends the run as FAILED


class CheckpointPreset(StrEnum):
    """How a run saves, by the names users know; checkpoints/presets.py says what each means."""

    AUTO = "auto"
    NAIVE = "naive"
    HOURLY = "hourly"
    INCREMENTAL = "incremental"


class NoticePolicy(StrEnum):
    WORK = "work"  # save, work on, save again at the last moment
    LEAVE = "leave"  # save and leave at once


class RequeueCause(StrEnum):
    """Why a lease is taken from its owner; decides which counter of the shard rises."""

    TERMINATED = "terminated"  # the host is known to be gone: interruptions + 1
    EXPIRED_AFTER_NOTICE = "expired-after-notice"  # session expired, notice on record: interruptions + 1
    LOST = "lost"  # session expired without any notice: losses + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What the submitter may tune; stored with the run, the same for all its workers."""

    ttl_s: float = 90.0  # a session that is silent this long is rescued
    heartbeat_s: float = 30.0  # at most half the ttl
    checkpoint: CheckpointPreset = CheckpointPreset.AUTO
    checkpoint_interval_s: float | None = None  # exactly; None: the preset decides
    window_s: float | None = None  # that a last save must fit; None: what the environment says of notices
    interruption_rate_per_h: float | None = None  # the submitter's guess; None: the prior of checkpoints/risk.py
    on_notice: NoticePolicy = NoticePolicy.WORK
    poll_s: float = 2.0  # idle workers look for work this often; also the stop file and IMDS poll
    failures_max: int = 3  # k: a shard that failed so often is quarantined
    losses_max: int = 4  # a shard whose workers vanished so often without notice is quarantined
    on_failure: FailurePolicy = FailurePolicy.CONTINUE
    hint_s: float = 1200.0  # a rebalance recommendation is forgotten after 20 minutes
    fallback_after_s: float = 600.0  # a shard that waits this long for Spot is worth an on-demand worker
    on_demand_after: int = 3  # m: a shard interrupted so often is left to on-demand workers
    deadline_s: float | None = None  # from the run's creation; None: whenever it ends
    on_demand_share_max: float = 1.0  # of the run's workers, 0 to 1; 0: never on demand
    on_demand_workers_max: int | None = None  # at a time; 0: never on demand; None: as the share says
    usd_per_hour_max: float | None = None  # that the run's workers may cost while on-demand ones are added
    usd_max: float | None = None  # the run pauses when it has cost this much
    job: dict[str, str] = field(default_factory=dict)  # passed to the user's function as shard.options

    @property
    def allows_on_demand(self) -> bool:
        """Whether the run may have on-demand workers at all."""
        return self.on_demand_share_max > 0 and self.on_demand_workers_max != 0

    @property
    def class_changes_at(self) -> int:
        """Interruptions from which on a shard is left to on-demand workers; NEVER if the run may have none."""
        return self.on_demand_after if self.allows_on_demand else NEVER


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One submitted job over one input."""

    run_id: RunId
    state: RunState
    job: str
    plan_key: str
    plan_sha256: str
    parameters_sha256: str  # of job, input, output, sharding and options: submitting again must match
    input_uri: str
    output_uri: str
    shards: int  # n
    stripes: int  # k; shard i lives in stripe i mod k
    session_buckets: int
    options: RunOptions
    closed: frozenset[int]  # stripes seen complete
    created_at: int  # epoch ms
    exhausted: frozenset[int] = frozenset()  # stripes without tickets: nothing in them was never leased
    carer: str | None = None  # the idle session that cares for the run on behalf of all others
    care_until: int | None = None  # epoch ms; past it another one may
    ended_at: int | None = None
    quarantined: int = 0  # set when the run ends
    finalizer: str | None = None  # session or invocation that finalizes
    finalizer_epoch: int = 0
    finalizer_until: int | None = None
    batch_queue: str | None = None  # where the first worker came from; top-ups go there too
    batch_job_definition: str | None = None
    batch_job_id: str | None = None  # of the worker that planned it: the next one is like it if none opened a session
    workers: int = 1  # how many the submission that planned it asked for
    reason: str | None = None  # why it FAILED, was CANCELLED or is PAUSED
    paused_at: int | None = None  # epoch ms, while PAUSED
    usd_max: float | None = None  # set when it was resumed: instead of its option

    @property
    def budget_usd(self) -> float | None:
        """Dollars at which the run pauses; None: never."""
        return self.options.usd_max if self.usd_max is None else self.usd_max

    def stripe_of(self, index: int) -> int:
        return index % self.stripes

    def shards_in_stripe(self, stripe: int) -> int:
        """How many of the n shards live in `stripe`."""
        return (self.shards - stripe + self.stripes - 1) // self.stripes


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedStripe:
    """What closing a stripe did."""

    run: Run  # as stored after it
    first: bool  # False: somebody had closed it before


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointPointer:
    """Names a durable manifest; `seq` only rises within a shard."""

    manifest_key: str
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputFile:
    """One staged object of a shard's output."""

    name: str  # relative to the run's output, e.g. part-00000007.parquet
    staged_key: str
    sha256: str  # hex
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputPointer:
    """What a commit names. Up to a few files are inline; more are listed in a staged manifest object."""

    files: tuple[OutputFile, ...]  # empty when `manifest_key` is set
    manifest_key: str | None
    sha256: str  # over the sorted (name, sha256, size) of all files
    size_bytes: int
    records: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardUsage:
    """What a shard took under the lease that committed it."""

    session: SessionId
    worked_ms: int  # of the job itself: neither saving nor restoring, nor what was lost and done again
    input_bytes: int
    peak_mib: int  # 0: unknown
    cpu_ms: int = 0  # of the worker and its children; 0: unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """A shard's row. A shard without a row is READY with token 0."""

    run_id: RunId
    index: int
    state: ShardState
    fencing_token: int
    owner: SessionId | None = None
    checkpoint: CheckpointPointer | None = None
    output: OutputPointer | None = None
    failures: int = 0
    interruptions: int = 0
    losses: int = 0
    capacity_class: CapacityClass = CapacityClass.SPOT
    reclaim_at: int | None = None  # epoch ms: drained, claimable from then on
    claimable_at: int | None = None  # epoch ms, while in the claimable index
    last_error: str | None = None
    leased_at: int | None = None
    done_at: int | None = None
    usage: ShardUsage | None = None  # of a DONE shard, if its worker told
    earlier_ms: int = 0  # worked, and saved, under leases that their workers handed back


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to work on one shard, good for as long as owner and token are the row's."""

    run_id: RunId
    index: int
    stripe: int
    owner: SessionId
    fencing_token: int
    checkpoint: CheckpointPointer | None
    failures: int
    interruptions: int
    losses: int
    class_changes_at: int = NEVER  # interruptions from which on the shard is left to on-demand workers


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A claimable shard as an index showed it: a hint, checked again by the claim."""

    index: int
    fencing_token: int
    drained: bool  # still LEASED, claimable because its reclaim time has passed
    claimable_at: int = 0  # epoch ms: since when


class StopKind(StrEnum):
    NOTICE = "notice"  # the host will be reclaimed at the deadline
    TERMINATED = "terminated"  # the host is gone
    CANCELLED = "cancelled"  # the run was cancelled
    PAUSED = "paused"  # the run was paused: save, hand the shard back, leave
    RETIRED = "retired"  # a surplus worker: finish the shard in hand, take no other; gives way to every other kind

    @property
    def interrupts(self) -> bool:
        """Whether the host is taken, rather than somebody wants the worker to leave."""
        return self in (StopKind.NOTICE, StopKind.TERMINATED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    kind: StopKind
    deadline: int | None  # epoch ms; the first one on record wins


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """Where a session runs, from IMDS and Batch; unknown facts are empty strings."""

    instance_id: str
    instance_type: str = ""
    zone: str = ""
    lifecycle: str = ""  # spot | on-demand
    batch_job_id: str = ""  # with :index for array children
    batch_attempt: int = 1
    vcpus: float = 0.0  # this worker's share of the host
    memory_mib: int = 0  # this worker's share of the host's memory; 0 = unknown
    launched_at: int | None = None  # epoch ms: when EC2 launched the host


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One worker process's life."""

    session_id: SessionId
    run_id: RunId
    bucket: int
    host: Host
    state: SessionState
    until: int  # epoch ms; past it anybody may fence the session
    seq: int  # of the last hold or heartbeat
    held: int | None  # shard index claimed or about to be claimed
    stop: Stop | None
    hint_until: int | None  # epoch ms: take no new lease before (rebalance recommendation)
    started_at: int
    ended_at: int | None = None
    work_ms: int = 0  # ledger, as last reported by the worker
    checkpoint_ms: int = 0
    idle_ms: int = 0
    redone_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionKey:
    run_id: RunId
    bucket: int
    session_id: SessionId


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """How a session spent its time so far; rides on heartbeats for free."""

    work_ms: int = 0
    checkpoint_ms: int = 0
    idle_ms: int = 0
    redone_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """Something that was decided about a run, and why."""

    key: str  # made by `history_key`; the first entry of a key stays
    at: int  # epoch ms
    kind: str
    reason: str
    facts: Mapping[str, str] = field(default_factory=dict)


def history_key(at: int, name: str) -> str:
    """Sorts by time; two deciders that give the same `at` and `name` note one decision once.

    Args:
        at: epoch ms.
        name: what was decided, e.g. "fallback/3".
    """
    return f"{at:015d}/{name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StripeWalk:
    """One strongly consistent reading of a stripe."""

    stripe: int
    done: int
    quarantined: int
    open: tuple[Shard, ...]  # rows that are READY or LEASED
    missing: tuple[int, ...]  # indexes below the ticket counter without a row: holes, or claims under way
    ticketless: int  # shards no ticket was ever taken for

    @property
    def complete(self) -> bool:
        return not self.open and not self.missing and self.ticketless == 0
