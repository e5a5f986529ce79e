"""The immutable plan of a run as one S3 object that a worker can read in part.

Layout: magic · pages of shards · catalogue · header · index · trailer. Pages, catalogue, header and index are zlib
streams of JSON; the index lists place and SHA-256 of each, so the SHA-256 of the index (`StoredPlan.sha256`) vouches
for every byte of the object while a worker fetches only the end and the page it needs. The trailer is the index's
length and the magic again. The bytes depend only on the plan.
"""

import hashlib
import json
import tempfile
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from spotproof.errors import MALFORMED, AwsMissingError, InputError
from spotproof.retries import Retrier, as_aws_error, error_code
from spotproof.shards.model import PLAN_SCHEMA, InputPart, PlannedShard, ShardPlan
from spotproof.shards.planner import Plan

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MAGIC: Final = b"SPOTPLN1"
PAGE_SHARDS: Final = 512
TAIL_BYTES: Final = 256 * 1024  # the first read, from the end: holds the index of about a million shards
PAGES_CACHED: Final = 4
_LEVEL: Final = 6
_TRAILER_BYTES: Final = 16
_RAW_BYTES_MAX: Final = 1024**3  # a stream that inflates beyond this is damaged
_MEMORY_BYTES: Final = 8 * 1024**2  # of a plan in the making; the rest is on disk
_CONFLICT_CODES: Final = frozenset({"PreconditionFailed", "412"})


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPlan:
    """Where a run's plan is, and what vouches for it."""

    bucket: str
    key: str
    sha256: str  # hex, of the index
    header: ShardPlan
    created: bool  # False: a plan was there already, and this is it


@dataclass(frozen=True, slots=True)
class _Stream:
    """Place and digest of one compressed stream in the object."""

    start: int
    size_bytes: int
    raw_bytes: int
    sha256: str


def write_plan(plan: Plan, *, s3: "S3Client", retrier: Retrier, bucket: str, key: str) -> StoredPlan:
    """Store the plan unless the run has one; the first plan stored wins and is returned.

    Raises:
        InputError: the plan that is there already is damaged.
        AwsAccessError, AwsMissingError, AwsUnavailableError: as the retrier tells.
    """
    doing = f"storing the plan s3://{bucket}/{key}"
    with tempfile.SpooledTemporaryFile(max_size=_MEMORY_BYTES) as file:
        sha256 = encode_plan(plan, file)
        try:
            retrier.call(doing, _put, s3=s3, file=file, bucket=bucket, key=key)
        except ClientError as error:
            if error_code(error) in _CONFLICT_CODES:
                reader = PlanReader(s3=s3, retrier=retrier, bucket=bucket, key=key)
                return StoredPlan(bucket=bucket, key=key, sha256=reader.sha256, header=reader.header, created=False)
            raise as_aws_error(error, doing=doing) from error
    return StoredPlan(bucket=bucket, key=key, sha256=sha256, header=plan.header, created=True)


def _put(*, s3: "S3Client", file: "tempfile.SpooledTemporaryFile[bytes]", bucket: str, key: str) -> None:
    file.seek(0)
    s3.put_object(Bucket=bucket, Key=key, Body=file, IfNoneMatch="*", ContentType="application/octet-stream")


def encode_plan(plan: Plan, file: IO[bytes]) -> str:
    """Write the plan's bytes; the hex SHA-256 of its index."""
    writer = _Writer(file)
    places = {part: number for number, part in enumerate(plan.catalogue)}
    pages = [writer.add(page) for page in _pages(plan.shards(), places)]
    catalogue = writer.add([part.to_json() for part in plan.catalogue])
    header = writer.add(plan.header.to_json())
    index = {
        "schema": PLAN_SCHEMA,
        "page_shards": PAGE_SHARDS,
        "pages": [_stream_json(page) for page in pages],
        "catalogue": _stream_json(catalogue),
        "header": _stream_json(header),
    }
    packed = zlib.compress(_json_bytes(index), _LEVEL)
    file.write(packed + len(packed).to_bytes(8, "big") + MAGIC)
    return hashlib.sha256(packed).hexdigest()


