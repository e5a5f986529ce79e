"""The fold of a simulated job, and where in the state it lives: all in a map, or parts of it in arrays, files, tensors."""

import os
import sys
import zlib
from array import array
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

KEYS: Final = ("a", "b", "ä", "鍵", "k 5")  # unicode on purpose (D8)
MODULUS: Final = 1_000_003
KINDS: Final = ("map", "array", "file", "tensors")  # of parts beside the map of totals
ENTRIES: Final = 300  # of the second map from the beginning: what changes in it is little beside it
LISTS: Final = 10  # of them, changed in place; whoever reads them is suspected to have changed them
CELLS: Final = 512  # of a key in array and file: its numbers fill a page
CELL_BYTES: Final = 8
WEIGHTS: Final = 300  # of a key in the tensors: their rows lie across pages
LOG_RECORDS: Final = 20  # after so many a log of another name begins
LOG_LINE: Final = "%d;" * 40 + "\n"  # long enough that logs reach several pages
Totals = dict[str, tuple[int, int, int]]


def parts_of(record: Mapping[str, Any]) -> tuple[int, int, int]:
    """What a record adds to its key's count, sum and mixture: they merge by +, + and + modulo, so that a lost or a
    doubled record shows."""
    number, value = int(record["id"]), int(record["value"])  # CSV has only text
    return 1, value, (number * 2_654_435_761 + 12_345) % MODULUS


def add(totals: Any, record: Mapping[str, Any]) -> None:
    """Fold one record into a plain mapping."""
    counted, added, mixture = parts_of(record)
    count, total, mixed = totals.get(record["key"], (0, 0, 0))
    totals[record["key"]] = (count + counted, total + added, (mixed + mixture) % MODULUS)


def merge(parts: Iterable[Mapping[str, Any]]) -> Totals:
    """The fold over several shards' outputs."""
    merged: Totals = {}
    for part in parts:
        for key, (count, total, mixed) in part.items():
            counted, totalled, mixture = merged.get(key, (0, 0, 0))
            merged[key] = (counted + count, totalled + total, (mixture + mixed) % MODULUS)
    return merged


class Fold:
    """One shard's, in a `spotproof` state. What an image keeps, the map has as 0."""

    def __init__(self, state: Any, *, keeps: frozenset[str], position: int) -> None:
        """`keeps`: kinds of parts that are kept besides the totals; `position`: records folded so far."""
        self._state = state
        self._totals = state.map("totals")
        self._map = MapPart(state) if "map" in keeps else None
        self._array = ArrayPart(state) if "array" in keeps else None
        self._file = FilePart(state, position) if "file" in keeps else None
        self._tensors = TensorPart(state) if "tensors" in keeps else None

    def add(self, records: Iterable[Mapping[str, Any]], *, position: int) -> None:
        """Fold a batch; `position`: records folded with it."""
        batch = list(records)
        for record in batch:
            counted, added, mixture = parts_of(record)
            key, number = record["key"], int(record["id"])
            count, total, mixed = self._totals.get(key, (0, 0, 0))
            if self._tensors is None:
                count += counted
            else:
                self._tensors.add(key, number)
            if self._array is None:
                mixed = (mixed + mixture) % MODULUS
            else:
                self._array.add(key, number, mixture)
            if self._file is None:
                total += added
            if self._map is not None:
                self._map.add(number, added)
            self._totals[key] = (count, total, mixed)
        if self._file is not None:
            self._file.add(batch, position)

    def result(self) -> Totals:
        """By key, sorted: the same wherever the parts are kept."""
        whole: Totals = {}
        for key, (count, total, mixed) in sorted(self._totals.items()):
            whole[key] = (
                count if self._tensors is None else self._tensors.count(key),
                total if self._file is None else self._file.total(key),
                mixed if self._array is None else self._array.mixed(key),
            )
        return whole

    def digest(self) -> int:
        """Of every byte of the state: one shard's state is the same whenever it has folded the same records."""
        digest = zlib.crc32(repr(sorted(self._totals.items())).encode())
        for part in (self._map, self._array, self._file, self._tensors):
            if part is not None:
                digest = part.digest(digest)
        return digest


