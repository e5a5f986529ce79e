"""The stop file: what may overwrite what, and what the worker reads."""

import itertools
import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from moto import mock_aws

from spotproof import contract
from spotproof.errors import AwsMissingError, AwsUnavailableError
from spotproof.interruptions.model import SignalKind, SourceUnavailableError
from spotproof.interruptions.stop_file import (
    StopFile,
    StopFileError,
    StopFileReader,
    StopFileWriter,
    notice_file,
    parse_stop_file,
    rebalance_file,
    render_stop_file,
    replaces,
)
from spotproof.retries import Retrier
from tests.fakes.clock import FakeClock
from tests.fakes.cut_reads import CutReads

BUCKET = "work"
INSTANCE = "i-1234567890abcdef0"
T0 = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
HINT = timedelta(minutes=20)
LEAD = timedelta(seconds=120)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(T0)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket=BUCKET)
        yield client


class FlakyS3:
    """Passes calls on; `plan` says what happens to the n-th put: None, "before" or "after" its effect."""

    def __init__(self, inner: Any, plan: list[str | None]) -> None:
        self.inner = inner
        self.plan = iter(plan)

    def put_object(self, **parameters: Any) -> Any:
        fault = next(self.plan, None)
        if fault == "before":
            raise EndpointConnectionError(endpoint_url="http://s3")
        answer = self.inner.put_object(**parameters)
        if fault == "after":
            raise EndpointConnectionError(endpoint_url="http://s3")
        return answer

    def get_object(self, **parameters: Any) -> Any:
        return self.inner.get_object(**parameters)


def writer(client: object, clock: FakeClock) -> StopFileWriter:
    retrier = Retrier(clock=clock, rng=random.Random(1))
    return StopFileWriter(client=cast(Any, client), bucket=BUCKET, clock=clock, retrier=retrier)


def reader(client: object, clock: FakeClock, instance_id: str = INSTANCE) -> StopFileReader:
    return StopFileReader(client=cast(Any, client), bucket=BUCKET, instance_id=instance_id, clock=clock)


def notice(*, event_id: str = "n1", at: datetime = T0) -> StopFile:
    return notice_file(
        instance_id=INSTANCE, event_id=event_id, event_time=at, written_at=at + timedelta(seconds=1), lead=LEAD
    )


def rebalance(*, event_id: str = "r1", at: datetime = T0) -> StopFile:
    return rebalance_file(instance_id=INSTANCE, event_id=event_id, event_time=at, written_at=at, hint=HINT)


def test_a_notice_reaches_the_reader_with_its_deadline(s3: Any, clock: FakeClock) -> None:
    assert reader(s3, clock).poll() == []

    assert writer(s3, clock).write(notice()).written

    (signal,) = reader(s3, clock).poll()
    assert (signal.kind, signal.deadline, signal.event_time) == (SignalKind.NOTICE, T0 + timedelta(seconds=120), T0)


def test_a_notice_overwrites_a_rebalance(s3: Any, clock: FakeClock) -> None:
    writer(s3, clock).write(rebalance())
    watching = reader(s3, clock)
    assert [signal.kind for signal in watching.poll()] == [SignalKind.REBALANCE]

    assert writer(s3, clock).write(notice()).written

    assert [signal.kind for signal in watching.poll()] == [SignalKind.NOTICE]


def test_a_rebalance_never_overwrites_a_live_notice(s3: Any, clock: FakeClock) -> None:
    writer(s3, clock).write(notice())

    outcome = writer(s3, clock).write(rebalance(at=T0 + timedelta(seconds=5)))

    assert not outcome.written
    assert outcome.stored == notice()
    assert [signal.kind for signal in reader(s3, clock).poll()] == [SignalKind.NOTICE]


def test_the_first_notice_keeps_its_deadline_against_later_and_earlier_ones(s3: Any, clock: FakeClock) -> None:
    writer(s3, clock).write(notice())

    for seconds in (-30, 30):
        again = notice(event_id="n2", at=T0 + timedelta(seconds=seconds))
        assert not writer(s3, clock).write(again).written

    assert reader(s3, clock).poll()[0].deadline == T0 + timedelta(seconds=120)


