"""Parquet and Arrow: the one module that sees pyarrow, which has no type stubs."""

import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from spotproof.errors import ConfigurationError, InputError
from spotproof.shards.model import ObjectPin
from spotproof.shards.sources.objects import InputObjects, ObjectFile
from spotproof.shards.values import Key, KeyValueError, Moment

FOOTER_BYTES: Final = 64 * 1024  # read at once from the end; a longer footer costs one more request
_UNIT_NS: Final = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_DAY_NS: Final = 86_400 * 10**9
ArrowTable = Any


@dataclass(frozen=True, slots=True, kw_only=True)
class RowGroup:
    number: int
    rows: int
    start: int  # first byte of its column chunks in the object
    stop: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """What the writer recorded about one column of one row group; None where it did not."""

    low: Key
    high: Key
    bounded: bool  # low and high are set and cover every value that is not null
    may_have_nulls: bool


def require_pyarrow() -> Any:
    """The pyarrow module.

    Raises:
        ConfigurationError: it is not installed.
    """
    try:
        return importlib.import_module("pyarrow")
    except ImportError as error:
        raise ConfigurationError(
            "reading Parquet or Arrow tables needs pyarrow; add spotproof[parquet] to the job's requirements"
        ) from error


class ParquetObject:
    """One pinned Parquet object, read row group by row group in ranged requests.

    Memory: the footer and the compressed bytes of one row group.

    Raises:
        InputError: from every method, if the object is not intact Parquet.
        InputChangedError: it is not the object that was planned.
    """

    def __init__(self, *, objects: InputObjects, pin: ObjectPin) -> None:
        self._arrow = require_pyarrow()
        self.pin = pin
        self._file = ObjectFile(objects, pin)
        self._file.load(max(0, pin.size_bytes - FOOTER_BYTES), pin.size_bytes)
        parquet = importlib.import_module("pyarrow.parquet")
        with self._naming_the_object():
            self._reader = parquet.ParquetFile(self._file, pre_buffer=False)
        self.columns: tuple[str, ...] = tuple(self._reader.schema_arrow.names)

    def _naming_the_object(self) -> "_NamingTheObject":
        return _NamingTheObject(self.pin, self._arrow)

    def row_groups(self) -> tuple[RowGroup, ...]:
        metadata = self._reader.metadata
        groups = []
        for number in range(metadata.num_row_groups):
            group = metadata.row_group(number)
            extents = [_extent(group.column(column)) for column in range(group.num_columns)]
            start = min((start for start, _ in extents), default=0)
            stop = max((stop for _, stop in extents), default=0)
            if not 0 <= start <= stop <= self.pin.size_bytes:
                raise _damaged(self.pin, f"row group {number} lies outside the object")
            groups.append(RowGroup(number=number, rows=group.num_rows, start=start, stop=stop))
        return tuple(groups)

    def tables(self, group: RowGroup, *, first_row: int, rows: int) -> Iterator[ArrowTable]:
        """Slices of at most `rows` rows of a row group, from `first_row` on."""
        yield from self._read(group, first_row=first_row, rows=rows, columns=None)

    def keys(self, group: RowGroup, column: str) -> Iterator[list[Key]]:
        """The keys of one column of a row group, in order, as lists of bounded length."""
        for table in self._read(group, first_row=0, rows=65_536, columns=[column]):
            yield column_keys(table, column)

    def _read(
        self, group: RowGroup, *, first_row: int, rows: int, columns: Sequence[str] | None
    ) -> Iterator[ArrowTable]:
        position = 0
        with self._naming_the_object():
            self._load(group, columns)
            batches = self._reader.iter_batches(
                batch_size=rows, row_groups=[group.number], columns=columns, use_threads=False
            )
            for batch in batches:
                skip = min(max(first_row - position, 0), batch.num_rows)
                position += batch.num_rows
                if skip < batch.num_rows:
                    yield self._arrow.Table.from_batches([batch.slice(skip)])

    def _load(self, group: RowGroup, columns: Sequence[str] | None) -> None:
        if columns is None:
            self._file.load(group.start, group.stop)
            return
        metadata = self._reader.metadata.row_group(group.number)
        wanted = [
            _extent(metadata.column(number))
            for number in range(metadata.num_columns)
            if metadata.column(number).path_in_schema.split(".")[0] in columns
        ]
        if wanted:
            self._file.load(min(start for start, _ in wanted), max(stop for _, stop in wanted))

    def statistics(self, group: RowGroup, column: str) -> Statistics | None:
        """The recorded bounds of a column, or None if it is nested or has none."""
        metadata = self._reader.metadata.row_group(group.number)
        for number in range(metadata.num_columns):
            chunk = metadata.column(number)
            if chunk.path_in_schema == column:
                field = self._reader.schema_arrow.field(column)
                return _statistics(self._arrow, chunk.statistics, field.type)
        return None


