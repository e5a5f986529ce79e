"""Looking at one column before cutting: a bounded weighted sample, and the bounds of every piece."""

import hashlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from spotproof.errors import InputChangedError, InputError
from spotproof.shards.model import InputFormat, InputPart
from spotproof.shards.sources.lines import LineSource
from spotproof.shards.sources.parquet import ParquetObject, RowGroup, Statistics
from spotproof.shards.sources.planned_input import InputObject, PlannedInput
from spotproof.shards.sources.records import check_column, key_error, read_object_header, records
from spotproof.shards.values import Key, KeyValueError, as_key

SAMPLE_ALL_BYTES: Final = 2 * 1024**2  # an input of lines up to this size is read whole
SAMPLE_POINTS: Final = 64  # places looked at in a larger one
SAMPLE_BLOCK_BYTES: Final = 32 * 1024
SAMPLE_ROWS_PER_GROUP: Final = 4096
PIECE_BYTES: Final = 1024**2  # at least: the grain at which shards skip input
PIECES_MAX: Final = 4096
SCAN_BYTES_MAX: Final = 4 * 1024**3  # larger inputs of lines are not scanned for bounds: every shard reads all

Measure = Callable[[Key], Any]  # a key's place as something comparable; None for null
StatisticsBounds = Callable[[Statistics], tuple[Any, Any] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledKey:
    key: Key
    weight: float  # input bytes it stands for


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A part of the input and what it can hold."""

    part: InputPart
    low: Any = None
    high: Any = None
    bounded: bool = False  # every key that is not null lies in [low, high]; with low None there is none
    may_have_nulls: bool = True


def sample_keys(source: PlannedInput, column: str) -> list[SampledKey]:
    """Keys of a sample whose size is bounded and which depends on the input alone, weighted by bytes.

    Raises:
        InputError: the format has no columns, or the column is missing; lists those there are.
    """
    check_has_columns(source, column)
    if source.format is InputFormat.PARQUET:
        return list(_sample_parquet(source, column))
    rows = _SampledRows(source, column)
    if source.size_bytes <= SAMPLE_ALL_BYTES:
        for item in source.items:
            rows.add_block(item.part, bytes_max=None, weight=None)
    else:
        for item, offset in _points(source):
            rows.add_point(item, offset, source.size_bytes / SAMPLE_POINTS)
    return rows.finish()


def check_has_columns(source: PlannedInput, column: str) -> None:
    if not source.format.has_columns:
        raise InputError(
            f"{source.uri} is {source.format}, which has no column {column!r}; shard it by size:64MiB or objects"
        )


class _SampledRows:
    """Gathers sampled records of lines, and the columns seen."""

    def __init__(self, source: PlannedInput, column: str) -> None:
        self._source = source
        self._column = column
        self._keys: list[SampledKey] = []
        self._columns: dict[str, None] = {}
        self._column_seen = False

    def add_point(self, item: InputObject, offset: int, weight: float) -> None:
        """A block around one place; the head of an object that can't be entered in the middle."""
        size = item.pin.size_bytes
        if not self._source.can_cut(item) or offset == 0:
            self.add_block(item.part, bytes_max=SAMPLE_BLOCK_BYTES, weight=weight)
            return
        start = max(1, min(offset, size - SAMPLE_BLOCK_BYTES))
        part = InputPart(pin=item.pin, start=start, stop=min(size, start + SAMPLE_BLOCK_BYTES))
        try:
            self.add_block(part, bytes_max=None, weight=weight)
        except InputChangedError:
            raise
        except InputError:
            # A quoted line break met in mid-object: only the estimate suffers; real damage is found when read.
            self.add_block(item.part, bytes_max=SAMPLE_BLOCK_BYTES, weight=weight)

    def add_block(self, part: InputPart, *, bytes_max: int | None, weight: float | None) -> None:
        """Records of a part up to `bytes_max`; together they weigh `weight`, or what they measure."""
        block: list[tuple[Key, int]] = []
        taken = 0
        for record in _records(self._source, part, self._column):
            assert isinstance(record.row, dict)
            self._column_seen = self._column_seen or self._column in record.row
            if len(self._columns) < 1000:
                self._columns.update(dict.fromkeys(record.row))
            key = _key(part, record.start, _raw_key(self._source, record.row, self._column), self._column)
            block.append((key, record.stop - record.start))
            taken += record.stop - record.start
            if bytes_max is not None and taken >= bytes_max:
                break
        scale = 1.0 if weight is None or not taken else weight / taken
        self._keys.extend(SampledKey(key=key, weight=size * scale) for key, size in block)

    def finish(self) -> list[SampledKey]:
        if self._keys and not self._column_seen:
            check_column(self._source.uri, self._column, tuple(self._columns))
        return self._keys


def _records(source: PlannedInput, part: InputPart, column: str) -> Iterator[Any]:
    header = None
    if source.format in (InputFormat.CSV, InputFormat.TSV):
        header = read_object_header(source.objects, part, source.format)
        if header is not None:
            check_column(part.pin.uri, column, header.columns)
    return records(LineSource(objects=source.objects, part=part), part, source.format, header)


def _raw_key(source: PlannedInput, row: Any, column: str) -> Any:
    value = row.get(column)
    return None if value == "" and source.format is not InputFormat.JSONL else value


def _key(part: InputPart, start: int, value: Any, column: str) -> Key:
    try:
        return as_key(value)
    except KeyValueError as error:
        raise key_error(part.pin.uri, f"record at byte {start}", column, error) from error


def _points(source: PlannedInput) -> Iterator[tuple[InputObject, int]]:
    """Places spread over the input's bytes, one at random in each of `SAMPLE_POINTS` equal strata."""
    rng = random.Random(_seed(source))  # noqa: S311 - sampling, not secrets
    stratum = source.size_bytes / SAMPLE_POINTS
    places = iter([int((number + rng.random()) * stratum) for number in range(SAMPLE_POINTS)])
    place = next(places)
    before = 0
    for item in source.items:
        while place < before + item.pin.size_bytes:
            yield item, place - before
            following = next(places, None)
            if following is None:
                return
            place = following
        before += item.pin.size_bytes


def _seed(source: PlannedInput) -> int:
    digest = hashlib.sha256()
    for item in source.items:
        digest.update(f"{item.pin.key}\0{item.pin.etag}\0{item.pin.size_bytes}\n".encode())
    return int.from_bytes(digest.digest()[:8], "big")


def _sample_parquet(source: PlannedInput, column: str) -> Iterator[SampledKey]:
    groups = [(item, group) for item in source.items for group in source.row_groups(item.pin) if group.rows]
    step = max(1, -(-len(groups) // SAMPLE_POINTS))
    for item, group in groups[::step]:
        opened = open_with_column(source, item, column)
        stride = max(1, group.rows // SAMPLE_ROWS_PER_GROUP)
        weight = (group.stop - group.start) * stride * step / group.rows
        for key in islice(_group_keys(opened, group, column), 0, None, stride):
            yield SampledKey(key=_key(item.part, group.start, key, column), weight=weight)


def open_with_column(source: PlannedInput, item: InputObject, column: str) -> ParquetObject:
    opened = ParquetObject(objects=source.objects, pin=item.pin)
    check_column(item.pin.uri, column, opened.columns)
    return opened


def _group_keys(opened: ParquetObject, group: RowGroup, column: str) -> Iterator[Key]:
    try:
        for keys in opened.keys(group, column):
            yield from keys
    except KeyValueError as error:
        raise key_error(opened.pin.uri, f"row group {group.number}", column, error) from error


def survey_pieces(
    source: PlannedInput, column: str, measure: Measure, statistics_bounds: StatisticsBounds
) -> list[Piece]:
    """Every piece of the input with the bounds of its keys.

    Parquet tells them by its statistics; where those are missing or don't answer, the column is read. Lines are read
    whole up to `SCAN_BYTES_MAX` of input and left unbounded beyond.

    Raises:
        InputError: a key can't be measured; names object, record and column.
    """
    check_has_columns(source, column)
    if source.format is InputFormat.PARQUET:
        return list(_parquet_pieces(source, column, measure, statistics_bounds))
    parts = source.pieces(max(PIECE_BYTES, -(-source.size_bytes // PIECES_MAX)))
    if source.size_bytes > SCAN_BYTES_MAX:
        return [Piece(part=part) for part in parts]
    return [_measured(part, column, measure, _line_keys(source, part, column)) for part in parts]


def _line_keys(source: PlannedInput, part: InputPart, column: str) -> Iterator[tuple[str, Any]]:
    for record in _records(source, part, column):
        yield f"record at byte {record.start}", _raw_key(source, record.row, column)


def _measured(part: InputPart, column: str, measure: Measure, keys: Iterator[tuple[str, Any]]) -> Piece:
    """The piece with exact bounds; each distinct key is measured once, within a bound of memory."""
    low = high = None
    nulls = False
    seen: set[tuple[type, Any]] = set()
    for place, value in keys:
        try:
            if (type(value), value) in seen:
                continue
            measured = measure(as_key(value))
        except (KeyValueError, TypeError) as error:
            reason = error if isinstance(error, KeyValueError) else KeyValueError("not a value that can be a key")
            raise key_error(part.pin.uri, place, column, reason) from error
        if len(seen) < 100_000:
            seen.add((type(value), value))
        if measured is None:
            nulls = True
            continue
        low = measured if low is None or measured < low else low
        high = measured if high is None or measured > high else high
    return Piece(part=part, low=low, high=high, bounded=True, may_have_nulls=nulls)


def _parquet_pieces(
    source: PlannedInput, column: str, measure: Measure, statistics_bounds: StatisticsBounds
) -> Iterator[Piece]:
    for item in source.items:
        opened = open_with_column(source, item, column)
        for group in source.row_groups(item.pin):
            if not group.rows:
                continue
            part = InputPart(pin=item.pin, start=group.start, stop=group.stop, row_groups=(group.number,))
            recorded = opened.statistics(group, column)
            bounds = None if recorded is None or not recorded.bounded else statistics_bounds(recorded)
            if recorded is not None and bounds is not None:
                low, high = bounds
                yield Piece(part=part, low=low, high=high, bounded=True, may_have_nulls=recorded.may_have_nulls)
                continue
            places = (
                (f"row {row} of row group {group.number}", key)
                for row, key in enumerate(_group_keys(opened, group, column))
            )
            yield _measured(part, column, measure, places)
