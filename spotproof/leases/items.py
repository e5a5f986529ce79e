"""Items of the table to and from the model; unknown attributes are tolerated, newer schemas refused."""

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, Final

from spotproof import contract
from spotproof.errors import ItemError, ItemTooNewError
from spotproof.leases.attribute_values import AttributeValue, Item, Plain, to_item
from spotproof.leases.expressions import SCHEMA
from spotproof.leases.model import (
    Candidate,
    CapacityClass,
    CheckpointPointer,
    FailurePolicy,
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
    Shard,
    ShardState,
    Stop,
    StopKind,
)

ERROR_CHARS_MAX: Final = 240  # of a shard's last error in its row; the log has the whole text


class ItemReader:
    """Typed access to one item.

    Raises:
        ItemError: an attribute is missing or has another type than ours.
        ItemTooNewError: the item's schema is newer than SCHEMA.
    """

    def __init__(self, item: Mapping[str, AttributeValue]) -> None:
        self.item = item
        schema = self.integer("schema", SCHEMA)
        if schema > SCHEMA:
            raise ItemTooNewError(
                f"item {self._key()} has schema {schema}, this program knows up to {SCHEMA}; upgrade spotproof"
            )

    def text(self, name: str, default: str | None = None) -> str:
        return str(self._value(name, "S", default))

    def integer(self, name: str, default: int | None = None) -> int:
        return int(float(self._value(name, "N", default)))

    def real(self, name: str, default: float | None = None) -> float:
        return float(self._value(name, "N", default))

    def text_or_none(self, name: str) -> str | None:
        return self.text(name) if name in self.item else None

    def integer_or_none(self, name: str) -> int | None:
        return self.integer(name) if name in self.item else None

    def integers(self, name: str) -> frozenset[int]:
        return frozenset(int(number) for number in self._value(name, "NS", ()))

    def members(self, name: str) -> list["ItemReader"]:
        """The maps of a list attribute; empty if absent."""
        return [ItemReader(part["M"]) for part in self._value(name, "L", ())]

    def _value(self, name: str, kind: str, default: Any) -> Any:
        value = self.item.get(name)
        if value is not None and kind in value:
            return value[kind]
        if value is None and default is not None:
            return default
        problem = "is missing" if value is None else f"has type {next(iter(value))} instead of {kind}"
        raise ItemError(f"attribute {name!r} of item {self._key()} {problem}; was the table edited by hand?")

    def _key(self) -> str:
        parts = (self.item.get(name, {}).get("S", "?") for name in (contract.PARTITION_KEY, contract.SORT_KEY))
        return "/".join(parts)


def key_of(pk: str, sk: str) -> Item:
    return to_item({contract.PARTITION_KEY: pk, contract.SORT_KEY: sk})


# --- runs ----------------------------------------------------------------------------------------------------------


def run_to_item(run: Run) -> Item:
    """A new run's item, in the active index.

    Raises:
        ValueError: the run id holds the separator of our keys.
    """
    if not run.run_id or "#" in run.run_id:
        raise ValueError(f"run id {run.run_id!r} must be non-empty and without '#'")
    return to_item(
        {
            contract.PARTITION_KEY: contract.run_pk(run.run_id),
            contract.SORT_KEY: contract.RUN_SK,
            "schema": SCHEMA,
            "state": run.state.value,
            "job": run.job,
            "plan_key": run.plan_key,
            "plan_sha256": run.plan_sha256,
            "parameters_sha256": run.parameters_sha256,
            "input_uri": run.input_uri,
            "output_uri": run.output_uri,
            "shards": run.shards,
            "stripes": run.stripes,
            "session_buckets": run.session_buckets,
            "options": json.dumps(asdict(run.options), sort_keys=True),
            "closed": run.closed or None,  # DynamoDB has no empty sets
            "created_at": run.created_at,
            "batch_queue": run.batch_queue,
            "batch_job_definition": run.batch_job_definition,
            "finalizer_epoch": run.finalizer_epoch,
            contract.ACTIVE_INDEX.partition_key: None if run.state.ended else contract.ACTIVE_RUNS,
        }
    )


def run_from_item(item: Mapping[str, AttributeValue]) -> Run:
    reader = ItemReader(item)
    return Run(
        run_id=run_id_of(reader.text(contract.PARTITION_KEY)),
        state=RunState(reader.text("state")),
        job=reader.text("job"),
        plan_key=reader.text("plan_key"),
        plan_sha256=reader.text("plan_sha256"),
        parameters_sha256=reader.text("parameters_sha256"),
        input_uri=reader.text("input_uri"),
        output_uri=reader.text("output_uri"),
        shards=reader.integer("shards"),
        stripes=reader.integer("stripes"),
        session_buckets=reader.integer("session_buckets"),
        options=_options(reader.text("options")),
        closed=reader.integers("closed"),
        created_at=reader.integer("created_at"),
        ended_at=reader.integer_or_none("ended_at"),
        quarantined=reader.integer("quarantined", 0),
        finalizer=reader.text_or_none("finalizer"),
        finalizer_epoch=reader.integer("finalizer_epoch", 0),
        finalizer_until=reader.integer_or_none("finalizer_until"),
        batch_queue=reader.text_or_none("batch_queue"),
        batch_job_definition=reader.text_or_none("batch_job_definition"),
        reason=reader.text("reason", "") or None,
    )


