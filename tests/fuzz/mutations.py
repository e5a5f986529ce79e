"""Bad input from good: damage, odd values where others stood, words that mean something to somebody."""

import json
import random
from collections.abc import Sequence
from typing import Any, Final

from tests.stateful.forgery import ODD, damaged, forged

WORDS: Final = (
    "", " ", "\0", "\n", "\r\n", "\x1b[2J", "\u202e", "\ud800", "é", "e\u0301", "\U0001f4a5", "٣", "0x10", "1_000", "-0", "+1",
    "0", "1", "-1", "00", "9" * 20, "9" * 400, "9" * 5000, "1e400", "1e-400", "nan", "inf", "-inf", "true", "null", "None",
    "..", ".", "/", "//", "../", "../../etc/passwd", "/etc/passwd", "C:\\x", "a/../b", "%2e%2e", "%00", "~", "*", "?", "[", "${X}",
    "$(id)", "`id`", ";", "|", "&&", "'", '"', "\\", "#", "=", ",", ":", "{", "}", "{}", "[]", "<script>", "{{7*7}}", "x" * 300,
    "A" * 5000, "auto", "s3://", "s3://b/k", "arn:aws:iam::123456789012:role/x", "i-1234567890abcdef0", "2026-11-22T12:00:00Z",
    "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-11-22", "24:00", "America/New_York", "CON", "._",
)  # fmt: skip
NUMBERS: Final = (
    "0", "1", "-1", "2", "7", "255", "1000000", "2147483648", "9007199254740993", "9223372036854775808", "1E+125", "-1E+125",
    "1E-130", "0.5", "-0.5", "1e3", "99999999999999999999999999999999999999",
)  # fmt: skip
DEEP: Final = 3000  # levels of nesting: more than Python's recursion takes


def bytes_mutation(data: bytes, rng: random.Random, other: bytes) -> bytes:
    """Accidents; now and then many bytes of one kind."""
    if rng.random() < 0.02:
        return rng.choice((b"", b"[" * (DEEP * 40), b'{"a":' * DEEP, b"\x00" * 5000, b"\xff" * 999, b"1" * 5000))
    return damaged(data, rng, other=other)


def json_mutation(data: bytes, rng: random.Random, other: bytes) -> bytes:
    """JSON with other members, or damaged JSON."""
    if rng.random() < 0.3:
        return bytes_mutation(data, rng, other)
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        return bytes_mutation(data, rng, other)
    return json.dumps(value_mutation(body, rng, None)).encode()


def json_text_mutation(text: str, rng: random.Random, other: str) -> str:
    """As `json_mutation`, of text."""
    return json_mutation(text.encode("utf-8", "surrogatepass"), rng, other.encode("utf-8", "surrogatepass")).decode(
        "utf-8", "replace"
    )


def value_mutation(value: Any, rng: random.Random, _other: Any) -> Any:
    """A JSON value with one to four parts changed, moved or gone."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        value = forged(value, rng)
        if rng.random() < 0.2:
            value = _replaced_leaf(value, rng)
    return value


def text_mutation(text: str, rng: random.Random, other: str) -> str:
    """Text with words of trouble, pieces of another text, pieces gone or repeated."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        start = rng.randrange(len(text) + 1)
        stop = min(len(text), start + rng.randrange(8))
        match rng.randrange(6):
            case 0 | 1:
                text = text[:start] + rng.choice(WORDS) + text[stop:]
            case 2:
                text = text[:start] + text[stop:]
            case 3:
                text = text[:start] + chr(rng.choice((rng.randrange(0x80), rng.randrange(0x3000)))) + text[start:]
            case 4:
                text = text[:start] + other[rng.randrange(len(other) + 1) :][:20] + text[stop:]
            case _:
                text = text[:stop] + text[start:stop] * rng.choice((1, 2, 50)) + text[stop:]
    return text


