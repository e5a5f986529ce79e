"""Targets: items of the table, as other versions or foreign hands may have left them."""

import random
from collections.abc import Callable, Mapping
from typing import Any, Final

from spotproof import contract
from spotproof.capacity.pool_records import pool_from_item
from spotproof.capacity.queue_blocks import block_from_item
from spotproof.capacity.submitted_workers import KEY_PREFIX, submitted_from_item
from spotproof.capacity.topup_items import claim_from_item, count_from_item, hold_from_item
from spotproof.errors import ItemError
from spotproof.leases.history_items import history_from_item, history_to_item
from spotproof.leases.in_memory import InMemoryLeaseStore
from spotproof.leases.memory.table import InMemoryTable
from spotproof.leases.model import HistoryEntry, OutputPointer, ShardUsage, Stop, StopKind
from spotproof.leases.run_items import run_from_item, run_to_item
from spotproof.leases.session_items import session_from_item, session_key_from_item, session_to_item
from spotproof.leases.shard_items import candidate_from_item, is_shard, shard_from_item
from spotproof.retries import Retrier
from tests.fakes.clock import FakeClock
from tests.fakes.leases import NOON, a_checkpoint, a_run, a_session, an_output, leased
from tests.fuzz.mutations import item_mutation
from tests.fuzz.target import Target

ITEM: Final = "items of the table: of another version, or edited by hand"
REFUSALS: Final = (ItemError,)
Read = Callable[[Mapping[str, Any]], object]
POOL: Final = {
    "pk": {"S": contract.POOLS_PK},
    "sk": {"S": "m6i.large/us-east-1a"},
    "schema": {"N": "1"},
    "version": {"N": "3"},
    "interruptions": {"L": [{"M": {"at": {"N": str(NOON)}, "instance_id": {"S": "i-0123456789abcdef0"}}}]},
    "opened_at": {"N": str(NOON)},
    "probe_at": {"N": str(NOON + 1)},
}
QUEUE: Final = {
    "pk": {"S": contract.QUEUES_PK},
    "sk": {"S": "spot-queue"},
    "schema": {"N": "1"},
    "version": {"N": "1"},
    "since": {"N": str(NOON)},
    "job_id": {"S": "4c7599ae-0a82-49aa-ba5a-4727fcce14a8:7"},
    "reason": {"S": "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - no"},
    "over_at": {"N": str(NOON + 5)},
}
MARKERS: Final = [
    {
        "pk": {"S": contract.topups_pk("run")},
        "sk": {"S": f"{KEY_PREFIX}fallback-12"},
        "schema": {"N": "1"},
        "claimant": {"S": "0123456789abcdef"},
        "until": {"N": str(NOON + 45_000)},
        "job_name": {"S": "delays-f0123456789ab"},
        "job_queue": {"S": "on-demand-queue"},
        "workers": {"N": "4"},
        "claimed_at": {"N": str(NOON)},
        **recorded,
    }
    for recorded in ({}, {"job_id": {"S": "4c7599ae-0a82-49aa-ba5a-4727fcce14a8"}})
]
HOLD: Final = {
    "pk": {"S": contract.topups_pk("run")},
    "sk": {"S": "HOLD"},
    "schema": {"N": "1"},
    "since": {"N": str(NOON)},
    "reason": {"S": "a person cancelled worker 4c7599ae-0a82-49aa-ba5a-4727fcce14a8:7"},
}
COUNT: Final = {
    "pk": {"S": contract.topups_pk("run")},
    "sk": {"S": "COUNT#fallback"},
    "schema": {"N": "1"},
    "count": {"N": "3"},
    "last_at": {"N": str(NOON)},
}


def targets() -> tuple[Target, ...]:
    stop = Stop(kind=StopKind.NOTICE, deadline=NOON + 120_000)
    sessions = [session_to_item(a_session(stop=stop, hint_until=NOON, held=3)), session_to_item(a_session())]
    entry = HistoryEntry(
        key="000001795348800000-on-demand", at=NOON, kind="on-demand added", reason="waited", facts={"n": "1"}
    )
    rows = _rows()
    return (
        _target("run-item", [run_to_item(a_run(closed=frozenset({1}), usd_max=5.0)), run_to_item(a_run())], _run),
        _target("shard-item", rows, lambda item: shard_from_item(item).state),
        _target("session-item", sessions, lambda item: (session_from_item(item).state, session_key_from_item(item).bucket)),
        _target("candidate-item", [row for row in rows if "claimable_at" in row], lambda item: candidate_from_item(item).drained),
        _target("history-item", [history_to_item(a_run().run_id, entry)], lambda item: history_from_item(item).kind == ""),
        _target("pool-item", [POOL], lambda item: len(pool_from_item("m6i.large/us-east-1a", dict(item)).interruptions)),
        _target("queue-item", [QUEUE], lambda item: block_from_item("spot-queue", dict(item)) is None),
        _target("top-up-marker", MARKERS, _marker),
        _target("top-up-count", [COUNT], lambda item: count_from_item(item) > 0),
        _target("hold-item", [HOLD], lambda item: hold_from_item(item).since > NOON),
    )  # fmt: skip


def _target(name: str, seeds: list[Any], read: Read) -> Target:
    return Target(
        name=name, surface=ITEM, seeds=seeds, mutate=item_mutation, attempt=read, refusals=REFUSALS, share=0.7
    )


def _run(item: Mapping[str, Any]) -> object:
    run = run_from_item(item)
    assert run.shards >= 0
    assert run.stripes >= 1, "shards are told to their stripes by division"
    assert run.session_buckets >= 1, "sessions are told to their buckets by division"
    return run.state


def _marker(item: Mapping[str, Any]) -> object:
    """As whoever finds it does: what it promises, and if it gave no job yet, whose claim it is."""
    submitted = submitted_from_item(item)
    assert submitted.workers >= 0, "workers that are coming are counted against the caps"
    return submitted.job_id is None and claim_from_item(item).until > NOON


def _rows() -> list[dict[str, Any]]:
    """Rows in every state that a shard passes through."""
    clock, table = FakeClock(), InMemoryTable("fuzz")
    store = InMemoryLeaseStore(clock=clock, retrier=Retrier(clock=clock, rng=random.Random(1)), table=table)
    run = store.create_run(a_run())
    session = store.open_session(a_session(run=run))
    leases = [leased(store, run, session, index, seq=index + 1) for index in range(4)]
    store.record_checkpoint(leases[1], a_checkpoint(leases[1]))
    usage = ShardUsage(session=session.session_id, worked_ms=5, input_bytes=6, peak_mib=7, cpu_ms=8)
    store.commit(leases[2], an_output(leases[2]), usage=usage)
    many = OutputPointer(
        files=(),
        manifest_key=f"{contract.staging_prefix(run.run_id, 3)}x/files.json",
        sha256="d" * 64,
        size_bytes=1,
        records=2,
    )
    store.commit(leases[3], many)
    store.release(leases[0], interrupted=True)
    return [dict(item) for item in table.items() if is_shard(item)]
