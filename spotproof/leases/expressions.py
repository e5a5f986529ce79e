"""Every condition and update expression of the protocol, as named statements.

Attribute names appear only as `#name` placeholders, so that no reserved word of DynamoDB can break a statement, and the
name after `#` is the attribute's name. The same strings run on DynamoDB and in the in-memory table.
"""

import re
from dataclasses import dataclass
from functools import cache
from typing import Final

from spotproof import contract
from spotproof.leases.model import RunState, SessionState, ShardState

SCHEMA: Final = 1  # of every item; items of a newer schema are refused

_NAME: Final = re.compile(r"#[A-Za-z0-9_]+")
_VALUE: Final = re.compile(r":[A-Za-z0-9_]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One transition: what must hold and what changes. Puts have no update."""

    name: str
    condition: str
    update: str = ""

    @property
    def names(self) -> dict[str, str]:
        """`#name` -> attribute name, for exactly the names used."""
        return names_in(self.condition, self.update)

    @property
    def placeholders(self) -> frozenset[str]:
        """The `:value` placeholders used."""
        return placeholders_in(self.condition, self.update)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """One query: a key condition on the table or on an index."""

    name: str
    key: str
    index: str | None = None

    @property
    def names(self) -> dict[str, str]:
        return names_in(self.key)

    @property
    def placeholders(self) -> frozenset[str]:
        return placeholders_in(self.key)


def names_in(*texts: str) -> dict[str, str]:
    """`#name` -> attribute name for every placeholder in the texts, in order."""
    return dict(_pairs_in(*texts))


@cache
def _pairs_in(*texts: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, name[1:]) for name in sorted(name_placeholders_in(*texts)))


@cache
def name_placeholders_in(*texts: str) -> frozenset[str]:
    """The `#name` placeholders in the texts."""
    return frozenset(_NAME.findall(" ".join(texts)))


@cache
def placeholders_in(*texts: str) -> frozenset[str]:
    """The `:value` placeholders in the texts."""
    return frozenset(_VALUE.findall(" ".join(texts)))


# Values that never vary; the gateway adds those that a statement uses.
CONSTANTS: Final[dict[str, str | int]] = {
    ":one": 1,
    ":schema": SCHEMA,
    ":alive": SessionState.ALIVE.value,
    ":ended": SessionState.ENDED.value,
    ":dead": SessionState.DEAD.value,
    ":ready": ShardState.READY.value,
    ":leased": ShardState.LEASED.value,
    ":done": ShardState.DONE.value,
    ":quarantined": ShardState.QUARANTINED.value,
    ":running": RunState.RUNNING.value,
    ":paused": RunState.PAUSED.value,
    ":cancelled": RunState.CANCELLED.value,
    ":ended_runs": contract.ENDED_RUNS,
}

CREATE: Final = Statement(name="create", condition="attribute_not_exists(#pk)")

# --- runs ----------------------------------------------------------------------------------------------------------

CANCEL_RUN: Final = Statement(
    name="cancel run",
    condition="#state = :running OR #state = :paused",
    update="SET #state = :cancelled, #reason = :reason, #ended_at = :now, #active_pk = :ended_runs REMOVE #paused_at",
)
PAUSE_RUN: Final = Statement(
    name="pause run",
    condition="#state = :running",
    update="SET #state = :paused, #reason = :reason, #paused_at = :now",
)
PAUSE_RUN_OF_BUDGET: Final = Statement(  # nobody has given it another budget meanwhile
    name="pause run of budget",
    condition="#state = :running AND (attribute_not_exists(#usd_max) OR #usd_max = :usd_max)",
    update=PAUSE_RUN.update,
)
_RESUME: Final = "SET #state = :running"
RESUME_RUN: Final = Statement(
    name="resume run",
    condition="#state = :running OR #state = :paused",
    update=f"{_RESUME} REMOVE #paused_at, #reason",
)
RESUME_RUN_WITH_BUDGET: Final = Statement(
    name="resume run with budget",
    condition="#state = :running OR #state = :paused",
    update=f"{_RESUME}, #usd_max = :usd_max REMOVE #paused_at, #reason",
)
CLOSE_STRIPE: Final = Statement(
    name="close stripe",
    condition="attribute_exists(#pk) AND NOT contains(#closed, :stripe)",
    update="ADD #closed :stripe_set",
)
EXHAUST_STRIPE: Final = Statement(
    name="exhaust stripe",
    condition="attribute_exists(#pk) AND NOT contains(#exhausted, :stripe)",
    update="ADD #exhausted :stripe_set",
)
TAKE_CARE: Final = Statement(
    name="take care",
    condition="#state = :running AND (attribute_not_exists(#care_until) OR #care_until < :now OR #carer = :carer)",
    update="SET #carer = :carer, #care_until = :until",
)
TAKE_FINALIZER: Final = Statement(
    name="take finalizer",
    # DynamoDB has no empty sets: until the first stripe closes there is no attribute to take the size of
    condition="attribute_exists(#closed) AND size(#closed) = :stripes AND (#state = :running OR #state = :paused)"
    " AND (attribute_not_exists(#finalizer_until) OR #finalizer_until < :now)",
    update="SET #finalizer = :finalizer, #finalizer_until = :until ADD #finalizer_epoch :one",
)
END_RUN: Final = Statement(
    name="end run",
    condition="(#state = :running OR #state = :paused) AND #finalizer_epoch = :epoch",
    update="SET #state = :state, #ended_at = :now, #quarantined = :count, #reason = :reason, #active_pk = :ended_runs"
    " REMOVE #paused_at",
)
MARK_CLEANED: Final = Statement(
    name="mark cleaned", condition="#active_pk = :ended_runs", update="SET #cleaned_at = :now REMOVE #active_pk"
)

