"""The listed input of a run, and the pieces that its objects can be cut into."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from spotproof.shards.model import InputFormat, InputPart, ObjectPin
from spotproof.shards.sources.lines import LineSource
from spotproof.shards.sources.objects import InputObjects
from spotproof.shards.sources.parquet import ParquetObject, RowGroup
from spotproof.shards.sources.records import delimiter_of, opens_quote

QUOTE_PROBE_BYTES: Final = 4 * 1024**2  # of a CSV object about to be cut, searched for line breaks within quotes


@dataclass(frozen=True, slots=True, kw_only=True)
class InputObject:
    pin: ObjectPin
    gzip: bool

    @property
    def part(self) -> InputPart:
        """The whole object."""
        return InputPart(pin=self.pin, start=0, stop=self.pin.size_bytes, gzip=self.gzip)


@dataclass(kw_only=True)
class PlannedInput:
    """What strategies cut: objects of one format, in key order.

    Footers and probes are fetched when first needed and kept, so that cutting twice gives the same shards.
    """

    objects: InputObjects
    uri: str
    format: InputFormat
    items: tuple[InputObject, ...]
    _row_groups: dict[str, tuple[RowGroup, ...]] = field(default_factory=dict)
    _cuttable: dict[str, bool] = field(default_factory=dict)

    @cached_property
    def size_bytes(self) -> int:
        return sum(item.pin.size_bytes for item in self.items)

    def row_groups(self, pin: ObjectPin) -> tuple[RowGroup, ...]:
        """Row groups of a Parquet object."""
        groups = self._row_groups.get(pin.key)
        if groups is None:
            groups = self._row_groups[pin.key] = ParquetObject(objects=self.objects, pin=pin).row_groups()
        return groups

    def can_cut(self, item: InputObject) -> bool:
        """Whether lines can be read from the middle of the object on.

        Not so for gzip, and not for CSV in whose first bytes a quoted field spans lines.
        """
        if item.gzip or not self.format.has_lines:
            return False
        if self.format not in (InputFormat.CSV, InputFormat.TSV):
            return True
        known = self._cuttable.get(item.pin.key)
        if known is None:
            head = LineSource(objects=self.objects, part=item.part).head(QUOTE_PROBE_BYTES)
            known = self._cuttable[item.pin.key] = not has_quoted_break(head, delimiter_of(self.format))
        return known

    def pieces(self, size_bytes: int) -> Iterator[InputPart]:
        """The input in order: ranges of about `size_bytes` of lines, single row groups, or whole objects."""
        for item in self.items:
            if self.format is InputFormat.PARQUET:
                yield from row_group_parts(item.pin, self.row_groups(item.pin))
            elif item.pin.size_bytes > size_bytes and self.can_cut(item):
                yield from ranges(item.pin, size_bytes)
            elif item.pin.size_bytes or self.format is InputFormat.ANY:
                yield item.part


def has_quoted_break(head: bytes, delimiter: str) -> bool:
    """Whether a complete line of `head` ends within quotes."""
    if b'"' not in head:
        return False
    lines = head[: head.rfind(b"\n") + 1].split(b"\n")[:-1]
    return any(b'"' in line and opens_quote(line.decode("utf-8", "replace") + "\n", delimiter) for line in lines)


def ranges(pin: ObjectPin, size_bytes: int) -> Iterator[InputPart]:
    """Equal byte ranges, none larger than `size_bytes`, that cover the object."""
    count = -(-pin.size_bytes // size_bytes)
    for number in range(count):
        start, stop = pin.size_bytes * number // count, pin.size_bytes * (number + 1) // count
        yield InputPart(pin=pin, start=start, stop=stop)


def row_group_parts(pin: ObjectPin, groups: tuple[RowGroup, ...]) -> Iterator[InputPart]:
    """One part per row group that has rows."""
    for group in groups:
        if group.rows:
            yield InputPart(pin=pin, start=group.start, stop=group.stop, row_groups=(group.number,))