def words_mutation(words: Sequence[str], rng: random.Random, other: Sequence[str]) -> list[str]:
    """A command line with words changed, added, doubled, gone or in another order."""
    changed = list(words)
    for _ in range(rng.choice((1, 1, 2, 3))):
        place = rng.randrange(len(changed) + 1)
        match rng.randrange(6):
            case 0 if place < len(changed):
                del changed[place]
            case 1 if other:
                changed.insert(place, rng.choice(list(other)))
            case 2:
                changed.insert(place, rng.choice(WORDS))
            case 3:
                rng.shuffle(changed)
            case _ if place < len(changed):
                changed[place] = text_mutation(changed[place], rng, rng.choice(WORDS))
    return changed


def mapping_mutation(values: dict[str, str], rng: random.Random, other: dict[str, str]) -> dict[str, str]:
    """Texts by name, such as an environment, with some changed, gone or under another name."""
    changed = dict(values)
    for _ in range(rng.choice((1, 1, 2, 3))):
        name = rng.choice(sorted({*changed, *other}) or [""])
        match rng.randrange(5):
            case 0:
                changed.pop(name, None)
            case 1:
                changed[name] = rng.choice(WORDS)
            case 2:
                changed[text_mutation(name, rng, "")] = changed.get(name, "")
            case _:
                changed[name] = text_mutation(changed.get(name, ""), rng, other.get(name, ""))
    return changed


def item_mutation(item: dict[str, Any], rng: random.Random, other: dict[str, Any]) -> dict[str, Any]:
    """A DynamoDB item with attributes of other types and contents, gone, or from elsewhere; still one that can exist."""
    changed = dict(item)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        name = rng.choice(sorted({*changed, *other}) or ["x"])
        match rng.randrange(6):
            case 0:
                changed.pop(name, None)
            case 1 if name in other:
                changed[name] = other[name]
            case 2 | 3 if name in changed:
                changed[name] = _attribute_like(changed[name], rng)
            case _:
                changed[name] = _attribute(rng)
    return changed


def _replaced_leaf(value: Any, rng: random.Random) -> Any:
    """One leaf, anywhere, becomes a word of trouble."""
    if isinstance(value, dict) and value:
        name = rng.choice(list(value))
        return {**value, name: _replaced_leaf(value[name], rng)}
    if isinstance(value, list) and value:
        place = rng.randrange(len(value))
        return [*value[:place], _replaced_leaf(value[place], rng), *value[place + 1 :]]
    return rng.choice((*WORDS, *ODD))


def _attribute(rng: random.Random) -> dict[str, Any]:
    match rng.randrange(9):
        case 0 | 1:
            return {"S": _storable(rng)}
        case 2 | 3:
            return {"N": rng.choice(NUMBERS)}
        case 4:
            return {"NS": rng.sample(NUMBERS, rng.randrange(1, 4))}
        case 5:
            return {"L": [_attribute(rng) for _ in range(rng.randrange(3))]}
        case 6:
            return {"M": {_storable(rng): _attribute(rng) for _ in range(rng.randrange(3))}}
        case 7:
            return {"BOOL": rng.random() < 0.5}
        case _:
            return rng.choice(({"NULL": True}, {"B": rng.randbytes(4)}, {"SS": ["a", "b"]}))


def _attribute_like(attribute: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """Another value of the same type."""
    [(kind, content)] = attribute.items()
    match kind:
        case "S":
            return {"S": text_mutation(content, rng, "").encode("utf-8", "replace").decode()}
        case "N":
            return {"N": rng.choice(NUMBERS)}
        case "NS":
            return {"NS": rng.sample(NUMBERS, rng.randrange(1, 6))}
        case "L" if content:
            place = rng.randrange(len(content))
            return {"L": [*content[:place], _attribute_like(content[place], rng), *content[place + 1 :]]}
        case "M" if content:
            return {"M": item_mutation(content, rng, {})}
        case _:
            return _attribute(rng)


def _storable(rng: random.Random) -> str:
    """DynamoDB stores UTF-8: no lone surrogates."""
    return rng.choice(WORDS).encode("utf-8", "replace").decode()