class _NamingTheObject:
    """Turns Arrow's errors into ours, with the object's name."""

    def __init__(self, pin: ObjectPin, arrow: Any) -> None:
        self._pin = pin
        self._arrow = arrow

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, self._arrow.ArrowException | OSError | ValueError) and not isinstance(
            error, KeyValueError
        ):
            raise _damaged(self._pin, str(error).split("\n")[0]) from error


def _damaged(pin: ObjectPin, problem: str) -> InputError:
    return InputError(f"{pin.uri} is not readable Parquet ({problem}); repair or remove it")


def _extent(chunk: Any) -> tuple[int, int]:
    start = chunk.data_page_offset
    if chunk.has_dictionary_page and chunk.dictionary_page_offset:
        start = min(start, chunk.dictionary_page_offset)
    return start, start + chunk.total_compressed_size


def _statistics(arrow: Any, recorded: Any, kind: Any) -> Statistics | None:
    if recorded is None:
        return None
    may_have_nulls = not recorded.has_null_count or recorded.null_count > 0 or arrow.types.is_floating(kind)  # NaN
    try:
        if not recorded.has_min_max or arrow.types.is_boolean(kind):
            return Statistics(low=None, high=None, bounded=False, may_have_nulls=may_have_nulls)
        ends = arrow.array([recorded.min, recorded.max], type=kind)
        low, high = _array_keys(arrow, ends)
    except (KeyValueError, arrow.ArrowException, TypeError, ValueError, OverflowError):
        return Statistics(low=None, high=None, bounded=False, may_have_nulls=may_have_nulls)
    return Statistics(low=low, high=high, bounded=low is not None and high is not None, may_have_nulls=may_have_nulls)


def column_keys(table: ArrowTable, column: str) -> list[Key]:
    """The typed keys of a column.

    Raises:
        KeyValueError: the column is nested or of a kind that can't be a key.
    """
    arrow = require_pyarrow()
    return _array_keys(arrow, table.column(column).combine_chunks())


def _array_keys(arrow: Any, array: Any) -> list[Key]:
    types = arrow.types
    kind = array.type
    if types.is_dictionary(kind):
        array = array.cast(kind.value_type)
        kind = array.type
    if types.is_timestamp(kind):
        zoned, unit_ns = kind.tz is not None, _UNIT_NS[kind.unit]
        return _moments(array.cast(arrow.int64()), unit_ns, zoned=zoned)
    if types.is_date32(kind):
        return _moments(array.cast(arrow.int32()), _DAY_NS, zoned=False)
    if types.is_date64(kind):
        return _moments(array.cast(arrow.int64()), 10**6, zoned=False)
    if types.is_nested(kind) or types.is_temporal(kind):
        raise KeyValueError(f"values of type {kind} can't be a sharding key")
    keys: list[Key] = array.to_pylist()
    return keys


def _moments(array: Any, unit_ns: int, *, zoned: bool) -> list[Key]:
    return [None if count is None else Moment(count * unit_ns, zoned) for count in array.to_pylist()]


def matching_rows(table: ArrowTable, column: str, test: Callable[[object], bool]) -> ArrowTable:
    """The rows whose key passes, in order; the test runs once per distinct value.

    Raises:
        KeyValueError: a value can't be a key of this kind.
    """
    arrow = require_pyarrow()
    encoded = table.column(column).combine_chunks()
    if arrow.types.is_nested(encoded.type):
        raise KeyValueError(f"values of type {encoded.type} can't be a sharding key")
    if not arrow.types.is_dictionary(encoded.type):
        encoded = encoded.dictionary_encode()
    verdicts = [test(key) for key in _array_keys(arrow, encoded.dictionary)]
    null_verdict = test(None) if encoded.null_count else False
    mask = arrow.array(verdicts, type=arrow.bool_()).take(encoded.indices).fill_null(null_verdict)
    return table.filter(mask)


def table_of_rows(rows: list[Any], columns: Sequence[str] | None) -> ArrowTable:
    """An Arrow table of CSV or JSON records.

    Raises:
        InputError: the values of a member have no common Arrow type.
    """
    arrow = require_pyarrow()
    try:
        if columns is not None:
            return arrow.table({name: arrow.array([row[name] for row in rows], arrow.string()) for name in columns})
        return arrow.Table.from_pylist(rows)
    except (arrow.ArrowException, TypeError) as error:
        raise InputError(f"these records have no common Arrow types ({error}); use batch.records") from error


def rows_of_table(table: ArrowTable) -> list[dict[str, Any]]:
    """The table's rows as Python values.

    Raises:
        InputError: Python has no such value, such as a time beyond the year 9999.
    """
    try:
        rows: list[dict[str, Any]] = table.to_pylist()
    except (ValueError, OverflowError) as error:  # Arrow's own errors are ValueErrors
        raise InputError(f"a value of these records is none of Python's ({error}); use batch.table") from error
    return rows
