"""Rows of shards, to and from the model; a normal row stays below one write unit."""

from collections.abc import Mapping
from typing import Final

from spotproof import contract
from spotproof.leases.attribute_values import AttributeValue, Item, Plain, to_item
from spotproof.leases.expressions import SCHEMA
from spotproof.leases.item_reader import ItemReader, damage_told, key_of, run_id_of
from spotproof.leases.model import (
    Candidate,
    CapacityClass,
    CheckpointPointer,
    Lease,
    OutputFile,
    OutputPointer,
    Run,
    RunId,
    SessionId,
    Shard,
    ShardState,
    ShardUsage,
)

ERROR_CHARS_MAX: Final = 240  # of a shard's last error in its row; the log has the whole text


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


@damage_told
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
        usage=_usage(reader),
        earlier_ms=reader.integer("earlier_ms", 0),
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
        class_changes_at=run.options.class_changes_at,
    )


@damage_told
def candidate_from_item(item: Mapping[str, AttributeValue]) -> Candidate:
    """What the claimable index projects of a row."""
    reader = ItemReader(item)
    return Candidate(
        index=index_of(reader),
        fencing_token=reader.integer("fencing_token"),
        drained=reader.text("shard_state") == ShardState.LEASED.value,
        claimable_at=reader.integer(contract.CLAIMABLE_INDEX.sort_key),
    )


def checkpoint_values(lease: Lease, pointer: CheckpointPointer) -> dict[str, Plain]:
    prefix = contract.checkpoints_prefix(lease.run_id, lease.index)
    return {":key": _shortened(pointer.manifest_key, prefix), ":seq": pointer.seq}


def on_demand_pk(run_id: RunId) -> str:
    """Where the claimable index keeps what is left to on-demand workers."""
    return contract.claimable_pk(run_id, CapacityClass.ON_DEMAND.value)


def usage_values(usage: ShardUsage | None) -> dict[str, Plain]:
    """Four numbers, or none of them; whose they are the row tells by its owner."""
    if usage is None:
        return {":usage": []}
    return {":usage": [usage.worked_ms, usage.input_bytes, usage.peak_mib, usage.cpu_ms]}


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


def _usage(reader: ItemReader) -> ShardUsage | None:
    numbers, owner = reader.whole_numbers("usage"), reader.text_or_none("owner")
    if not numbers or owner is None:
        return None
    worked_ms, input_bytes, peak_mib, cpu_ms = numbers
    session = SessionId(owner)
    return ShardUsage(session=session, worked_ms=worked_ms, input_bytes=input_bytes, peak_mib=peak_mib, cpu_ms=cpu_ms)


def _output_file(reader: ItemReader, prefix: str) -> OutputFile:
    return OutputFile(
        name=reader.text("name"),
        staged_key=prefix + reader.text("key"),
        sha256=reader.text("sha256"),
        size_bytes=reader.integer("bytes"),
    )