def test_a_later_rebalance_extends_the_hint_and_a_duplicate_changes_nothing(s3: Any, clock: FakeClock) -> None:
    writer(s3, clock).write(rebalance())

    assert not writer(s3, clock).write(rebalance(event_id="r1-again")).written
    assert writer(s3, clock).write(rebalance(event_id="r2", at=T0 + timedelta(minutes=5))).written

    assert reader(s3, clock).poll()[0].expires_at == T0 + timedelta(minutes=25)


def test_an_expired_notice_gives_way_and_is_not_read(s3: Any, clock: FakeClock) -> None:
    writer(s3, clock).write(notice())
    watching = reader(s3, clock)
    assert watching.poll()

    clock.advance(120 + 600)

    assert watching.poll() == []
    assert writer(s3, clock).write(rebalance(at=clock.now())).written


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_whatever_the_order_of_arrival_the_notice_stands(s3: Any, clock: FakeClock, order: tuple[int, ...]) -> None:
    files = [rebalance(), notice(), rebalance(event_id="r2", at=T0 + timedelta(seconds=10))]

    for position in order:
        writer(s3, clock).write(files[position])

    assert [signal.kind for signal in reader(s3, clock).poll()] == [SignalKind.NOTICE]


def test_a_lost_reply_is_recognised_as_the_own_write(s3: Any, clock: FakeClock) -> None:
    outcome = writer(FlakyS3(s3, ["after"]), clock).write(notice())

    assert outcome.written


def test_a_put_that_failed_before_its_effect_is_tried_again(s3: Any, clock: FakeClock) -> None:
    assert writer(FlakyS3(s3, ["before", "before"]), clock).write(notice()).written
    assert reader(s3, clock).poll()


def test_a_file_changed_between_reading_and_replacing_is_read_again(s3: Any, clock: FakeClock) -> None:
    writer(s3, clock).write(rebalance())

    class Racing(FlakyS3):
        def get_object(self, **parameters: Any) -> Any:
            answer = self.inner.get_object(**parameters)
            if not self.raced:
                self.raced = True
                writer(s3, clock).write(notice(event_id="winner"))
            return answer

        raced = False

    outcome = writer(Racing(s3, []), clock).write(notice(event_id="loser", at=T0 + timedelta(seconds=9)))

    assert not outcome.written
    assert outcome.stored.event_id == "winner"


def test_a_file_that_keeps_changing_ends_in_an_error_not_a_loop(clock: FakeClock) -> None:
    class NeverMine:
        def put_object(self, **_: Any) -> Any:
            raise ClientError({"Error": {"Code": "PreconditionFailed", "Message": ""}}, "PutObject")

        def get_object(self, **_: Any) -> Any:
            raise ClientError({"Error": {"Code": "NoSuchKey", "Message": ""}}, "GetObject")

    with pytest.raises(AwsUnavailableError, match="changed by others"):
        writer(NeverMine(), clock).write(notice())


def test_a_damaged_file_is_replaced(s3: Any, clock: FakeClock) -> None:
    s3.put_object(Bucket=BUCKET, Key=contract.stop_file_key(INSTANCE), Body=b"{")

    assert writer(s3, clock).write(rebalance()).written
    assert reader(s3, clock).poll()


def test_a_file_larger_than_any_stop_file_is_replaced_unread(s3: Any, clock: FakeClock) -> None:
    s3.put_object(Bucket=BUCKET, Key=contract.stop_file_key(INSTANCE), Body=render_stop_file(notice()) + b" " * 9000)

    assert writer(s3, clock).write(rebalance()).written


@pytest.mark.parametrize("after_bytes", [0, 20])
def test_a_notice_of_which_a_part_arrived_is_read_again_and_stands(s3: Any, clock: FakeClock, after_bytes: int) -> None:
    writer(s3, clock).write(notice())

    outcome = writer(CutReads(s3, after_bytes, after_bytes), clock).write(rebalance())

    assert (outcome.written, outcome.stored) == (False, notice())
    assert [signal.kind for signal in reader(s3, clock).poll()] == [SignalKind.NOTICE]


