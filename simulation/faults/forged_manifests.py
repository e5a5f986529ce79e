"""Manifests that no worker ever wrote, under a right digest: each must be refused, or mean the same as before."""

import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

Forgery = Callable[[dict[str, Any], random.Random], bool]
HUGE: Final = 2**45
ELSEWHERE: Final = "../../../../tmp/anything"


def _other_place(body: dict[str, Any], _rng: random.Random) -> bool:
    """It claims to be of another shard."""
    body["shard"] += 1
    return True


def _other_number(body: dict[str, Any], _rng: random.Random) -> bool:
    body["seq"] += 1
    return True


def _foreign_object(body: dict[str, Any], rng: random.Random) -> bool:
    """A segment's key leads out of the shard's folder."""
    return _change_segment(body, rng, place=0, value="../00000000/00000001/d/000000000001-0-00", inline=False)


def _bomb(body: dict[str, Any], rng: random.Random) -> bool:
    """A small segment claims to unpack to terabytes."""
    return _change_segment(body, rng, place=3, value=HUGE)


def _far_offset(body: dict[str, Any], rng: random.Random) -> bool:
    return _change_segment(body, rng, place=1, value=HUGE)


def _escaping_file(body: dict[str, Any], _rng: random.Random) -> bool:
    """A file of the state lies outside of its folder."""
    files = [name for name in sorted(body["images"]) if name.startswith("file/")]
    if not files:
        return False
    body["images"][f"file/{ELSEWHERE}"] = body["images"].pop(files[0])
    return True


def _endless_image(body: dict[str, Any], rng: random.Random) -> bool:
    if not body["images"]:
        return False
    body["images"][rng.choice(sorted(body["images"]))]["length"] = HUGE
    return True


def _unordered_chain(body: dict[str, Any], _rng: random.Random) -> bool:
    chains = [image["deltas"] for _, image in sorted(body["images"].items()) if len(image["deltas"]) > 1]
    for chain in chains:
        chain.reverse()
    return bool(chains)


def _own_parent(body: dict[str, Any], _rng: random.Random) -> bool:
    body["parent"] = "checkpoints/nobody"
    return True


def _code(body: dict[str, Any], _rng: random.Random) -> bool:
    """A serializer that would run what it reads."""
    body["serializer"] = "pickle/1"
    return True


FORGERIES: Final[Mapping[str, Forgery]] = {
    "another shard's": _other_place,
    "another number": _other_number,
    "another folder's object": _foreign_object,
    "decompression bomb": _bomb,
    "offset beyond any object": _far_offset,
    "file outside of its folder": _escaping_file,
    "image beyond any memory": _endless_image,
    "deltas in another order": _unordered_chain,
    "parent that is no manifest": _own_parent,
    "unknown serializer": _code,
}


def _change_segment(
    body: dict[str, Any], rng: random.Random, *, place: int, value: object, inline: bool = True
) -> bool:
    """Change one member of one segment; `inline`: also of such whose bytes ride in the manifest."""
    try:
        segments = [each for each in _segments(body) if inline or len(each) == 7]
    except (KeyError, TypeError, ValueError, IndexError):
        return False  # forged before: it has not its own shape any more
    if not segments:
        return False
    rng.choice(segments)[place] = value
    return True


def _segments(body: dict[str, Any]) -> Iterator[list[Any]]:
    if body["values"] is not None:
        yield body["values"]
    for _, each in sorted(body["maps"].items()):
        yield from (each["base"], *each["deltas"])
    for _, image in sorted(body["images"].items()):
        yield from (segment for _, segment in image["slices"] if segment is not None)
        yield from (segment for delta in image["deltas"] for segment in delta[3])
