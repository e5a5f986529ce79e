"""What a run leaves in the bucket for the sizing of later ones."""

from dataclasses import replace

import pytest

from spotproof import contract
from spotproof.checkpoints.in_memory import InMemoryObjectStore
from spotproof.commits.run_record import (
    READ_MAX,
    most_at_once,
    read_run_records,
    record_key,
    run_record,
    write_run_record,
)
from spotproof.errors import AwsUnavailableError
from spotproof.leases.model import (
    Host,
    RunId,
    SessionId,
    SessionState,
    Shard,
    ShardState,
    ShardUsage,
    Stop,
    StopKind,
)
from tests.fakes.leases import HOUR, NOON, a_run, a_session

RUN = a_run(shards=3)


def a_shard(index: int, *, session: str = "worker-a", worked_ms: int = 60_000, earlier_ms: int = 0) -> Shard:
    usage = ShardUsage(session=SessionId(session), worked_ms=worked_ms, input_bytes=10**6, peak_mib=500, cpu_ms=50_000)
    return Shard(
        run_id=RUN.run_id, index=index, state=ShardState.DONE, fencing_token=1, usage=usage, earlier_ms=earlier_ms
    )


def test_a_shards_work_is_that_of_all_its_leases() -> None:
    record = run_record(RUN, [a_shard(0, earlier_ms=30_000)], [a_session()], ended_at=NOON + HOUR)

    (sample,) = record.samples
    assert (sample.work_ms, sample.lease_ms, sample.input_bytes, sample.peak_mib) == (90_000, 60_000, 10**6, 500)
    assert (sample.instance_type, sample.cpu_ms) == ("m6i.large", 50_000)


def test_shards_without_usage_are_left_out_and_an_unknown_worker_has_no_type() -> None:
    quarantined = Shard(run_id=RUN.run_id, index=1, state=ShardState.QUARANTINED, fencing_token=3)

    record = run_record(RUN, [quarantined, a_shard(2, session="gone")], [a_session()], ended_at=NOON + HOUR)

    assert [sample.instance_type for sample in record.samples] == [""]


def test_sessions_are_added_up_and_pools_keep_their_interruptions() -> None:
    noticed = a_session(
        "worker-b", state=SessionState.ENDED, ended_at=NOON + HOUR // 2, stop=Stop(kind=StopKind.NOTICE, deadline=None),
        work_ms=100, checkpoint_ms=20, redone_ms=3, idle_ms=4,
    )  # fmt: skip
    vanished = a_session("worker-c", state=SessionState.DEAD, until=NOON + HOUR // 4)
    cancelled = a_session("worker-d", state=SessionState.ENDED, ended_at=NOON, stop=Stop(kind=StopKind.CANCELLED, deadline=None))  # fmt: skip
    elsewhere = a_session("worker-e", host=Host(instance_id="i-1", instance_type="c5.large", zone="b", lifecycle="on-demand"))  # fmt: skip
    homeless = a_session("worker-f", host=Host(instance_id=""))

    record = run_record(
        RUN, [a_shard(0)], [a_session(), noticed, vanished, cancelled, elsewhere, homeless], ended_at=NOON + HOUR
    )

    assert (record.work_ms, record.checkpoint_ms, record.redone_ms, record.idle_ms) == (100, 20, 3, 4)
    assert record.session_ms == HOUR + HOUR // 2 + HOUR // 4 + 0 + HOUR + HOUR
    assert record.workers == 5
    spot, on_demand = sorted(record.pools, key=lambda pool: -pool.sessions)
    assert (spot.instance_type, spot.sessions, spot.interruptions) == ("m6i.large", 4, 2)
    assert spot.session_ms == HOUR + HOUR // 2 + HOUR // 4
    assert (on_demand.instance_type, on_demand.lifecycle, on_demand.interruptions) == ("c5.large", "on-demand", 0)


@pytest.mark.parametrize(
    ("spans", "most"),
    [([], 0), ([(0, 0)], 0), ([(0, 5), (5, 9)], 1), ([(0, 5), (4, 9), (4, 5)], 3), ([(0, 9), (1, 2), (3, 4)], 2)],
)
def test_the_most_workers_at_a_time(spans: list[tuple[int, int]], most: int) -> None:
    assert most_at_once(spans) == most


def test_the_first_record_of_a_run_stands_and_is_read_back() -> None:
    objects = InMemoryObjectStore()
    record = run_record(RUN, [a_shard(0)], [a_session()], ended_at=NOON + HOUR)

    write_run_record(objects, RUN, record)
    write_run_record(objects, RUN, replace(record, work_ms=1))

    assert read_run_records(objects, RUN.job).records == (record,)


def test_records_are_read_newest_first_and_bounded_and_damaged_ones_are_told() -> None:
    objects = InMemoryObjectStore()
    runs = [a_run(run_id=RunId(f"r{number}"), created_at=NOON + number * HOUR) for number in range(READ_MAX + 5)]
    for run in runs:
        write_run_record(objects, run, run_record(run, [a_shard(0)], [a_session()], ended_at=run.created_at + 1))
    objects.objects[record_key(runs[-1])] = b"{}"
    objects.objects[record_key(runs[-2])] = b"x" * (1024 * 1024)
    objects.put(f"{contract.history_prefix('other')}1.json", b"not ours")

    found = read_run_records(objects, RUN.job)

    assert [record.run_id for record in found.records] == [run.run_id for run in reversed(runs[5:-2])]
    assert len(found.unreadable) == 2


def test_a_bucket_that_refuses_the_record_ends_no_run(caplog: pytest.LogCaptureFixture) -> None:
    class Refusing(InMemoryObjectStore):
        def put_if_absent(self, *args: object, **kwargs: object) -> bool:
            raise AwsUnavailableError("down")

    write_run_record(Refusing(), RUN, run_record(RUN, [a_shard(0)], [a_session()], ended_at=NOON))

    assert [each.message for each in caplog.records] == ["run_record_lost"]