def test_a_poll_whose_answer_is_cut_is_unavailable_and_the_next_one_reads_it(s3: Any, clock: FakeClock) -> None:
    writer(s3, clock).write(notice())
    watching = reader(CutReads(s3, 20), clock)

    with pytest.raises(SourceUnavailableError, match="reading the stop file: AWS stayed unavailable"):
        watching.poll()

    assert [signal.kind for signal in watching.poll()] == [SignalKind.NOTICE]


def test_an_unchanged_file_is_not_sent_again_and_still_counts(s3: Any, clock: FakeClock) -> None:
    writer(s3, clock).write(notice())
    watching = reader(s3, clock)

    first, second = watching.poll(), watching.poll()

    assert first == second
    with pytest.raises(ClientError) as not_modified:
        s3.get_object(Bucket=BUCKET, Key=contract.stop_file_key(INSTANCE), IfNoneMatch=watching._etag)
    assert not_modified.value.response["ResponseMetadata"]["HTTPStatusCode"] == 304


def test_a_deleted_file_means_nothing_again(s3: Any, clock: FakeClock) -> None:
    writer(s3, clock).write(notice())
    watching = reader(s3, clock)
    watching.poll()

    s3.delete_object(Bucket=BUCKET, Key=contract.stop_file_key(INSTANCE))

    assert watching.poll() == []


def test_a_file_for_another_host_or_a_damaged_one_is_a_degraded_channel(s3: Any, clock: FakeClock) -> None:
    key = contract.stop_file_key("i-00000000")
    watching = reader(s3, clock, "i-00000000")
    for body in (render_stop_file(notice()), b"not json", b"x" * 9000):
        s3.put_object(Bucket=BUCKET, Key=key, Body=body)
        with pytest.raises(SourceUnavailableError):
            watching.poll()


@pytest.mark.parametrize("code", ["AccessDenied", "SlowDown", "InternalError", "NoSuchBucket"])
def test_an_s3_that_refuses_is_never_read_as_no_notice(clock: FakeClock, code: str) -> None:
    class Refusing:
        def get_object(self, **_: Any) -> Any:
            raise ClientError({"Error": {"Code": code, "Message": "no"}}, "GetObject")

    with pytest.raises(SourceUnavailableError, match=code):
        reader(Refusing(), clock).poll()


def test_writing_without_a_bucket_says_what_is_missing(s3: Any, clock: FakeClock) -> None:
    retrier = Retrier(clock=clock, rng=random.Random(1))
    lost = StopFileWriter(client=s3, bucket="gone", clock=clock, retrier=retrier)

    with pytest.raises(AwsMissingError, match=INSTANCE):
        lost.write(notice())


def test_a_stop_file_round_trips_and_tolerates_new_fields() -> None:
    for stop in (notice(), rebalance()):
        content = json.loads(render_stop_file(stop)) | {"future": 1}

        assert parse_stop_file(json.dumps(content).encode()) == stop


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": 2}, "schema 2"),
        ({"schema": None}, "schema None"),
        ({"kind": "panic"}, "kind must be"),
        ({"kind": "rebalance"}, "only a notice has one"),
        ({"deadline": None}, "only a notice has one"),
        ({"deadline": "soon"}, "field deadline"),
        ({"expires_at": "2026-11-22T12:00:00"}, "field expires_at"),
        ({"instance_id": 5}, "field instance_id"),
        ({"event_id": ""}, "field event_id"),
        ({"event_time": "0001-01-01T00:00:00+23:00"}, "field event_time"),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, object], said: str) -> None:
    content = json.loads(render_stop_file(notice())) | change

    with pytest.raises(StopFileError, match=said):
        parse_stop_file(json.dumps(content).encode())


@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b"null", b"[" * 5000, b"x" * 8193])
def test_a_body_that_is_no_stop_file_is_one_clear_error(body: bytes) -> None:
    with pytest.raises(StopFileError, match="stop file"):
        parse_stop_file(body)


def test_a_notice_never_gives_way_while_it_lives() -> None:
    for new in (notice(event_id="x"), rebalance(at=T0 + timedelta(minutes=9))):
        assert not replaces(new, notice(), now=T0)
        assert replaces(new, notice(), now=T0 + timedelta(minutes=12))
