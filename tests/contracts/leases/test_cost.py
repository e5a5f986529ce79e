"""Claims about requests and write units: what one shard costs."""

from spotproof import contract
from spotproof.leases.attribute_values import item_bytes
from spotproof.leases.dynamodb import DynamoDBLeaseStore
from spotproof.leases.model import Host, Ledger, Run, RunId, SessionId, ShardUsage, StopKind
from spotproof.leases.model import Stop as StopMark
from spotproof.leases.store import LeaseStore
from tests.contracts.leases.fixtures import Backend
from tests.fakes.aws_errors import CountingClient
from tests.fakes.leases import NOON, a_checkpoint, a_run, a_session, an_output, key_of, leased, reclaimed

LONG_RUN = RunId("r" * 64)  # the longest run id the worker accepts
LONG_SESSION = SessionId("i-0123456789abcdef0.01234567-89ab-cdef-0123-456789abcdef:9999.10.0123456789ab")
UNIT_BYTES = 1024


def stored_bytes(backend: Backend, pk: str, sk: str) -> int:
    key = {"pk": {"S": pk}, "sk": {"S": sk}}
    return item_bytes(backend.client.get_item(TableName=backend.table, Key=key)["Item"])


def test_an_uninterrupted_shard_costs_four_requests(backend: Backend, store: LeaseStore, run: Run) -> None:
    session = store.open_session(a_session("counted"))
    counting = CountingClient(backend.client)
    own = backend.store(counting)

    index = own.take_ticket(run, 0)
    assert index is not None
    lease = leased(own, run, session, index)
    own.commit(lease, an_output(lease))

    assert counting.requests == ["update_item", "update_item", "put_item", "update_item"]


def test_each_of_the_four_writes_is_one_unit(backend: Backend, store: LeaseStore) -> None:
    run = store.create_run(a_run(run_id=LONG_RUN, shards=1_000_000, stripes=100, session_buckets=100))
    host = Host(
        instance_id="i-0123456789abcdef0", instance_type="m7g.24xlarge", zone="ap-southeast-2b", lifecycle="on-demand",
        batch_job_id="01234567-89ab-cdef-0123-456789abcdef:9999", batch_attempt=10, vcpus=16.0,
    )  # fmt: skip
    session = store.open_session(a_session(LONG_SESSION, run=run, host=host, bucket=99))
    store.mark_stop(key_of(session), StopMark(kind=StopKind.NOTICE, deadline=NOON))
    ledger = Ledger(work_ms=10**9, checkpoint_ms=10**9, idle_ms=10**9, redone_ms=10**9)
    store.heartbeat(session, seq=10**6, until=NOON, ledger=ledger)
    session = store.open_session(a_session(f"{LONG_SESSION}x", run=run, host=host, bucket=99))
    index = 999_999

    store.take_ticket(run, run.stripe_of(index))
    lease = leased(store, run, session, index)
    for interruption in range(3):
        store.record_checkpoint(lease, a_checkpoint(lease, seq=10**6 + interruption))
        store.drain(run, index, owner=session.session_id, reclaim_at=NOON)
        store.release(lease, interrupted=True, worked_ms=10**9)
        lease = reclaimed(store, run, session, index)
    while_leased = stored_bytes(backend, contract.stripe_pk(run.run_id, 99), contract.shard_sk(index))
    usage = ShardUsage(session=lease.owner, worked_ms=10**9 + 1, input_bytes=2**43, peak_mib=2**20, cpu_ms=10**9 + 1)
    store.commit(lease, an_output(lease), usage=usage)

    assert stored_bytes(backend, contract.stripe_pk(run.run_id, 99), contract.STRIPE_SK) < UNIT_BYTES
    assert stored_bytes(backend, contract.sessions_pk(run.run_id, 99), LONG_SESSION) < UNIT_BYTES
    assert while_leased < UNIT_BYTES
    assert stored_bytes(backend, contract.stripe_pk(run.run_id, 99), contract.shard_sk(index)) < UNIT_BYTES


def test_a_store_counts_its_requests_and_units(backend: Backend, run: Run) -> None:
    store = backend.store()
    assert isinstance(store, DynamoDBLeaseStore)

    store.get_run(run.run_id)
    store.take_ticket(run, 0)
    store.claim_fresh(run, 0, a_session())
    store.claim_fresh(run, 0, a_session())

    usage = store.usage()
    assert (usage.requests, usage.refused) == (4, 1)
    assert min(usage.write_units, usage.read_units) > 0  # as the service reports them; moto makes its own up
