"""The record that a run leaves behind: what its shards took and how its workers fared, bounded in size."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from spotproof.errors import MALFORMED, ItemError, ItemTooNewError

RECORD_SCHEMA: Final = 1
SAMPLES_MAX: Final = 2_000  # shards told one by one; beyond it, every k-th: quantiles of 2,000 are good to about 1 %
POOLS_MAX: Final = 300  # types x zones of one region; the busiest are kept
TYPES_MAX: Final = 300
RECORD_BYTES_MAX: Final = 512 * 1024  # of 2,000 shards and 300 pools there are about 150 KiB
COUNT_MAX: Final = 2**53


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardSample:
    """What one shard took, over all its leases."""

    input_bytes: int  # that one lease reads
    work_ms: int  # neither saving nor restoring, nor what was lost and done again
    peak_mib: int  # 0: unknown
    cpu_ms: int  # under the committing lease; 0: unknown
    lease_ms: int  # worked under the committing lease: what `cpu_ms` is a part of
    instance_type: str  # that committed it; empty: unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolUse:
    """How the run's workers fared in one pool."""

    instance_type: str
    zone: str
    lifecycle: str  # spot | on-demand
    sessions: int
    session_ms: int
    interruptions: int  # sessions that ended with a notice of their host's end, or without a word


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One run as the sizing of the next ones sees it. Times: ms."""

    job: str
    run_id: str
    created_at: int  # epoch
    ended_at: int
    shards: int
    workers: int  # at the same time, at most
    session_ms: int
    work_ms: int
    checkpoint_ms: int
    redone_ms: int
    idle_ms: int
    vcpus: float  # of one worker; 0: unknown
    samples: tuple[ShardSample, ...]
    pools: tuple[PoolUse, ...] = ()

    @property
    def wall_s(self) -> float:
        return (self.ended_at - self.created_at) / 1000

    def encode(self) -> bytes:
        """As JSON, at most RECORD_BYTES_MAX; samples and pools beyond their bounds are thinned out."""
        samples = thinned(self.samples, SAMPLES_MAX)
        types = list(dict.fromkeys(sample.instance_type for sample in samples))[:TYPES_MAX]
        places = {name: number for number, name in enumerate(types)}
        pools = sorted(self.pools, key=lambda pool: -pool.session_ms)[:POOLS_MAX]
        fields = {name: getattr(self, name) for name in (*_COUNTS, "job", "run_id", "vcpus")}
        document = {
            "schema": RECORD_SCHEMA,
            **fields,
            "types": types,
            "samples": [
                [*(getattr(sample, name) for name in _SAMPLE_COUNTS), places.get(sample.instance_type, -1)]
                for sample in samples
            ],
            "pools": [[getattr(pool, name) for name in (*_POOL_TEXTS, *_POOL_COUNTS)] for pool in pools],
        }
        return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()


_COUNTS: Final = (
    "created_at",
    "ended_at",
    "shards",
    "workers",
    "session_ms",
    "work_ms",
    "checkpoint_ms",
    "redone_ms",
    "idle_ms",
)
_SAMPLE_COUNTS: Final = ("input_bytes", "work_ms", "peak_mib", "cpu_ms", "lease_ms")
_POOL_TEXTS: Final = ("instance_type", "zone", "lifecycle")
_POOL_COUNTS: Final = ("sessions", "session_ms", "interruptions")


def thinned(samples: Sequence[ShardSample], most: int) -> tuple[ShardSample, ...]:
    """At most `most` of them, evenly spread over their order and the last one included; the same ones each time."""
    if len(samples) <= most:
        return tuple(samples)
    return tuple(samples[(number + 1) * len(samples) // most - 1] for number in range(most))


def decode_record(body: bytes, *, what: str) -> RunRecord:
    """The record, every field checked: objects in a bucket are not to be trusted.

    Args:
        what: names the record in errors.

    Raises:
        ItemTooNewError: written by a newer version.
        ItemError: anything else is wrong with it.
    """
    try:
        document = json.loads(body)
        schema = document["schema"]
        if isinstance(schema, int) and schema > RECORD_SCHEMA:
            raise ItemTooNewError(f"{what} has schema {schema}, this version knows {RECORD_SCHEMA}: upgrade")
        if schema != RECORD_SCHEMA:
            raise ValueError(f"schema {schema!r}")
        return _record(document)
    except MALFORMED as error:
        raise ItemError(f"{what} is damaged ({type(error).__name__}: {str(error)[:100]})") from error


def _record(document: Mapping[str, Any]) -> RunRecord:
    types = [_text(name) for name in _list(document["types"], TYPES_MAX)]
    record = RunRecord(
        job=_text(document["job"]),
        run_id=_text(document["run_id"]),
        vcpus=_number(document["vcpus"]),
        samples=tuple(_sample(row, types) for row in _list(document["samples"], SAMPLES_MAX)),
        pools=tuple(_pool(row) for row in _list(document["pools"], POOLS_MAX)),
        **{name: _count(document[name]) for name in _COUNTS},
    )
    if record.ended_at < record.created_at:
        raise ValueError("it ended before it began")
    return record


def _sample(row: object, types: Sequence[str]) -> ShardSample:
    *counts, place = _row(row, len(_SAMPLE_COUNTS) + 1)
    known = isinstance(place, int) and 0 <= place < len(types)
    numbers = {name: _count(value) for name, value in zip(_SAMPLE_COUNTS, counts, strict=True)}
    return ShardSample(instance_type=types[place] if known else "", **numbers)


def _pool(row: object) -> PoolUse:
    values = _row(row, len(_POOL_TEXTS) + len(_POOL_COUNTS))
    instance_type, zone, lifecycle = (_text(value) for value in values[: len(_POOL_TEXTS)])
    numbers = {name: _count(value) for name, value in zip(_POOL_COUNTS, values[len(_POOL_TEXTS) :], strict=True)}
    return PoolUse(instance_type=instance_type, zone=zone, lifecycle=lifecycle, **numbers)


def _row(value: object, length: int) -> list[Any]:
    if not isinstance(value, list) or len(value) != length:
        raise ValueError(f"a row must have {length} values")
    return value


def _list(value: object, most: int) -> list[Any]:
    if not isinstance(value, list) or len(value) > most:
        raise ValueError(f"a list must have at most {most} entries")
    return value


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= COUNT_MAX:
        raise ValueError(f"a count must be a whole number from 0, got {value!r:.40}")
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ValueError(f"a number must be 0 or more, got {value!r:.40}")
    return float(value)


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > 200 or not value.isprintable():
        raise ValueError(f"a name must be printable text of at most 200, got {value!r:.40}")
    return value
