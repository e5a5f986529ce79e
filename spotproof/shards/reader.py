"""What a job sees of its shard's input: batches of records with exact resume cursors, or whole objects."""

import io
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from spotproof.errors import ConfigurationError, InputError
from spotproof.retries import Retrier
from spotproof.shards.model import InputFormat, InputPart, PlannedShard, ShardPlan, joined
from spotproof.shards.predicates import MemoizedTest
from spotproof.shards.sources import parquet
from spotproof.shards.sources.lines import LineSource
from spotproof.shards.sources.objects import InputObjects
from spotproof.shards.sources.records import (
    CsvHeader,
    Record,
    Row,
    Selection,
    check_column,
    key_error,
    read_object_header,
    records,
)
from spotproof.shards.values import KeyValueError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

DEFAULT_RECORDS: Final = 1000
SCAN_BYTES_MAX: Final = 8 * 1024**2  # a batch ends after so many bytes even if few records match: a safe point
OBJECT_BUFFER_BYTES: Final = 256 * 1024
Cursor = dict[str, int]


class Batch:
    """Some records of a shard, in input order. It may be empty when a shard's records are sparse in its parts.

    Attributes:
        end: give it to `ShardReader.batches(after=...)` to continue right behind this batch; JSON.
        count: number of records.
        size_bytes: uncompressed bytes of lines read for it, or Arrow bytes in memory.
    """

    def __init__(
        self,
        *,
        end: Cursor,
        count: int,
        size_bytes: int,
        rows: list[Row] | None,
        table: Any,
        columns: tuple[str, ...] | None,
    ) -> None:
        self.end = end
        self.count = count
        self.size_bytes = size_bytes
        self._rows = rows
        self._table = table
        self._columns = columns

    @cached_property
    def records(self) -> list[Any]:
        """Strings for text, dicts otherwise; CSV values are strings as written."""
        return parquet.rows_of_table(self._table) if self._rows is None else self._rows

    @cached_property
    def table(self) -> Any:
        """The records as a `pyarrow.Table`.

        Raises:
            ConfigurationError: pyarrow is not installed, or lines of text have no columns.
            InputError: JSON values of one member have no common type.
        """
        if self._rows is None:
            return self._table
        if any(isinstance(row, str) for row in self._rows):
            raise ConfigurationError("lines of text have no columns; use batch.records")
        return parquet.table_of_rows(self._rows, self._columns)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.records)

    def __len__(self) -> int:
        return self.count


