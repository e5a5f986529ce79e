"""The law of lines: a line belongs to the range in which its first byte lies, whatever the bytes and the cuts."""

import gzip
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spotproof.errors import InputError
from spotproof.shards.model import InputFormat, InputPart, ObjectPin
from spotproof.shards.sources import lines as lines_module
from spotproof.shards.sources.lines import LineSource
from spotproof.shards.sources.planned_input import has_quoted_break, ranges
from spotproof.shards.sources.records import opens_quote, read_header, records


class BytesInMemory:
    """Input objects whose one object is these bytes."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.reads: list[tuple[int, int]] = []

    def read(self, pin: ObjectPin, start: int, stop: int) -> bytes:
        self.reads.append((start, stop))
        return self.body[start:stop]


def pin_of(body: bytes) -> ObjectPin:
    return ObjectPin(bucket="b", key="k", etag='"e"', size_bytes=len(body))


def source_of(body: bytes, part: InputPart, block_bytes: int = 1 << 20) -> LineSource:
    objects: Any = BytesInMemory(body)
    return LineSource(objects=objects, part=part, block_bytes=block_bytes)


def whole(body: bytes, *, compressed: bool = False) -> InputPart:
    return InputPart(pin=pin_of(body), start=0, stop=len(body), gzip=compressed)


LINE_BYTES = st.lists(st.sampled_from([b"", b"a", b"bc\r", b"\xc3\xa4", b"x" * 40, b"\0", b"\r"]), max_size=20)


@given(
    lines=LINE_BYTES, final=st.booleans(), size=st.integers(1, 70), block=st.integers(1, 50), overrun=st.integers(1, 9)
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_ranges_share_out_all_lines_for_any_bytes_cuts_and_blocks(
    monkeypatch: pytest.MonkeyPatch, lines: list[bytes], final: bool, size: int, block: int, overrun: int
) -> None:
    monkeypatch.setattr(lines_module, "OVERRUN_BYTES", overrun)
    body = b"\n".join(lines) + (b"\n" if final else b"")
    *ended, last = body.split(b"\n")
    expected = [line + b"\n" for line in ended] + ([last] if last else [])

    found = [(part, line) for part in ranges(pin_of(body), size) for line in source_of(body, part, block).lines()]

    assert [line.data for _, line in found] == expected
    assert all(part.start <= line.start < part.stop for part, line in found)
    assert all(body[line.start : line.stop] == line.data for _, line in found)


@given(lines=LINE_BYTES, size=st.integers(1, 70), block=st.integers(1, 50))
def test_lines_go_on_exactly_behind_any_of_them(lines: list[bytes], size: int, block: int) -> None:
    body = b"\n".join(lines)
    for part in ranges(pin_of(body), size):
        every = list(source_of(body, part, block).lines())
        for number, line in enumerate(every):
            assert list(source_of(body, part, block).lines(line.stop)) == every[number + 1 :]


def test_resuming_reads_nothing_before_the_cursor() -> None:
    body = b"line\n" * 1000
    objects: Any = BytesInMemory(body)
    source = LineSource(objects=objects, part=whole(body), block_bytes=100)

    next(source.lines(2500))

    assert objects.reads == [(2500, 2600)]


def test_a_range_reads_little_beyond_its_end() -> None:
    body = b"x" * 99 + b"\n"
    objects: Any = BytesInMemory(body * 10_000)
    part = InputPart(pin=pin_of(objects.body), start=0, stop=1050)

    assert len(list(LineSource(objects=objects, part=part).lines())) == 11
    assert max(stop for _, stop in objects.reads) <= 1050 + lines_module.OVERRUN_BYTES


@given(
    lines=LINE_BYTES,
    members=st.integers(1, 3),
    block=st.integers(1, 60),
    padding=st.sampled_from([b"", b"\0" * 7]),
)
def test_gzip_members_are_one_stream_of_lines(lines: list[bytes], members: int, block: int, padding: bytes) -> None:
    body = b"".join(line + b"\n" for line in lines)
    packed = gzip.compress(body, mtime=0) * members + padding
    source = source_of(packed, whole(packed, compressed=True), block)

    assert b"".join(line.data for line in source.lines()) == body * members


def test_a_gzip_cursor_counts_uncompressed_bytes() -> None:
    body = b"".join(b"%d\n" % number for number in range(100_000))
    packed = gzip.compress(body, mtime=0)
    at = body.index(b"77777\n")

    assert next(source_of(packed, whole(packed, compressed=True)).lines(at)).data == b"77777\n"


@pytest.mark.parametrize("cut", [1, 9, 11, 30])
def test_gzip_that_is_cut_off_is_an_error_that_names_the_object(cut: int) -> None:
    packed = gzip.compress(random.Random(1).randbytes(200), mtime=0)[:-cut]

    with pytest.raises(InputError, match=r"s3://b/k is cut off"):
        list(source_of(packed, whole(packed, compressed=True)).lines())


def test_damaged_gzip_is_an_error_that_names_the_object() -> None:
    packed = bytearray(gzip.compress(b"abc\n" * 500, mtime=0))
    packed[-6] ^= 1

    with pytest.raises(InputError, match=r"s3://b/k is damaged gzip"):
        list(source_of(bytes(packed), whole(bytes(packed), compressed=True)).lines())


def test_a_line_without_end_is_refused_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_module, "LINE_BYTES_MAX", 1000)
    body = b"x" * 5000

    with pytest.raises(InputError, match="line at byte 0 is longer than 1000 bytes"):
        list(source_of(body, whole(body), 100).lines())


FIELDS = st.text(st.sampled_from("a,\"'ü \t;"), max_size=6)


@given(rows=st.lists(st.tuples(FIELDS, FIELDS), max_size=15), crlf=st.booleans(), size=st.integers(1, 60))
def test_csv_ranges_share_out_all_rows_and_read_the_header_again(
    rows: list[tuple[str, str]], crlf: bool, size: int
) -> None:
    end = "\r\n" if crlf else "\n"
    text = f"one,two{end}" + "".join(f"{_quoted(one)},{_quoted(two)}{end}" for one, two in rows)
    body = text.encode()
    header = read_header(body, whole(body), InputFormat.CSV)

    found = [
        record.row
        for part in ranges(pin_of(body), size)
        for record in records(source_of(body, part), part, InputFormat.CSV, header)
    ]

    assert found == [{"one": one, "two": two} for one, two in rows]


def _quoted(field: str) -> str:
    doubled = field.replace('"', '""')
    return f'"{doubled}"'


@pytest.mark.parametrize(
    ("line", "opens"),
    [
        ('a,"b\n', True),
        ('a,"b"\n', False),
        ('a,"b""\n', True),
        ('a,b"c\n', False),
        ('"a,b",c\n', False),
        ('"\n', True),
        ("a,b\n", False),
    ],
)
def test_open_quotes_are_recognised(line: str, opens: bool) -> None:
    assert opens_quote(line, ",") is opens


def test_only_complete_lines_of_a_probe_can_show_a_quoted_break() -> None:
    assert has_quoted_break(b'a,"b\nc"\n', ",")
    assert not has_quoted_break(b'a,"b"\nc,"cut off', ",")


def csv_rows(body: bytes, part: InputPart) -> list[Any]:
    header = read_header(body, part, InputFormat.CSV)
    return [record.row for record in records(source_of(body, part), part, InputFormat.CSV, header)]


def test_a_quoted_line_break_is_read_in_a_whole_object() -> None:
    body = b'a,b\n1,"two\nlines"\n\n3,4\n'

    assert csv_rows(body, whole(body)) == [{"a": "1", "b": "two\nlines"}, {"a": "3", "b": "4"}]


@pytest.mark.parametrize("cut", range(5, 18))
def test_a_quoted_line_break_in_a_cut_object_is_refused_by_some_range_wherever_the_cut_is(cut: int) -> None:
    body = b'a,b\n1,"two\nlines"\n3,4\n'
    parts = [
        InputPart(pin=pin_of(body), start=0, stop=cut),
        InputPart(pin=pin_of(body), start=cut, stop=len(body)),
    ]

    with pytest.raises(InputError, match=r"record at byte 4 has a line break within quotes.*shard_by=objects"):
        [csv_rows(body, part) for part in parts]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b'a,b\n1,"2\n', "quote opened in the record at byte 4 is never closed"),
        (b"a,b\n1,2\n1\n", "record at byte 8 has 1 fields, the header has 2"),
        (b"a,b\n1,\xff\n", "byte 6 is not UTF-8"),
        (b"a,b\n1,2\rx\n", "record at byte 4 is malformed"),
        (b"a,a\n", "names 'a' twice"),
        (b"\n1\n", "header is empty"),
        (b'"a\nb"\n', "header has a line break"),
    ],
)
def test_malformed_csv_is_an_error_that_names_object_and_place(body: bytes, problem: str) -> None:
    with pytest.raises(InputError, match=problem) as raised:
        csv_rows(body, whole(body))

    assert str(raised.value).startswith("s3://b/k: ")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b'{"a":1}\n{"a":\n', "line at byte 8 is not JSON"),
        (b"[1]\n", "line at byte 0 is not a JSON object but list"),
        (b'{"a":"\xff"}\n', "byte 6 is not UTF-8"),
        (b"[" * 100_000, "line at byte 0 is not JSON"),
    ],
)
def test_malformed_json_lines_are_errors_that_name_object_and_place(body: bytes, problem: str) -> None:
    part = whole(body)

    with pytest.raises(InputError, match=problem):
        list(records(source_of(body, part), part, InputFormat.JSONL, None))


def test_byte_order_marks_and_white_space_lines_are_no_data() -> None:
    body = b'\xef\xbb\xbf{"a":1}\r\n  \n{"a":2}'
    part = whole(body)

    assert [record.row for record in records(source_of(body, part), part, InputFormat.JSONL, None)] == [
        {"a": 1},
        {"a": 2},
    ]
    assert csv_rows(b"\xef\xbb\xbfa\n1\n", whole(b"\xef\xbb\xbfa\n1\n")) == [{"a": "1"}]


def test_fields_beyond_the_limit_of_the_csv_module_are_read() -> None:
    body = b"a\n" + b"x" * 200_000 + b"\n"

    assert len(csv_rows(body, whole(body))[0]["a"]) == 200_000