class _Writer:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._position = len(MAGIC)
        file.write(MAGIC)

    def add(self, data: Any) -> _Stream:
        raw = _json_bytes(data)
        packed = zlib.compress(raw, _LEVEL)
        self._file.write(packed)
        stream = _Stream(self._position, len(packed), len(raw), hashlib.sha256(packed).hexdigest())
        self._position += len(packed)
        return stream


def _json_bytes(data: Any) -> bytes:
    return json.dumps(data, separators=(",", ":"), sort_keys=True).encode()


def _stream_json(stream: _Stream) -> list[Any]:
    return [stream.start, stream.size_bytes, stream.raw_bytes, stream.sha256]


def _pages(shards: Iterator[PlannedShard], places: dict[InputPart, int]) -> Iterator[list[dict[str, Any]]]:
    page: list[dict[str, Any]] = []
    runs: list[list[int]] = []
    runs_of: tuple[InputPart, ...] | None = None
    for shard in shards:
        if not places:
            parts: list[Any] = [part.to_json() for part in shard.parts]
        else:
            if shard.parts is not runs_of:  # shards by hash all share one tuple
                runs, runs_of = _as_runs([places[part] for part in shard.parts]), shard.parts
            parts = runs
        page.append({**shard.to_json(), "parts": parts})
        if len(page) == PAGE_SHARDS:
            yield page
            page = []
    if page:
        yield page


