"""Pages and blocks against a naive implementation on bytes."""

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spotproof.checkpoints.memory import rows
from spotproof.checkpoints.memory.pages import (
    BLOCK,
    BLOCKS_PER_PAGE,
    PAGE,
    Bytes8,
    Numbers,
    Piece,
    apply_blocks,
    changed_blocks,
    changed_pages,
    copy_blocks,
    copy_range,
    padded,
    xor_blocks,
)
from tests.unit.checkpoints.memory.images import BATCH, Example, cut, differing, examples


def numbers(*values: int) -> Numbers:
    return np.array(values, np.int64)


def some_of(count: int, *, seed: int) -> Numbers:
    """A sorted selection: scattered, or all."""
    random = np.random.default_rng(seed)
    return np.flatnonzero(random.random(count) < random.choice([0.02, 0.3, 0.9, 1.0]))


@settings(deadline=None)
@given(examples())
def test_changed_pages_are_exactly_those_that_differ(example: Example) -> None:
    found = changed_pages(example.pieces, example.shadow)

    assert found.tolist() == differing(example.padded_live, example.shadow.tobytes(), PAGE)
    assert found.dtype == np.int64


@settings(deadline=None)
@given(examples(), st.integers(0, BATCH // PAGE + 6), st.integers(0, BATCH // PAGE + 6))
def test_changed_pages_of_a_range_are_those_of_the_whole_within_it(example: Example, a: int, b: int) -> None:
    first, stop = sorted(min(n, len(example.shadow) // PAGE) for n in (a, b))

    found = changed_pages(example.pieces, example.shadow, first_page=first, pages=stop - first)

    everything = differing(example.padded_live, example.shadow.tobytes(), PAGE)
    assert found.tolist() == [page for page in everything if first <= page < stop]


@settings(deadline=None)
@given(examples(), st.integers(0, 99))
def test_changed_blocks_are_exactly_those_of_the_pages_that_differ(example: Example, seed: int) -> None:
    pages = some_of(len(example.shadow) // PAGE, seed=seed)

    found = changed_blocks(example.pieces, example.shadow, pages)

    asked = set(pages.tolist())
    everything = differing(example.padded_live, example.shadow.tobytes(), BLOCK)
    assert found.tolist() == [block for block in everything if block // BLOCKS_PER_PAGE in asked]
    assert found.dtype == np.int64


@settings(deadline=None)
@given(examples(), st.integers(0, 99))
def test_copied_blocks_are_the_live_bytes_and_zero_past_the_length(example: Example, seed: int) -> None:
    blocks = some_of(len(example.shadow) // BLOCK, seed=seed)
    out = np.full(len(blocks) * BLOCK, 77, np.uint8)

    copy_blocks(example.pieces, blocks, out)

    assert out.tobytes() == b"".join(example.padded_live[n * BLOCK :][:BLOCK] for n in blocks.tolist())


@settings(deadline=None)
@given(examples(), st.integers(0, BATCH), st.integers(0, 3 * PAGE))
def test_a_copied_range_is_the_live_bytes_and_zero_past_the_length(example: Example, start: int, size: int) -> None:
    out = np.full(size, 77, np.uint8)

    copy_range(example.pieces, start, start + size, out)

    assert out.tobytes() == example.live[start : start + size].ljust(size, b"\0")


@settings(deadline=None)
@given(examples(), st.integers(0, 99))
def test_xor_of_the_changes_applied_to_the_shadow_gives_the_live_bytes(example: Example, seed: int) -> None:
    blocks = changed_blocks(example.pieces, example.shadow, changed_pages(example.pieces, example.shadow))
    extra = some_of(len(example.shadow) // BLOCK, seed=seed)  # blocks that did not change may travel too
    blocks = np.union1d(blocks, extra)
    delta = np.empty(len(blocks) * BLOCK, np.uint8)
    copy_blocks(example.pieces, blocks, delta)

    xor_blocks(delta, example.shadow, blocks)
    apply_blocks(example.shadow, blocks, delta)

    assert example.shadow.tobytes() == example.padded_live


@settings(deadline=None)
@given(examples(), st.integers(0, 99))
def test_applying_changes_the_named_blocks_only(example: Example, seed: int) -> None:
    memory = example.shadow
    before = memory.copy()
    blocks = some_of(len(memory) // BLOCK, seed=seed)
    data = np.full(len(blocks) * BLOCK, 0x5A, np.uint8)

    apply_blocks(memory, blocks, data)

    expected = before.reshape(-1, BLOCK)
    expected[blocks] ^= 0x5A
    assert memory.tobytes() == expected.tobytes()
    assert (data == 0x5A).all()


def test_every_byte_of_a_page_counts() -> None:
    live = bytes(PAGE)
    for at in range(0, PAGE, 37):
        shadow = np.zeros(PAGE, np.uint8)
        shadow[at] = 1

        assert changed_pages(cut(live, []), shadow).tolist() == [0]
        assert changed_blocks(cut(live, []), shadow, numbers(0)).tolist() == [at // BLOCK]


def test_memory_rewritten_from_end_to_end_but_for_one_page_is_told_exactly() -> None:
    pages = 6 * BATCH // PAGE
    live = np.full(pages * PAGE, 1, np.uint8)
    same, late = pages - 5, pages - 4
    live[same * PAGE :][: 2 * PAGE] = 0
    live[late * PAGE + PAGE - 1] = 1  # its first words are equal: a probe alone would miss it
    shadow = np.zeros(pages * PAGE, np.uint8)

    found = changed_pages([Piece(offset=0, data=live)], shadow)

    assert found.tolist() == [page for page in range(pages) if page != same]


def test_thousands_of_small_pieces_are_one_image() -> None:
    live = bytes(range(256)) * 120
    pieces = cut(live, list(range(0, len(live), 13)))
    shadow = np.zeros(padded(len(live)), np.uint8)
    shadow[: len(live)] = np.frombuffer(live, np.uint8)
    shadow[9999] ^= 1

    assert changed_pages(pieces, shadow).tolist() == [9999 // PAGE]
    assert changed_blocks(pieces, shadow, numbers(0, 2, 3)).tolist() == [9999 // BLOCK]


def test_no_pages_and_no_blocks_are_no_work() -> None:
    nothing = np.empty(0, np.uint8)

    assert changed_pages([], nothing).tolist() == []
    assert changed_blocks([], nothing, numbers()).tolist() == []
    copy_blocks([], numbers(), nothing)
    xor_blocks(nothing, nothing, numbers())
    apply_blocks(nothing, numbers(), nothing)


def outside(image: Bytes8) -> dict[str, Callable[[], object]]:
    pieces, block = [Piece(offset=0, data=image)], np.zeros(BLOCK, np.uint8)
    return {
        "pages": lambda: changed_pages(pieces, image, first_page=1, pages=1),
        "pages before": lambda: changed_pages(pieces, image, first_page=-1, pages=1),
        "blocks": lambda: changed_blocks(pieces, image, numbers(1)),
        "blocks before": lambda: changed_blocks(pieces, image, numbers(-1, 0)),
        "copy": lambda: copy_blocks(pieces, numbers(-1), block),
        "range": lambda: copy_range(pieces, -1, BLOCK - 1, block),
        "range of another size": lambda: copy_range(pieces, 0, PAGE, block),
        "xor": lambda: xor_blocks(block, image, numbers(BLOCKS_PER_PAGE)),
        "xor before": lambda: xor_blocks(block, image, numbers(-1)),
        "apply": lambda: apply_blocks(image, numbers(BLOCKS_PER_PAGE), block),
        "apply before": lambda: apply_blocks(image, numbers(-1), block),
    }


@pytest.mark.parametrize("call", list(outside(np.zeros(PAGE, np.uint8))))
def test_a_number_outside_the_image_is_refused(call: str) -> None:
    image = np.zeros(PAGE, np.uint8)

    with pytest.raises(IndexError):
        outside(image)[call]()

    assert not image.any()


def test_work_needs_no_more_than_four_mebibytes_besides_its_result() -> None:
    live = np.zeros(64 << 20, np.uint8)
    shadow = np.zeros(64 << 20, np.uint8)
    live[::5000] = 1
    pieces = [Piece(offset=0, data=live)]

    rows._idle.clear()  # warm buffers of earlier tests would not count
    tracemalloc.start()
    try:
        pages = changed_pages(pieces, shadow)
        blocks = changed_blocks(pieces, shadow, pages)
        apply_blocks(shadow, blocks[:1000], np.zeros(1000 * BLOCK, np.uint8))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert len(blocks) == len(live) // 5000 + 1
    assert peak < 4 << 20
