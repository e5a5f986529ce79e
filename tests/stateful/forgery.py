"""Forged data: what damage, and authors who know our digests but not our rules, make of a checkpoint's bytes."""

import json
import random
from typing import Any, Final

from spotproof.checkpoints.manifest import SCHEMA, seal

PRINTABLE: Final = "abc019-_./\\é\x00\n ‮\ud800"
ODD: Final[tuple[Any, ...]] = (
    None, True, False, 0, 1, -1, 7, 2**31, 2**32, 2**40, 2**53, 2**63, 2**64, -(2**63), 10**30, 0.0, -0.5, 1e300, "", "0", "-1",
    "raw", "zstd", "file", "array", "tensors", "..", "/", "\x00", "f" * 32, "ff", "AAAA", "x" * 300, [], {}, [[]], [None] * 4,
    {"d": []}, "2026-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00",
)  # fmt: skip


def damaged(data: bytes, rng: random.Random, *, other: bytes) -> bytes:
    """The bytes after an accident; perhaps with a part of `other` bytes. Now and then they stay as they were."""
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        start = rng.randrange(len(found) + 1)
        match rng.randrange(6):
            case 0 | 1 if start < len(found):
                found[start] ^= 1 << rng.randrange(8)
            case 2:
                del found[start:]
            case 3:
                del found[start : start + rng.randrange(9)]
            case 4:
                found[start:start] = rng.randbytes(rng.randrange(9))
            case _:
                found[start : start + rng.randrange(1, 40)] = other[start : start + rng.randrange(1, 40)]
    return bytes(found)


def forged_manifest(data: bytes, rng: random.Random) -> bytes:
    """The manifest with other members, under a right digest."""
    body = json.loads(data)
    del body["root"]
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        body = forged(body, rng)
    if isinstance(body, dict) and rng.random() < 0.05:
        body["schema"] = SCHEMA + 1
    return seal(body) if isinstance(body, dict) else json.dumps(body).encode()


def forged_values(data: bytes, rng: random.Random) -> bytes:
    """JSON with other members."""
    body = json.loads(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        body = forged(body, rng)
    return json.dumps(body, separators=(",", ":")).encode()


def forged(body: Any, rng: random.Random) -> Any:
    """The JSON value with one part of it changed, moved or gone."""
    if not isinstance(body, dict | list) or not body or rng.random() < 0.1:
        return _other(body, rng)
    places: list[Any] = list(body) if isinstance(body, dict) else list(range(len(body)))
    place, changed = rng.choice(places), body.copy()
    match rng.randrange(12):
        case 0:
            del changed[place]
        case 1:
            other = rng.choice(places)
            changed[place], changed[other] = changed[other], changed[place]
        case 2 if isinstance(changed, list):
            changed.insert(rng.randrange(len(changed) + 1), rng.choice([changed[place], *ODD]))
        case 2 if isinstance(changed, dict):
            changed[rng.choice(["", "..", "x", _text(rng)])] = changed[place]
        case 3 if isinstance(changed, dict):
            changed[_changed_text(place, rng)] = changed.pop(place)
        case _:
            changed[place] = forged(changed[place], rng)
    return changed


def _other(value: Any, rng: random.Random) -> Any:
    match rng.randrange(4):
        case 0 | 1 if type(value) is int:
            return value + rng.choice((-1, 1, 4096, -4096, 2**20))
        case 0 | 1 if isinstance(value, str):
            return _changed_text(value, rng)
        case _:
            return rng.choice(ODD)


def _changed_text(text: str, rng: random.Random) -> str:
    start = rng.randrange(len(text) + 1)
    return text[:start] + _text(rng) + text[start + rng.randrange(3) :]


def _text(rng: random.Random) -> str:
    return "".join(rng.choice(PRINTABLE) for _ in range(rng.randrange(4)))