def _as_runs(numbers: list[int]) -> list[list[int]]:
    """Rising numbers as [first, last] runs."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return runs


class PlanReader:
    """Reads the header and single shards of a stored plan, each checked against its digest.

    Raises:
        InputError: from the constructor and every method, if the plan is damaged, foreign or newer than this worker.
        AwsMissingError: there is no such object.
    """

    def __init__(self, *, s3: "S3Client", retrier: Retrier, bucket: str, key: str, sha256: str | None = None) -> None:
        self._s3 = s3
        self._retrier = retrier
        self._bucket = bucket
        self._key = key
        self._pages: OrderedDict[int, list[dict[str, Any]]] = OrderedDict()
        self._tail = self._read(f"bytes=-{TAIL_BYTES}")
        packed = self._packed_index()
        self.sha256 = hashlib.sha256(packed).hexdigest()
        if sha256 is not None and sha256 != self.sha256:
            raise self._damaged(f"its digest is {self.sha256[:12]}…, the run expects {sha256[:12]}…")
        self._index = self._checked_index(packed)
        try:
            header = _Stream(*self._index["header"])  # right before the index, so it tells where the first read began
            end = header.start + header.size_bytes + len(packed) + _TRAILER_BYTES
            self._tail_start = end - len(self._tail)
            self.header = ShardPlan.from_json(self._stream(self._index["header"]))
            self._catalogue = tuple(InputPart.from_json(part) for part in self._stream(self._index["catalogue"]))
        except MALFORMED as error:
            raise self._damaged("its header can't be read") from error

    def shard(self, index: int) -> PlannedShard:
        """Shard number `index`.

        Raises:
            IndexError: the plan has no such shard.
        """
        if not 0 <= index < self.header.shards:
            raise IndexError(f"shard {index} of a plan with {self.header.shards}")
        number, place = divmod(index, self._index["page_shards"])
        try:
            data = self._page(number)[place]
            shard = PlannedShard.from_json(data, self._parts(data["parts"]))
        except MALFORMED as error:
            raise self._damaged(f"shard {index} can't be read") from error
        if shard.index != index:
            raise self._damaged(f"shard {index} is not in its place")
        return shard

    def _parts(self, parts: list[Any]) -> tuple[InputPart, ...]:
        if not self._catalogue:
            return tuple(InputPart.from_json(part) for part in parts)
        if not all(0 <= first <= last < len(self._catalogue) for first, last in parts):
            raise ValueError(f"parts {parts!r:.80} of a catalogue of {len(self._catalogue)}")
        return tuple(part for first, last in parts for part in self._catalogue[first : last + 1])

    def _page(self, number: int) -> list[dict[str, Any]]:
        page = self._pages.get(number)
        if page is None:
            page = self._pages[number] = self._stream(self._index["pages"][number])
            if len(self._pages) > PAGES_CACHED:
                self._pages.popitem(last=False)
        self._pages.move_to_end(number)
        return page

    def _packed_index(self) -> bytes:
        tail = self._tail
        if len(tail) < _TRAILER_BYTES or tail[-len(MAGIC) :] != MAGIC:
            raise self._damaged("it has no plan trailer")
        size_bytes = int.from_bytes(tail[-_TRAILER_BYTES : -len(MAGIC)], "big")
        if size_bytes > _RAW_BYTES_MAX:
            raise self._damaged("its trailer is damaged")
        if size_bytes + _TRAILER_BYTES > len(tail):
            tail = self._read(f"bytes=-{size_bytes + _TRAILER_BYTES}")
        if len(tail) < size_bytes + _TRAILER_BYTES:
            raise self._damaged("it is cut off")
        return tail[-size_bytes - _TRAILER_BYTES : -_TRAILER_BYTES]

    def _checked_index(self, packed: bytes) -> dict[str, Any]:
        try:
            index = json.loads(_inflate(packed, _RAW_BYTES_MAX))
            schema = index["schema"]
            complete = isinstance(index["pages"], list) and index["page_shards"] >= 1
        except (zlib.error, *MALFORMED) as error:
            raise self._damaged("its index can't be read") from error
        if type(schema) is not int or schema > PLAN_SCHEMA or not complete:
            raise InputError(
                f"{self._name} was written in plan schema {schema!r}, this worker reads up to {PLAN_SCHEMA}; "
                "upgrade the worker"
            )
        checked: dict[str, Any] = index
        return checked

    def _stream(self, place: list[Any]) -> Any:
        try:
            stream = _Stream(*place)
            packed = self._bytes(stream)
            if hashlib.sha256(packed).hexdigest() != stream.sha256:
                raise self._damaged("the digest of a page is wrong")
            return json.loads(_inflate(packed, stream.raw_bytes))
        except (zlib.error, *MALFORMED) as error:
            raise self._damaged("a page can't be read") from error

    def _bytes(self, stream: _Stream) -> bytes:
        """A stream's bytes, from the first read if they were in it."""
        if stream.start >= self._tail_start:
            low = stream.start - self._tail_start
            return self._tail[low : low + stream.size_bytes]
        return self._read(f"bytes={stream.start}-{stream.start + stream.size_bytes - 1}")

    @property
    def _name(self) -> str:
        return f"plan s3://{self._bucket}/{self._key}"

    def _damaged(self, problem: str) -> InputError:
        return InputError(f"{self._name} is damaged: {problem}; start a new run")

    def _read(self, byte_range: str) -> bytes:
        doing = f"reading the {self._name}"
        try:
            return self._retrier.call(doing, self._get, byte_range=byte_range)
        except ClientError as error:
            match error_code(error):
                case "NoSuchKey" | "404":
                    raise AwsMissingError(f"{self._name} does not exist; start a new run") from error
                case "InvalidRange" | "416":
                    raise self._damaged("it is too short") from error
            raise as_aws_error(error, doing=doing) from error

    def _get(self, *, byte_range: str) -> bytes:
        return self._s3.get_object(Bucket=self._bucket, Key=self._key, Range=byte_range)["Body"].read()


def _inflate(packed: bytes, raw_bytes_max: int) -> bytes:
    """At most `raw_bytes_max` bytes.

    Raises:
        ValueError: the stream is longer, cut off, or followed by something.
    """
    stream = zlib.decompressobj()
    raw = stream.decompress(packed, min(raw_bytes_max, _RAW_BYTES_MAX) + 1)
    if len(raw) > raw_bytes_max or not stream.eof or stream.unused_data:
        raise ValueError("wrong length")
    return raw
