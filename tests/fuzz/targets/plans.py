"""Targets: stored plans: damaged, and written by somebody who knows our digests."""

import hashlib
import io
import json
import random
import zlib
from typing import TYPE_CHECKING, Any, Final, cast

from botocore.exceptions import ClientError

from spotproof.errors import InputError
from spotproof.retries import Retrier
from spotproof.shards.model import InputFormat, InputPart, ObjectPin, ShardPlan, Skew
from spotproof.shards.plan_file import MAGIC, PlanReader
from spotproof.shards.predicates import predicate_from_json
from tests.fakes.clock import FakeClock
from tests.fuzz.mutations import bytes_mutation, value_mutation
from tests.fuzz.target import Target

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET: Final = "plans in a bucket that others may have written"
SHARDS_READ: Final = 3
PREDICATES: Final[tuple[dict[str, Any], ...]] = (
    {"kind": "hash", "column": "id", "count": 4, "bucket": 1},
    {"kind": "range", "column": "price", "low": 5, "high": {"decimal": "7.5"}, "numeric_text": True},
    {"kind": "range", "column": "k", "low": {"hex": "00ff"}, "high": None, "numeric_text": False},
    {"kind": "time", "column": "at", "zone": "UTC", "start_ns": 0, "stop_ns": 10**18, "nulls": False},
)


class OneObject:
    """A bucket with one object, read in ranges as S3 gives them."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def get_object(self, *, Bucket: str, Key: str, Range: str) -> dict[str, Any]:  # noqa: N803 - boto3's names
        start, _, stop = Range.removeprefix("bytes=").partition("-")
        if not start:
            data = self._data[-int(stop) :] if int(stop) else b""
        elif start.isdigit() and stop.isdigit() and int(start) < len(self._data):
            data = self._data[int(start) : int(stop) + 1]
        else:
            raise ClientError({"Error": {"Code": "InvalidRange", "Message": Range}}, "GetObject")
        return {"Body": io.BytesIO(data)}


def targets() -> tuple[Target, ...]:
    plain = encode(_parts())
    return (
        Target(
            name="plan-damaged",
            surface=BUCKET,
            seeds=[plain],
            mutate=bytes_mutation,
            attempt=_read,
            refusals=(InputError,),
        ),
        Target(
            name="plan-forged",
            surface=BUCKET,
            seeds=[_parts()],
            mutate=value_mutation,
            attempt=lambda parts: _read(encode(parts)),
            refusals=(InputError,),
        ),
        Target(
            name="predicate",
            surface=BUCKET,
            seeds=list(PREDICATES),
            mutate=value_mutation,
            attempt=_predicate,
            refusals=(ValueError, KeyError, TypeError),
        ),
    )


def _parts() -> dict[str, Any]:
    """A plan's streams as JSON values, and what its index says besides their places."""
    pin = ObjectPin(bucket="data", key="in/a.csv", etag='"1"', size_bytes=300)
    catalogue = [InputPart(pin=pin, start=at, stop=at + 100).to_json() for at in (0, 100, 200)]
    skew = Skew(max_bytes=100, mean_bytes=90.5, p95_bytes=99)
    header = ShardPlan(
        strategy="hash:id:4",
        input_uri="s3://data/in",
        format=InputFormat.CSV,
        shards=4,
        objects=1,
        input_bytes=300,
        skew=skew,
    )
    page = [
        {"i": index, "label": f"shard {index}", "size": 75, "where": PREDICATES[index], "parts": [[0, 2]]}
        for index in range(4)
    ]
    return {"pages": [page], "catalogue": catalogue, "header": header.to_json(), "index": {}, "places": {}}


def encode(parts: Any) -> bytes:
    """The bytes of a plan with these streams, each under its right digest; anything else is written as it is."""
    if not isinstance(parts, dict):
        return json.dumps(parts).encode()
    body, position = bytearray(MAGIC), {}
    pages = parts.get("pages")
    streams = {f"page {number}": page for number, page in enumerate(pages if isinstance(pages, list) else [])}
    for name, stream in {**streams, "catalogue": parts.get("catalogue"), "header": parts.get("header")}.items():
        raw = json.dumps(stream).encode()
        packed = zlib.compress(raw, 1)
        position[name] = [len(body), len(packed), len(raw), hashlib.sha256(packed).hexdigest()]
        body += packed
    index = {
        "schema": 1,
        "page_shards": 512,
        "pages": [position[name] for name in streams],
        "catalogue": position["catalogue"],
        "header": position["header"],
        **_changes(parts.get("index")),
    }
    packed = zlib.compress(json.dumps(index).encode(), 1)
    return bytes(body) + packed + len(packed).to_bytes(8, "big") + MAGIC


def _changes(index: Any) -> dict[str, Any]:
    return {str(name): value for name, value in index.items()} if isinstance(index, dict) else {"schema": index}


def _read(data: bytes) -> object:
    clock = FakeClock()
    retrier = Retrier(clock=clock, rng=random.Random(0))
    reader = PlanReader(s3=cast("S3Client", OneObject(data)), retrier=retrier, bucket="work", key="runs/r/plan")
    assert reader.header.shards >= 0, "a plan has no negative number of shards"
    for index in range(min(SHARDS_READ, reader.header.shards)):
        shard = reader.shard(index)
        assert shard.index == index
        assert all(0 <= part.start <= part.stop for part in shard.parts), "parts are pieces of objects"
    return reader.header.format


def _predicate(body: Any) -> object:
    predicate = predicate_from_json(body)
    assert predicate_from_json(json.loads(json.dumps(predicate.to_json()))) == predicate, "read back, it is itself"
    return type(predicate).__name__
