"""Items of sessions, to and from the model."""

from collections.abc import Mapping

from spotproof import contract
from spotproof.leases.attribute_values import AttributeValue, Item, to_item
from spotproof.leases.expressions import SCHEMA
from spotproof.leases.item_reader import ItemReader, damage_told, key_of, run_id_of
from spotproof.leases.model import Host, Session, SessionId, SessionKey, SessionState, Stop, StopKind


def session_key_item(key: SessionKey) -> Item:
    return key_of(contract.sessions_pk(key.run_id, key.bucket), key.session_id)


def session_to_item(session: Session) -> Item:
    """A session's item; in the instance index only if its instance is known."""
    stop = session.stop
    retired = stop is not None and stop.kind is StopKind.RETIRED
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
            "memory_mib": session.host.memory_mib or None,
            "launched_at": session.host.launched_at,
            "until": session.until,
            "seq": session.seq,
            "held": session.held,
            "stop_kind": stop.kind.value if stop and not retired else None,
            "stop_deadline": stop.deadline if stop and not retired else None,
            "retired": 1 if retired else None,
            "hint_until": session.hint_until,
            "started_at": session.started_at,
            "ended_at": session.ended_at,
            "work_ms": session.work_ms,
            "checkpoint_ms": session.checkpoint_ms,
            "idle_ms": session.idle_ms,
            "redone_ms": session.redone_ms,
        }
    )


@damage_told
def session_from_item(item: Mapping[str, AttributeValue]) -> Session:
    reader = ItemReader(item)
    key = _key(reader)
    return Session(
        session_id=key.session_id,
        run_id=key.run_id,
        bucket=key.bucket,
        host=_host(reader),
        state=SessionState(reader.text("state")),
        until=reader.integer("until"),
        seq=reader.integer("seq"),
        held=reader.integer_or_none("held"),
        stop=_stop(reader),
        hint_until=reader.integer_or_none("hint_until"),
        started_at=reader.integer("started_at"),
        ended_at=reader.integer_or_none("ended_at"),
        work_ms=reader.integer("work_ms", 0),
        checkpoint_ms=reader.integer("checkpoint_ms", 0),
        idle_ms=reader.integer("idle_ms", 0),
        redone_ms=reader.integer("redone_ms", 0),
    )


@damage_told
def session_key_from_item(item: Mapping[str, AttributeValue]) -> SessionKey:
    """The key of a session's item; works on what the instance index projects."""
    return _key(ItemReader(item))


def _key(reader: ItemReader) -> SessionKey:
    pk = reader.text(contract.PARTITION_KEY)
    return SessionKey(
        run_id=run_id_of(pk),
        bucket=int(pk.rpartition("#")[2]),
        session_id=SessionId(reader.text(contract.SORT_KEY)),
    )


def _stop(reader: ItemReader) -> Stop | None:
    """RETIRED only if there is nothing else: it may stay to the end of its shard, whoever must stop may not."""
    kind = reader.text_or_none("stop_kind")
    if kind is not None:
        return Stop(kind=StopKind(kind), deadline=reader.integer_or_none("stop_deadline"))
    return Stop(kind=StopKind.RETIRED, deadline=None) if "retired" in reader.item else None


def _host(reader: ItemReader) -> Host:
    return Host(
        instance_id=reader.text(contract.INSTANCE_INDEX.partition_key, ""),
        instance_type=reader.text("instance_type", ""),
        zone=reader.text("zone", ""),
        lifecycle=reader.text("lifecycle", ""),
        batch_job_id=reader.text("batch_job_id", ""),
        batch_attempt=reader.integer("batch_attempt", 1),
        vcpus=reader.real("vcpus", 0.0),
        memory_mib=reader.integer("memory_mib", 0),
        launched_at=reader.integer_or_none("launched_at"),
    )