class MapPart:
    """Entries that are updated, changed in place, added and removed; their order counts."""

    def __init__(self, state: Any) -> None:
        self._map = state.map("records")
        if not self._map:
            lists = {-number: [number] for number in range(ENTRIES - LISTS + 1, ENTRIES + 1)}
            self._map.update({-number: (number, "as it was") for number in range(1, ENTRIES + 1)} | lists)

    def add(self, number: int, value: int) -> None:
        self._map[number] = (number, value)
        self._map[-1 - number % (ENTRIES // 2)] = (number, "updated")
        self._map[-ENTRIES + number % LISTS].append(value)
        if number % 4 == 0:
            self._map.pop(number - 4, None)

    def digest(self, before: int) -> int:
        return zlib.crc32(repr(list(self._map.items())).encode(), before)


class ArrayPart:
    """Mixtures, each record's in a cell of its own or nearly so: changes lie scattered over the pages. One more row is
    written densely, so that its page travels whole now and then."""

    def __init__(self, state: Any) -> None:
        self._cells = state.array("cells", (len(KEYS) + 1, CELLS), "int64")

    def add(self, key: str, number: int, mixture: int) -> None:
        self._cells[KEYS.index(key), number * 97 % CELLS] += mixture
        self._cells[len(KEYS), [number * step % CELLS for step in (37, 101, 211)]] += number

    def mixed(self, key: str) -> int:
        return int(self._cells[KEYS.index(key)].sum()) % MODULUS

    def digest(self, before: int) -> int:
        return zlib.crc32(self._cells, before)


class FilePart:
    """Sums in a file that is written here and there and grows, and logs that come, grow and go."""

    def __init__(self, state: Any, position: int) -> None:
        self._state = state
        self._sums: Path = state.file("sums/by-key.bin")
        self._log_name = _log_name(position)
        self._log: Path = state.file(self._log_name)

    def add(self, batch: list[Mapping[str, Any]], position: int) -> None:
        self._change_log(_log_name(position))
        with os.fdopen(os.open(self._sums, os.O_RDWR | os.O_CREAT, 0o644), "r+b") as file:
            for record in batch:
                place = (KEYS.index(record["key"]) * CELLS + int(record["id"]) * 31 % CELLS) * CELL_BYTES
                file.seek(place)
                before = int.from_bytes(file.read(CELL_BYTES), sys.byteorder, signed=True)
                file.seek(place)
                file.write((before + int(record["value"])).to_bytes(CELL_BYTES, sys.byteorder, signed=True))
        with self._log.open("a", encoding="ascii") as log:
            log.writelines(LOG_LINE % ((int(record["id"]),) * 40) for record in batch)

    def total(self, key: str) -> int:
        first = KEYS.index(key) * CELLS * CELL_BYTES
        cells = array("q", _content(self._sums)[first : first + CELLS * CELL_BYTES])
        return sum(cells)

    def digest(self, before: int) -> int:
        return zlib.crc32(_content(self._log), zlib.crc32(_content(self._sums), before))

    def _change_log(self, name: str) -> None:
        if name == self._log_name:
            return
        self._state.forget_file(self._log_name)
        self._log.unlink(missing_ok=True)
        self._log_name, self._log = name, self._state.file(name)


class TensorPart:
    """Counts as a model's parameters, changed in place."""

    def __init__(self, state: Any) -> None:
        import numpy as np

        self._counts: Any = np.zeros(len(KEYS), np.int64)
        self._weights: Any = np.zeros((len(KEYS), WEIGHTS), np.float32)
        state.tensors("model", {"counts": self._counts, "weights": self._weights})

    def add(self, key: str, number: int) -> None:
        self._counts[KEYS.index(key)] += 1
        self._weights[KEYS.index(key), number % WEIGHTS] += 0.5

    def count(self, key: str) -> int:
        return int(self._counts[KEYS.index(key)])

    def digest(self, before: int) -> int:
        return zlib.crc32(self._weights, zlib.crc32(self._counts, before))


def _log_name(position: int) -> str:
    return f"log/{position // LOG_RECORDS}.txt"


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""