def run_id_of(pk: str) -> RunId:
    """The run of any partition key of the table."""
    return RunId(pk.split("#")[1])


def _options(text: str) -> RunOptions:
    known = {field.name for field in fields(RunOptions)}
    stored = {name: value for name, value in json.loads(text).items() if name in known}
    if "on_failure" in stored:
        stored["on_failure"] = FailurePolicy(stored["on_failure"])
    return RunOptions(**stored)


# --- sessions ------------------------------------------------------------------------------------------------------


def session_key_item(key: SessionKey) -> Item:
    return key_of(contract.sessions_pk(key.run_id, key.bucket), key.session_id)


def session_to_item(session: Session) -> Item:
    """A session's item; in the instance index only if its instance is known."""
    stop = session.stop
    return to_item(
        {
            contract.PARTITION_KEY: contract.sessions_pk(session.run_id, session.bucket),
            contract.SORT_KEY: session.session_id,
            "schema": SCHEMA,
            "state": session.state.value,
            contract.INSTANCE_INDEX.partition_key: session.host.instance_id or None,
            "instance_type": session.host.instance_type,
            "zone": session.host.zone,
            "lifecycle": session.host.lifecycle,
            "batch_job_id": session.host.batch_job_id,
            "batch_attempt": session.host.batch_attempt,
            "vcpus": session.host.vcpus,
            "until": session.until,
            "seq": session.seq,
            "held": session.held,
            "stop_kind": stop.kind.value if stop else None,
            "stop_deadline": stop.deadline if stop else None,
            "hint_until": session.hint_until,
            "started_at": session.started_at,
            "ended_at": session.ended_at,
            "work_ms": session.work_ms,
            "checkpoint_ms": session.checkpoint_ms,
            "idle_ms": session.idle_ms,
            "redone_ms": session.redone_ms,
        }
    )


def session_from_item(item: Mapping[str, AttributeValue]) -> Session:
    reader = ItemReader(item)
    key = session_key_from_item(item)
    kind = reader.text_or_none("stop_kind")
    return Session(
        session_id=key.session_id,
        run_id=key.run_id,
        bucket=key.bucket,
        host=_host(reader),
        state=SessionState(reader.text("state")),
        until=reader.integer("until"),
        seq=reader.integer("seq"),
        held=reader.integer_or_none("held"),
        stop=Stop(kind=StopKind(kind), deadline=reader.integer_or_none("stop_deadline")) if kind else None,
        hint_until=reader.integer_or_none("hint_until"),
        started_at=reader.integer("started_at"),
        ended_at=reader.integer_or_none("ended_at"),
        work_ms=reader.integer("work_ms", 0),
        checkpoint_ms=reader.integer("checkpoint_ms", 0),
        idle_ms=reader.integer("idle_ms", 0),
        redone_ms=reader.integer("redone_ms", 0),
    )


def session_key_from_item(item: Mapping[str, AttributeValue]) -> SessionKey:
    """The key of a session's item; works on what the instance index projects."""
    reader = ItemReader(item)
    pk = reader.text(contract.PARTITION_KEY)
    return SessionKey(
        run_id=run_id_of(pk),
        bucket=int(pk.rpartition("#")[2]),
        session_id=SessionId(reader.text(contract.SORT_KEY)),
    )


def _host(reader: ItemReader) -> Host:
    return Host(
        instance_id=reader.text(contract.INSTANCE_INDEX.partition_key, ""),
        instance_type=reader.text("instance_type", ""),
        zone=reader.text("zone", ""),
        lifecycle=reader.text("lifecycle", ""),
        batch_job_id=reader.text("batch_job_id", ""),
        batch_attempt=reader.integer("batch_attempt", 1),
        vcpus=reader.real("vcpus", 0.0),
    )


# --- shards --------------------------------------------------------------------------------------------------------


def shard_key(run: Run, index: int) -> Item:
    return key_of(contract.stripe_pk(run.run_id, run.stripe_of(index)), contract.shard_sk(index))


def lease_key(lease: Lease) -> Item:
    return key_of(contract.stripe_pk(lease.run_id, lease.stripe), contract.shard_sk(lease.index))


def new_row(run: Run, index: int, *, owner: SessionId | None, now: int) -> Item:
    """The first row of a shard: LEASED by `owner`, or READY and claimable from `now` if there is none."""
    class_pk = contract.claimable_pk(run.run_id, CapacityClass.SPOT.value)
    return shard_key(run, index) | to_item(
        {
            "schema": SCHEMA,
            "shard_state": (ShardState.LEASED if owner else ShardState.READY).value,
            "fencing_token": 1,
            "class_pk": class_pk,  # copied to the index key whenever the shard becomes claimable
            "owner": owner,
            "leased_at": now if owner else None,
            contract.CLAIMABLE_INDEX.partition_key: None if owner else class_pk,
            contract.CLAIMABLE_INDEX.sort_key: None if owner else now,
            "failures": 0,
            "interruptions": 0,
            "losses": 0,
        }
    )


