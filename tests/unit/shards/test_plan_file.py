"""The stored plan: written once, read in part, damage detected."""

import io
import json
import zlib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spotproof.errors import AwsMissingError, InputError
from spotproof.shards import plan_file
from spotproof.shards.plan_file import PlanReader, StoredPlan, encode_plan, write_plan
from spotproof.shards.planner import Plan
from tests.fakes.s3_input import BUCKET, S3Input

KEY = "runs/r/plan"


def stored(store: S3Input, plan: Plan) -> StoredPlan:
    return write_plan(plan, s3=store.s3, retrier=store.retrier, bucket=BUCKET, key=KEY)


def reader(store: S3Input, sha256: str | None = None) -> PlanReader:
    return PlanReader(s3=store.s3, retrier=store.retrier, bucket=BUCKET, key=KEY, sha256=sha256)


@pytest.fixture
def plan(store: S3Input) -> Plan:
    store.put("in/a.csv", "id,at\n" + "".join(f"{n},2013-01-{n % 28 + 1:02}\n" for n in range(100)))
    return store.plan("size:100B")


@pytest.mark.parametrize("shard_by", ["size:100B", "objects", "hash:id:5", "range:id:5", "time:at:1d"])
def test_header_and_every_shard_come_back_as_planned(
    store: S3Input, plan: Plan, shard_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_file, "PAGE_SHARDS", 3)
    planned = store.plan(shard_by)
    written = stored(store, planned)

    read = reader(store, written.sha256)

    assert (written.created, written.header, read.header) == (True, planned.header, planned.header)
    assert [read.shard(index) for index in range(planned.header.shards)] == list(planned.shards())
    with pytest.raises(IndexError):
        read.shard(planned.header.shards)
    with pytest.raises(IndexError):
        read.shard(-1)


def test_the_first_plan_stored_wins(store: S3Input, plan: Plan) -> None:
    first = stored(store, plan)

    second = stored(store, store.plan("objects"))

    assert not second.created
    assert (second.sha256, second.header) == (first.sha256, plan.header)


def test_a_worker_reads_only_the_end_and_the_page_it_needs(
    store: S3Input, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_file, "PAGE_SHARDS", 2)
    stored(store, plan)
    monkeypatch.setattr(plan_file, "TAIL_BYTES", 20)
    store.requests.clear()

    read = reader(store)
    read.shard(0)
    read.shard(1)
    read.shard(4)
    read.shard(0)

    assert [name for name, _ in store.requests] == ["GetObject"] * 6  # trailer, index, header, catalogue, two pages
    assert all(header for _, header in store.requests)


def test_a_small_plan_is_one_request(store: S3Input, plan: Plan) -> None:
    stored(store, plan)
    store.requests.clear()

    read = reader(store)

    assert [read.shard(index) for index in range(read.header.shards)] == list(plan.shards())
    assert len(store.requests) == 1


def test_pages_beyond_the_cache_are_read_again(store: S3Input, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_file, "PAGE_SHARDS", 1)
    monkeypatch.setattr(plan_file, "PAGES_CACHED", 2)
    stored(store, plan)
    monkeypatch.setattr(plan_file, "TAIL_BYTES", 20)
    read = reader(store)
    store.requests.clear()

    for index in (0, 1, 0, 2, 0, 1):
        read.shard(index)

    assert len(store.requests) == 4  # 0, 1, 2, and 1 again


def test_an_index_longer_than_the_first_read_is_fetched(
    store: S3Input, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored(store, plan)
    monkeypatch.setattr(plan_file, "TAIL_BYTES", 20)

    assert reader(store).header == plan.header


def test_a_missing_plan_is_a_missing_object(store: S3Input) -> None:
    with pytest.raises(AwsMissingError, match=r"plan s3://input-bucket/runs/r/plan does not exist"):
        reader(store)


def test_another_digest_than_the_runs_is_refused(store: S3Input, plan: Plan) -> None:
    stored(store, plan)

    with pytest.raises(InputError, match=r"is damaged: its digest is .* the run expects 000000000000"):
        reader(store, "0" * 64)


@pytest.mark.parametrize(
    "body", [b"", b"x", b"not a plan at all, really", b"\0" * 8 + b"SPOTPLN1", b"\xff" * 8 + b"SPOTPLN1"]
)
def test_an_object_that_is_no_plan_is_refused_in_one_line(store: S3Input, body: bytes) -> None:
    store.put(KEY, body)

    with pytest.raises(InputError, match=r"plan s3://input-bucket/runs/r/plan is damaged.*start a new run") as raised:
        reader(store)
    assert "\n" not in str(raised.value)


def test_a_plan_of_a_newer_schema_asks_for_an_upgrade(store: S3Input, plan: Plan) -> None:
    file = io.BytesIO()
    encode_plan(plan, file)
    body = file.getvalue()
    size_bytes = int.from_bytes(body[-16:-8], "big")
    index = json.loads(zlib.decompress(body[-16 - size_bytes : -16]))
    packed = zlib.compress(json.dumps({**index, "schema": 2}).encode())
    store.put(KEY, body[: -16 - size_bytes] + packed + len(packed).to_bytes(8, "big") + body[-8:])

    with pytest.raises(InputError, match="plan schema 2, this worker reads up to 1; upgrade the worker"):
        reader(store)


class OneObject:
    """An S3 client with one object of these bytes."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def get_object(self, *, Bucket: str, Key: str, Range: str) -> dict[str, Any]:  # noqa: N803 - S3's names
        first, _, last = Range.removeprefix("bytes=").partition("-")
        data = self._body[-int(last) :] if not first else self._body[int(first) : int(last) + 1]
        return {"Body": io.BytesIO(data)}


@given(place=st.integers(0), flip=st.integers(1, 255))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_changed_byte_is_detected(store: S3Input, plan: Plan, place: int, flip: int) -> None:
    file = io.BytesIO()
    sha256 = encode_plan(plan, file)
    body = bytearray(file.getvalue())
    body[8 + place % (len(body) - 8)] ^= flip  # the leading magic is for people
    s3: Any = OneObject(bytes(body))

    with pytest.raises(InputError, match="is damaged"):
        _read_all(PlanReader, s3, store, sha256)


def _read_all(opened: type[PlanReader], s3: Any, store: S3Input, sha256: str) -> None:
    read = opened(s3=s3, retrier=store.retrier, bucket=BUCKET, key=KEY, sha256=sha256)
    for index in range(read.header.shards):
        read.shard(index)


@given(cut=st.integers(1))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_truncation_is_detected(store: S3Input, plan: Plan, cut: int) -> None:
    file = io.BytesIO()
    sha256 = encode_plan(plan, file)
    body = file.getvalue()
    s3: Any = OneObject(body[: -(cut % len(body)) or -1])

    with pytest.raises(InputError, match="is damaged"):
        _read_all(PlanReader, s3, store, sha256)


def test_the_bytes_of_a_plan_depend_on_the_plan_alone(store: S3Input, plan: Plan) -> None:
    one, other = io.BytesIO(), io.BytesIO()

    assert encode_plan(plan, one) == encode_plan(store.plan("size:100B"), other)
    assert one.getvalue() == other.getvalue()
