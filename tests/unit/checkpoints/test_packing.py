"""Packs: few small parts ride in the manifest, others share objects of a good size."""

import random

from hypothesis import given
from hypothesis import strategies as st

from spotproof.checkpoints.codec import as_it_is, compress, decompress
from spotproof.checkpoints.packing import Packer

NOISE = random.Random(5).randbytes(100_000)


def packer(*, inline_max: int = 100, pack_max: int = 1000) -> Packer:
    return Packer(inline_max=inline_max, pack_max=pack_max, key_of=lambda number: f"d-{number:02d}")


def test_parts_that_are_small_together_ride_in_the_manifest() -> None:
    small = packer()
    handles = [small.add(as_it_is(NOISE[:60]), count=3), small.add(as_it_is(NOISE[60:100]))]

    assert small.seal() == []
    assert [handle.segment.inline_bytes for handle in handles] == [NOISE[:60], NOISE[60:100]]
    assert [(each.segment.key, each.segment.offset, each.segment.count) for each in handles] == [("", 0, 3), ("", 0, 0)]


def test_one_byte_more_puts_everything_into_one_object() -> None:
    more = packer()
    handles = [more.add(as_it_is(NOISE[:60])), more.add(as_it_is(NOISE[60:101]))]

    (pack,) = more.seal()

    assert pack.key == "d-00"
    assert pack.body == NOISE[:101]
    assert [(each.segment.key, each.segment.offset, each.segment.inline) for each in handles] == [
        ("d-00", 0, None),
        ("d-00", 60, None),
    ]


def test_a_part_that_is_bigger_than_a_pack_gets_an_object_of_its_own_without_a_copy() -> None:
    memory = memoryview(bytearray(NOISE))
    wide = packer()
    for part in (memory[:400], memory[:5000], memory[:400], memory[:600]):
        wide.add(as_it_is(part))

    packs = wide.seal()

    assert [pack.size_bytes for pack in packs] == [400, 5000, 1000]
    assert isinstance(packs[1].body, memoryview)
    assert packs[1].body.obj is memory.obj


def test_nothing_added_is_nothing_written() -> None:
    assert packer().seal() == []


@given(st.lists(st.integers(0, 1500), max_size=30), st.integers(0, 3000))
def test_every_part_is_found_where_its_segment_says(sizes: list[int], inline_max: int) -> None:
    some = packer(inline_max=inline_max)
    raws = [NOISE[index * 1500 : index * 1500 + size] for index, size in enumerate(sizes)]
    handles = [some.add(compress(raw)) for raw in raws]

    packs = {pack.key: bytes(pack.body) for pack in some.seal()}

    for raw, handle in zip(raws, handles, strict=True):
        segment = handle.segment
        stored = segment.inline_bytes
        if stored is None:
            stored = packs[segment.key][segment.offset : segment.offset + segment.size_bytes]
        assert decompress(segment, stored) == raw
    assert bool(packs) == (sum(handle.size_bytes for handle in handles) > inline_max)
    assert list(packs) == [f"d-{number:02d}" for number in range(len(packs))]
    alone = [raw for raw in raws if len(raw) > 1000]
    assert all(len(body) <= 1000 or body in alone for body in packs.values())
