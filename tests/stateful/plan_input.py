"""Input objects as rows, with every name and key that has ever made trouble."""

import csv
import io
import json
from dataclasses import dataclass
from typing import Any, Final

from hypothesis import strategies as st

Key = str | int | None


@dataclass(frozen=True, slots=True)
class Row:
    key: Key
    serial: int  # unique over the whole history: tells one record from all others


FORMATS: Final = ("jsonl", "csv", "txt")
FOLDER: Final = "in/"
SEEN: Final = (
    "a",
    "b b",
    "ü+%2B",
    "日本/🎉",
    "é",
    "e\u0301",  # the same letter to the eye
    "day=1/_part=2",
    "sub/c",
    "sub/d",
)
HIDDEN: Final = ("_tmp", ".x", "sub/_part/c", "_temporary/0/d")
KEYS: Final = ("a", "A", "é", "e\u0301", "日本", "", "10", "9", "010", "z" * 600, 'q"u,o', "🎉")
OTHER_KEYS: Final = (None, 1, 10, -1)  # JSON has more than text

names: Final = st.sampled_from((*SEEN, *SEEN, *HIDDEN))
# Few keys many times over: what a range boundary must not cut.
key_lists: Final = st.lists(st.integers(0, len(KEYS) + len(OTHER_KEYS) - 1), max_size=12)


def object_key(name: str, extension: str) -> str:
    return f"{FOLDER}{name}.{extension}"


def is_seen(key: str) -> bool:
    """Whether a key is data: no part of its path below the input hides it."""
    parts = key.removeprefix(FOLDER).split("/")
    return not any(part[0] in "._" and "=" not in part for part in parts)


def key_of(number: int, extension: str) -> Key:
    keys = (*KEYS, *OTHER_KEYS) if extension == "jsonl" else KEYS
    return keys[number % len(keys)]


def encode(rows: list[Row], extension: str, *, ends_with_newline: bool) -> bytes:
    """The object's bytes; an object without rows may still have a header."""
    file = io.StringIO()
    if extension == "csv":
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("k", "v"))
        writer.writerows((row.key, row.serial) for row in rows)
    for row in rows:
        if extension == "jsonl":
            file.write(json.dumps({"k": row.key, "v": row.serial}, ensure_ascii=row.serial % 2 == 0) + "\n")
        elif extension == "txt":
            file.write(f"{row.serial} {row.key}\r\n" if row.serial % 3 == 0 else f"{row.serial} {row.key}\n")
    text = file.getvalue()
    return (text if ends_with_newline else text.removesuffix("\n")).encode()


def serial_of(record: Any) -> int:
    """Which row a record is."""
    return int(record["v"]) if isinstance(record, dict) else int(record.split(" ", 1)[0])