# --- sessions ------------------------------------------------------------------------------------------------------

_SET_LEDGER: Final = (
    "#work_ms = :work_ms, #checkpoint_ms = :checkpoint_ms, #idle_ms = :idle_ms, #redone_ms = :redone_ms"
)
HOLD: Final = Statement(
    name="hold",
    condition="#state = :alive AND attribute_not_exists(#stop_kind) AND attribute_not_exists(#retired) AND #seq < :seq",
    update="SET #held = :held, #until = :until, #seq = :seq",
)
HEARTBEAT: Final = Statement(
    name="heartbeat",
    condition="#state = :alive AND #seq < :seq",
    update=f"SET #until = :until, #seq = :seq, {_SET_LEDGER}",
)
END_SESSION: Final = Statement(
    name="end session",
    condition="#state = :alive",
    update=f"SET #state = :ended, #ended_at = :now, {_SET_LEDGER}",
)
MARK_STOP: Final = Statement(
    name="mark stop", condition="#state = :alive", update="SET #stop_kind = if_not_exists(#stop_kind, :kind)"
)
MARK_STOP_WITH_DEADLINE: Final = Statement(
    name="mark stop with deadline",
    condition="#state = :alive",
    update="SET #stop_kind = if_not_exists(#stop_kind, :kind),"
    " #stop_deadline = if_not_exists(#stop_deadline, :deadline)",
)
MARK_RETIRED: Final = Statement(  # apart from the stops: one that comes later must not find its place taken
    name="mark retired", condition="#state = :alive", update="SET #retired = :one"
)
MARK_HINT: Final = Statement(
    name="mark hint",
    condition="#state = :alive AND (attribute_not_exists(#hint_until) OR #hint_until < :until)",
    update="SET #hint_until = :until",
)
FENCE: Final = Statement(
    name="fence session", condition="#state = :alive", update="SET #state = :dead, #ended_at = :now"
)
FENCE_EXPIRED: Final = Statement(
    name="fence expired session",
    condition="#state = :alive AND #until < :expired_at",
    update="SET #state = :dead, #ended_at = :now",
)

# --- claims --------------------------------------------------------------------------------------------------------

TICKET: Final = Statement(
    name="take ticket",
    condition="attribute_not_exists(#next) OR #next < :limit",
    update="SET #schema = :schema ADD #next :one",
)
_LEASE_TO_ME: Final = (
    "SET #shard_state = :leased, #owner = :owner, #leased_at = :now REMOVE #claimable_pk, #claimable_at, #reclaim_at"
)
CLAIM_READY: Final = Statement(
    name="claim ready",
    condition="#shard_state = :ready AND #fencing_token = :seen",
    update=f"{_LEASE_TO_ME} ADD #fencing_token :one",
)
CLAIM_DRAINED: Final = Statement(  # its owner was interrupted and let the reclaim time pass
    name="claim drained",
    condition="#shard_state = :leased AND #fencing_token = :seen AND #reclaim_at <= :now",
    update=f"{_LEASE_TO_ME} ADD #fencing_token :one, #interruptions :one",
)

# --- writes under a lease ------------------------------------------------------------------------------------------

_OWNED: Final = "#shard_state = :leased AND #owner = :owner AND #fencing_token = :token"
_QUARANTINE: Final = (
    "SET #shard_state = :quarantined, #last_error = :error, #last_return = :return, #done_at = :now"
    " REMOVE #owner, #reclaim_at, #claimable_pk, #claimable_at ADD #fencing_token :one"
)
_RETURN: Final = (
    "SET #shard_state = :ready, #claimable_pk = #class_pk, #claimable_at = :claimable_at, #last_return = :return"
)
_RETURN_TO_ON_DEMAND: Final = (
    "SET #shard_state = :ready, #claimable_pk = :on_demand_pk, #class_pk = :on_demand_pk,"
    " #claimable_at = :claimable_at, #last_return = :return"
)
_HAND_BACK: Final = "REMOVE #owner, #reclaim_at ADD #fencing_token :one, #earlier_ms :worked"
_TAKE_BACK: Final = "REMOVE #owner, #reclaim_at ADD #fencing_token :one"
CHECKPOINT: Final = Statement(
    name="record checkpoint",
    condition=f"{_OWNED} AND (attribute_not_exists(#checkpoint_seq) OR #checkpoint_seq < :seq)",
    update="SET #checkpoint_key = :key, #checkpoint_seq = :seq",
)
COMMIT: Final = Statement(
    name="commit",
    condition=_OWNED,
    update="SET #shard_state = :done, #output = :output, #output_sha256 = :sha256, #output_bytes = :size,"
    " #records = :records, #usage = :usage, #done_at = :now REMOVE #reclaim_at, #claimable_pk, #claimable_at, #last_return",
)
FAIL: Final = Statement(
    name="fail",
    condition=_OWNED,
    update=f"{_RETURN}, #last_error = :error {_HAND_BACK}, #failures :one",
)
FAIL_FOR_GOOD: Final = Statement(
    name="fail for good", condition=_OWNED, update=f"{_QUARANTINE}, #failures :one, #earlier_ms :worked"
)
RELEASE: Final = Statement(
    name="release",
    condition=_OWNED,
    update=f"{_RETURN} {_HAND_BACK}, #interruptions :interrupted",
)
RELEASE_TO_ON_DEMAND: Final = Statement(  # interrupted too often on Spot; under a lease its owner knows the count
    name="release to on-demand",
    condition=_OWNED,
    update=f"{_RETURN_TO_ON_DEMAND} {_HAND_BACK}, #interruptions :one",
)