def shard_from_item(item: Mapping[str, AttributeValue]) -> Shard:
    reader = ItemReader(item)
    run_id = run_id_of(reader.text(contract.PARTITION_KEY))
    index = index_of(reader)
    owner = reader.text_or_none("owner")
    return Shard(
        run_id=run_id,
        index=index,
        state=ShardState(reader.text("shard_state")),
        fencing_token=reader.integer("fencing_token"),
        owner=SessionId(owner) if owner else None,
        checkpoint=_checkpoint(reader, run_id, index),
        output=_output(reader, run_id, index),
        failures=reader.integer("failures", 0),
        interruptions=reader.integer("interruptions", 0),
        losses=reader.integer("losses", 0),
        capacity_class=CapacityClass(reader.text("class_pk").rpartition("#")[2]),
        reclaim_at=reader.integer_or_none("reclaim_at"),
        claimable_at=reader.integer_or_none("claimable_at"),
        last_error=reader.text_or_none("last_error"),
        leased_at=reader.integer_or_none("leased_at"),
        done_at=reader.integer_or_none("done_at"),
    )


def index_of(reader: ItemReader) -> int:
    return int(reader.text(contract.SORT_KEY).removeprefix(contract.SHARD_SK_PREFIX))


def is_shard(item: Mapping[str, AttributeValue]) -> bool:
    return str(item[contract.SORT_KEY]["S"]).startswith(contract.SHARD_SK_PREFIX)


def lease_of(run: Run, shard: Shard, owner: SessionId) -> Lease:
    """The lease that a row owned by `owner` gives."""
    return Lease(
        run_id=run.run_id,
        index=shard.index,
        stripe=run.stripe_of(shard.index),
        owner=owner,
        fencing_token=shard.fencing_token,
        checkpoint=shard.checkpoint,
        failures=shard.failures,
        interruptions=shard.interruptions,
        losses=shard.losses,
    )


def candidate_from_item(item: Mapping[str, AttributeValue]) -> Candidate:
    """What the claimable index projects of a row."""
    reader = ItemReader(item)
    return Candidate(
        index=index_of(reader),
        fencing_token=reader.integer("fencing_token"),
        drained=reader.text("shard_state") == ShardState.LEASED.value,
    )


def checkpoint_values(lease: Lease, pointer: CheckpointPointer) -> dict[str, Plain]:
    prefix = contract.checkpoints_prefix(lease.run_id, lease.index)
    return {":key": _shortened(pointer.manifest_key, prefix), ":seq": pointer.seq}


def output_values(lease: Lease, output: OutputPointer) -> dict[str, Plain]:
    """The values of a commit: files inline, or the key of their staged list."""
    prefix = contract.staging_prefix(lease.run_id, lease.index)
    content: Plain
    if output.manifest_key is not None:
        content = _shortened(output.manifest_key, prefix)
    else:
        content = [
            {"name": f.name, "key": _shortened(f.staged_key, prefix), "sha256": f.sha256, "bytes": f.size_bytes}
            for f in output.files
        ]
    return {
        ":output": content,
        ":sha256": output.sha256,
        ":size": output.size_bytes,
        ":records": output.records,
    }


def shortened_error(error: str) -> str:
    """An error small enough for a row of one write unit, on one line."""
    line = " ".join(error.split())
    return line if len(line) <= ERROR_CHARS_MAX else line[: ERROR_CHARS_MAX - 1] + "…"


def _shortened(key: str, prefix: str) -> str:
    """The key without the prefix that its row implies: rows stay below one write unit.

    Raises:
        ValueError: the object is not under this shard's prefix (invariant I5).
    """
    if not key.startswith(prefix) or key == prefix:
        raise ValueError(f"key {key!r} does not belong to this shard: it must start with {prefix!r}")
    return key[len(prefix) :]


def _checkpoint(reader: ItemReader, run_id: RunId, index: int) -> CheckpointPointer | None:
    key = reader.text_or_none("checkpoint_key")
    if key is None:
        return None
    prefix = contract.checkpoints_prefix(run_id, index)
    return CheckpointPointer(manifest_key=prefix + key, seq=reader.integer("checkpoint_seq"))


def _output(reader: ItemReader, run_id: RunId, index: int) -> OutputPointer | None:
    stored = reader.item.get("output")
    if stored is None:
        return None
    prefix = contract.staging_prefix(run_id, index)
    listed_in = prefix + reader.text("output") if "S" in stored else None
    return OutputPointer(
        files=() if listed_in else tuple(_output_file(part, prefix) for part in reader.members("output")),
        manifest_key=listed_in,
        sha256=reader.text("output_sha256"),
        size_bytes=reader.integer("output_bytes"),
        records=reader.integer("records"),
    )


def _output_file(reader: ItemReader, prefix: str) -> OutputFile:
    return OutputFile(
        name=reader.text("name"),
        staged_key=prefix + reader.text("key"),
        sha256=reader.text("sha256"),
        size_bytes=reader.integer("bytes"),
    )