class ShardReader:
    """Reads one planned shard, and only what the plan pinned."""

    def __init__(self, planned: PlannedShard, header: ShardPlan, *, s3: "S3Client", retrier: Retrier) -> None:
        self.planned = planned
        self._format = header.format
        self._objects = InputObjects(s3=s3, retrier=retrier)
        self._parts = joined(planned.parts)
        self._test = None if planned.predicate is None else MemoizedTest(planned.predicate)
        self._before = _bytes_before(self._parts)
        self._done_bytes = 0.0
        self._parquet: parquet.ParquetObject | None = None

    @property
    def fraction_done(self) -> float:
        """How much of the shard's stored bytes lies behind the last batch given, 0 to 1."""
        total = self._before[-1]
        return min(1.0, self._done_bytes / total) if total else 1.0

    def batches(self, after: Cursor | None = None, records: int = DEFAULT_RECORDS) -> Iterator[Batch]:
        """The shard's records from the start, or from right behind the batch whose `end` is `after`.

        Cost of resuming: one request and the current row group; gzip objects are read again from their start.

        Raises:
            InputChangedError: an object is not the one that was planned; names it.
            InputError: a record can't be read; names object and place. Or `after` is no cursor of this shard.
            ConfigurationError: `records` is below 1, the input has no records, or pyarrow is missing for Parquet.
        """
        if records < 1:
            raise ConfigurationError(f"records per batch must be at least 1, got {records}")
        if self._format is InputFormat.ANY:
            raise ConfigurationError("these input objects have no records that Spotproof knows; use shard.objects()")
        first, place = _check_cursor(after, len(self._parts))
        for number, part in enumerate(self._parts[first:], first):
            inside = place if number == first else None
            if self._format is InputFormat.PARQUET:
                yield from self._parquet_batches(number, part, inside, records)
            else:
                yield from self._line_batches(number, part, inside, records)
        self._done_bytes = self._before[-1]

    def objects(self) -> Iterator[tuple[str, io.BufferedReader]]:
        """Each object of the shard: its address and an open, seekable stream of its stored bytes.

        Raises:
            ConfigurationError: the plan cut objects into pieces.
            InputChangedError: on reading, if the object is not the one that was planned.
        """
        for number, part in enumerate(self._parts):
            if not part.whole:
                raise ConfigurationError(f"{part.pin.uri} is cut into pieces; shard_by=objects gives whole objects")
            stream: io.BufferedReader = io.BufferedReader(self._objects.open(part.pin), OBJECT_BUFFER_BYTES)
            with stream:
                yield part.pin.uri, stream
            self._done_bytes = self._before[number + 1]

    def _line_batches(self, number: int, part: InputPart, place: Cursor | None, size: int) -> Iterator[Batch]:
        source = LineSource(objects=self._objects, part=part)
        header = self._header(part)
        at = None if place is None else place["at"]
        gathered = _LineBatch(number, header)
        for record in records(source, part, self._format, header, at=at, selection=self._selection(part, header)):
            gathered.add(record)
            if len(gathered.rows) >= size or gathered.size_bytes >= SCAN_BYTES_MAX:
                self._done_bytes = self._before[number] + _progress(part, source, record.stop)
                yield gathered.finish()
                gathered = _LineBatch(number, header)
        if gathered.rows:
            self._done_bytes = self._before[number + 1]
            yield gathered.finish()

    def _selection(self, part: InputPart, header: CsvHeader | None) -> Selection | None:
        predicate = self.planned.predicate
        if predicate is None or self._test is None:
            return None
        if header is not None:
            check_column(part.pin.uri, predicate.column, header.columns)
        return Selection(predicate.column, self._test)

    def _header(self, part: InputPart) -> CsvHeader | None:
        if self._format not in (InputFormat.CSV, InputFormat.TSV):
            return None
        return read_object_header(self._objects, part, self._format)

    def _parquet_batches(self, number: int, part: InputPart, place: Cursor | None, size: int) -> Iterator[Batch]:
        source = self._open_parquet(part)
        groups = source.row_groups()
        wanted = range(len(groups)) if part.row_groups is None else part.row_groups
        done = float(self._before[number])
        scale = (part.stop - part.start) / max(1, sum(groups[group].stop - groups[group].start for group in wanted))
        for group in (groups[index] for index in wanted):
            if place is None or group.number >= place["group"]:
                first_row = place["row"] if place is not None and place["group"] == group.number else 0
                for table, stop_row in _row_slices(source, group, first_row, size):
                    kept = self._matching(table, part, group, stop_row - table.num_rows)
                    self._done_bytes = done + scale * (group.stop - group.start) * stop_row / max(1, group.rows)
                    end = {"part": number, "group": group.number, "row": stop_row}
                    yield Batch(
                        end=end, count=kept.num_rows, size_bytes=kept.nbytes, rows=None, table=kept, columns=None
                    )
            done += scale * (group.stop - group.start)

    def _open_parquet(self, part: InputPart) -> parquet.ParquetObject:
        """The object of a part; neighbouring parts of one object share its footer."""
        if self._parquet is None or self._parquet.pin != part.pin:
            self._parquet = parquet.ParquetObject(objects=self._objects, pin=part.pin)
        return self._parquet

    def _matching(self, table: Any, part: InputPart, group: parquet.RowGroup, first_row: int) -> Any:
        predicate = self.planned.predicate
        test = self._test
        if predicate is None or test is None:
            return table
        try:
            return parquet.matching_rows(table, predicate.column, test)
        except KeyValueError as error:
            row = first_row + _first_refused(table, predicate.column, test)
            place = f"row {row} of row group {group.number}"
            raise key_error(part.pin.uri, place, predicate.column, error) from error


class _LineBatch:
    """A batch of line records in the making."""

    def __init__(self, part_number: int, header: CsvHeader | None) -> None:
        self._part_number = part_number
        self._columns = None if header is None else header.columns
        self._stop = 0
        self.rows: list[Row] = []
        self.size_bytes = 0

    def add(self, record: Record) -> None:
        row, start, stop = record
        self._stop = stop
        self.size_bytes += stop - start
        if row is not None:
            self.rows.append(row)

    def finish(self) -> Batch:
        return Batch(
            end={"part": self._part_number, "at": self._stop},
            count=len(self.rows),
            size_bytes=self.size_bytes,
            rows=self.rows,
            table=None,
            columns=self._columns,
        )


def _row_slices(
    source: parquet.ParquetObject, group: parquet.RowGroup, first_row: int, size: int
) -> Iterator[tuple[Any, int]]:
    """Tables of a row group, each with the row behind its last."""
    row = first_row
    if first_row >= group.rows:
        return
    for table in source.tables(group, first_row=first_row, rows=size):
        row += table.num_rows
        yield table, row


def _first_refused(table: Any, column: str, test: MemoizedTest) -> int:
    for row, key in enumerate(parquet.column_keys(table, column)):
        try:
            test(key)
        except KeyValueError:
            return row
    return 0


def _bytes_before(parts: tuple[InputPart, ...]) -> list[int]:
    """Stored bytes ahead of each part, and the total last."""
    before = [0]
    for part in parts:
        before.append(before[-1] + part.stop - part.start)
    return before


def _progress(part: InputPart, source: LineSource, stop: int) -> int:
    return source.read_bytes if part.gzip else min(stop, part.stop) - part.start


def _check_cursor(after: Any, parts: int) -> tuple[int, Cursor | None]:
    """First part to read, and where in it.

    Raises:
        InputError: it is no cursor of this shard.
    """
    if after is None:
        return 0, None
    is_cursor = isinstance(after, dict) and set(after) in ({"part", "at"}, {"part", "group", "row"})
    if not is_cursor or not all(type(value) is int and value >= 0 for value in after.values()):
        raise InputError(f"cursor {after!r} is not one that a batch of this shard gave; save batch.end unchanged")
    if after["part"] >= parts:
        raise InputError(f"cursor {after!r} lies behind this shard's {parts} parts; was it saved by another run?")
    return after["part"], after