# --- taking leases away --------------------------------------------------------------------------------------------

_HELD_BY: Final = "#shard_state = :leased AND #owner = :owner"
_STAYS: Final = "#interruptions < :interruptions_last"
_CHANGES: Final = "#interruptions >= :interruptions_last"
_NOT_DRAINED: Final = f"{_HELD_BY} AND attribute_not_exists(#reclaim_at)"
DRAIN: Final = Statement(
    name="drain",
    condition=f"{_NOT_DRAINED} AND {_STAYS}",
    update="SET #reclaim_at = :reclaim_at, #claimable_pk = #class_pk, #claimable_at = :reclaim_at",
)
DRAIN_TO_ON_DEMAND: Final = Statement(  # this is the interruption that is one too many
    name="drain to on-demand",
    condition=f"{_NOT_DRAINED} AND {_CHANGES}",
    update="SET #reclaim_at = :reclaim_at, #claimable_pk = :on_demand_pk, #class_pk = :on_demand_pk,"
    " #claimable_at = :reclaim_at",
)
REQUEUE_INTERRUPTED: Final = Statement(
    name="requeue interrupted",
    condition=f"{_HELD_BY} AND {_STAYS}",
    update=f"{_RETURN} {_TAKE_BACK}, #interruptions :one",
)
REQUEUE_TO_ON_DEMAND: Final = Statement(
    name="requeue to on-demand",
    condition=f"{_HELD_BY} AND {_CHANGES}",
    update=f"{_RETURN_TO_ON_DEMAND} {_TAKE_BACK}, #interruptions :one",
)
REQUEUE_LOST: Final = Statement(
    name="requeue lost",
    condition=f"{_HELD_BY} AND #losses < :losses_last",
    update=f"{_RETURN} {_TAKE_BACK}, #losses :one",
)
QUARANTINE_LOST: Final = Statement(  # the shard that kills its workers
    name="quarantine lost",
    condition=f"{_HELD_BY} AND #losses >= :losses_last",
    update=f"{_QUARANTINE}, #losses :one",
)

# --- queries -------------------------------------------------------------------------------------------------------

PARTITION: Final = Selection(name="partition", key="#pk = :pk")
CLAIMABLE: Final = Selection(
    name="claimable shards",
    key="#claimable_pk = :pk AND #claimable_at <= :until",
    index=contract.CLAIMABLE_INDEX.name,
)
ON_INSTANCE: Final = Selection(
    name="sessions on instance", key="#instance_id = :instance_id", index=contract.INSTANCE_INDEX.name
)
RUNS_BY_ACTIVITY: Final = Selection(name="runs by activity", key="#active_pk = :pk", index=contract.ACTIVE_INDEX.name)

STATEMENTS: Final = (
    CREATE, CANCEL_RUN, PAUSE_RUN, PAUSE_RUN_OF_BUDGET, RESUME_RUN, RESUME_RUN_WITH_BUDGET, CLOSE_STRIPE, EXHAUST_STRIPE, TAKE_CARE, TAKE_FINALIZER, END_RUN, MARK_CLEANED,
    HOLD, HEARTBEAT, END_SESSION, MARK_STOP, MARK_STOP_WITH_DEADLINE, MARK_RETIRED, MARK_HINT, FENCE, FENCE_EXPIRED,
    TICKET, CLAIM_READY, CLAIM_DRAINED,
    CHECKPOINT, COMMIT, FAIL, FAIL_FOR_GOOD, RELEASE, RELEASE_TO_ON_DEMAND,
    DRAIN, DRAIN_TO_ON_DEMAND, REQUEUE_INTERRUPTED, REQUEUE_TO_ON_DEMAND, REQUEUE_LOST, QUARANTINE_LOST,
)  # fmt: skip
SELECTIONS: Final = (PARTITION, CLAIMABLE, ON_INSTANCE, RUNS_BY_ACTIVITY)
