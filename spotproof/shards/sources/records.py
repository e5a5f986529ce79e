"""Records of text, CSV and JSON lines, each with the place of its end."""

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from spotproof.errors import InputError
from spotproof.shards.model import InputFormat, InputPart
from spotproof.shards.sources.lines import Line, LineSource
from spotproof.shards.sources.objects import InputObjects
from spotproof.shards.values import KeyValueError

csv.field_size_limit(256 * 1024**2)  # the csv module's own limit of 128 KiB is per process; lines.py bounds memory
_BOM: Final = b"\xef\xbb\xbf"
_UNCLOSED: Final = "\x00 end of data"
HEADER_BYTES_MAX: Final = 1024**2
Row = str | dict[str, Any]


class Record(NamedTuple):
    row: Row | None  # None: the record does not count
    start: int
    stop: int  # where the next record's line starts


class Selection(NamedTuple):
    """Which records count: those whose value in `column` passes `test`. Absent and empty CSV values are None."""

    column: str
    test: Callable[[Any], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvHeader:
    columns: tuple[str, ...]
    stop: int  # first byte after the header line


def delimiter_of(input_format: InputFormat) -> str:
    return "\t" if input_format is InputFormat.TSV else ","


def read_header(head: bytes, part: InputPart, input_format: InputFormat) -> CsvHeader | None:
    """The header of a CSV object: its first line, always. None for an empty object.

    Raises:
        InputError: too long, not UTF-8, spans lines, or names a column twice.
    """
    if not head:
        return None
    uri = part.pin.uri
    end = head.find(b"\n") + 1 or len(head)
    if end >= HEADER_BYTES_MAX:
        raise InputError(f"{uri}: its header line is longer than {HEADER_BYTES_MAX} bytes; is this CSV?")
    text = _decode(head[:end].removeprefix(_BOM), uri, 0)
    if opens_quote(text, delimiter_of(input_format)):
        raise InputError(f"{uri}: its header has a line break within quotes; write the header on one line")
    columns = next(csv.reader([text], delimiter=delimiter_of(input_format)), [])
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if not columns or twice:
        problem = f"names {twice[0]!r} twice" if twice else "is empty"
        raise InputError(f"{uri}: its header {problem}; give every column its own name")
    return CsvHeader(columns=tuple(columns), stop=end)


def read_object_header(objects: InputObjects, part: InputPart, input_format: InputFormat) -> CsvHeader | None:
    """The header line of the CSV object that `part` is of, in one request for headers below 16 KiB."""
    source = LineSource(objects=objects, part=part)
    for size_bytes in (16 * 1024, HEADER_BYTES_MAX):
        head = source.head(size_bytes)
        if b"\n" in head or len(head) < size_bytes:
            break
    return read_header(head, part, input_format)


def check_column(uri: str, column: str, columns: tuple[str, ...]) -> None:
    """Refuse a column that an object does not have.

    Raises:
        InputError: lists the columns there are.
    """
    if column not in columns:
        raise InputError(f"{uri} has no column {column!r}; its columns: {', '.join(columns)}")


def opens_quote(line: str, delimiter: str) -> bool:
    """Whether a quoted field of this CSV line goes on in the next line."""
    if '"' not in line:
        return False
    reader = csv.reader([line, "\n"], delimiter=delimiter)
    try:
        next(reader)
    except csv.Error:
        return False  # reported when the line is read
    return reader.line_num > 1


def records(
    source: LineSource,
    part: InputPart,
    input_format: InputFormat,
    header: CsvHeader | None,
    *,
    at: int | None = None,
    selection: Selection | None = None,
) -> Iterator[Record]:
    """Records of a part, from its start or from `at`, the end of another record; all of them, with row None if not
    selected.

    Raises:
        InputError: a record can't be read; names object and byte.
        InputChangedError: the object is not the one that was planned.
    """
    match input_format:
        case InputFormat.TEXT:
            return _text_records(source.lines(at), part)
        case InputFormat.JSONL:
            return _json_records(source.lines(at), part, selection)
        case InputFormat.CSV | InputFormat.TSV if header is not None:
            first = header.stop if at is None and part.start == 0 else at
            return _csv_records(source.lines(first), part, header, delimiter_of(input_format), selection)
        case _:
            return iter(())


def _decode(data: bytes, uri: str, offset: int) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{uri}: byte {offset + error.start} is not UTF-8; convert the object to UTF-8") from error


def _content(line: Line) -> bytes:
    data = line.data.removesuffix(b"\n").removesuffix(b"\r")
    return data.removeprefix(_BOM) if line.start == 0 else data


def _text_records(lines: Iterator[Line], part: InputPart) -> Iterator[Record]:
    for line in lines:
        yield Record(_decode(_content(line), part.pin.uri, line.start), line.start, line.stop)


def _json_records(lines: Iterator[Line], part: InputPart, selection: Selection | None) -> Iterator[Record]:
    """One JSON object per line; lines of white space are skipped."""
    uri = part.pin.uri
    for line in lines:
        text = _decode(_content(line), uri, line.start)
        if not text.strip():
            continue
        try:
            row = json.loads(text)
        except (ValueError, RecursionError) as error:
            problem = str(error) or "too deeply nested"
            raise InputError(f"{uri}: the line at byte {line.start} is not JSON ({problem}); repair it") from error
        if not isinstance(row, dict):
            raise InputError(f"{uri}: the line at byte {line.start} is not a JSON object but {type(row).__name__}")
        counts = selection is None or _passes(selection, row.get(selection.column), uri, line.start)
        yield Record(row if counts else None, line.start, line.stop)


def _passes(selection: Selection, value: Any, uri: str, start: int) -> bool:
    try:
        return selection.test(value)
    except KeyValueError as error:
        raise key_error(uri, f"record at byte {start}", selection.column, error) from error


class _CsvFeed:
    """Gives the csv module its lines and knows where the last one given starts and ends."""

    def __init__(self, lines: Iterator[Line], uri: str) -> None:
        self._lines = lines
        self._uri = uri
        self.given = 0  # lines since the last record
        self.exhausted = False
        self.start = 0
        self.stop = 0

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            if not self.given:
                self.start = line.start
            self.given += 1
            self.stop = line.stop
            yield _decode(line.data, self._uri, line.start)
        self.exhausted = True
        if self.given:  # a record is still open: let the csv module take it, so that we see it
            yield _UNCLOSED


def _csv_records(
    lines: Iterator[Line], part: InputPart, header: CsvHeader, delimiter: str, selection: Selection | None
) -> Iterator[Record]:
    """Rows of CSV. A line break within quotes is read in whole objects and refused in ranges of an object.

    The refusal is what keeps a cut object from being read wrong: the range that holds the opening quote always ends
    in it.
    """
    uri = part.pin.uri
    feed = _CsvFeed(lines, uri)
    columns, width = header.columns, len(header.columns)
    key_at = 0 if selection is None else columns.index(selection.column)
    reader = csv.reader(feed, delimiter=delimiter)
    while True:
        feed.given = 0
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise InputError(f"{uri}: the CSV record at byte {feed.start} is malformed ({error}); repair it") from error
        if (feed.exhausted or feed.given > 1) and not part.whole:
            raise InputError(
                f"{uri}: the record at byte {feed.start} has a line break within quotes, so this object can't be cut "
                "into ranges; use shard_by=objects"
            )
        if feed.exhausted:
            raise InputError(f"{uri}: the quote opened in the record at byte {feed.start} is never closed; repair it")
        if not fields:
            continue  # a blank line
        if len(fields) != width:
            raise InputError(f"{uri}: the record at byte {feed.start} has {len(fields)} fields, the header has {width}")
        if selection is not None and not _passes(selection, fields[key_at] or None, uri, feed.start):
            yield Record(None, feed.start, feed.stop)
            continue
        yield Record(dict(zip(columns, fields, strict=True)), feed.start, feed.stop)


def key_error(pin_uri: str, place: str, column: str, error: KeyValueError) -> InputError:
    return InputError(f"{pin_uri}: {place}, column {column!r}: {error}; repair it or shard by another column")
