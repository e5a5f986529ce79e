"""What every bucket must do for checkpoints and commits; run over each implementation."""

import random
from array import array
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from spotproof.checkpoints.store import Buffer, ObjectStore
from spotproof.errors import CheckpointCorruptError

SOME: Final = random.Random(1).randbytes(50_000)


class ObjectStoreContract:
    """Subclasses provide the fixture `objects`: a fresh, empty bucket."""

    def test_what_was_put_is_read_back_and_putting_again_replaces_it(self, objects: ObjectStore) -> None:
        objects.put("a/b", b"first")
        objects.put("a/b", b"second \x00\xff")

        assert objects.get("a/b", size_max=100) == b"second \x00\xff"

    def test_an_empty_object_is_an_object(self, objects: ObjectStore) -> None:
        assert objects.put_if_absent("empty", b"")

        assert objects.get("empty", size_max=0) == b""

    def test_reading_what_is_not_there_gives_nothing(self, objects: ObjectStore) -> None:
        assert objects.get("nothing", size_max=100) is None
        assert objects.get_into("nothing", memoryview(bytearray(1))) is False
        assert objects.get_into("nothing", memoryview(bytearray())) is False
        assert objects.head("nothing") is None

    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
    def test_any_buffer_can_be_written(self, objects: ObjectStore, kind: type[Buffer]) -> None:
        objects.put("put", kind(SOME))
        assert objects.put_if_absent("created", kind(SOME))

        assert objects.get("put", size_max=len(SOME)) == SOME
        assert objects.get("created", size_max=len(SOME)) == SOME

    def test_memory_of_any_type_is_written_as_its_bytes(self, objects: ObjectStore) -> None:
        numbers = memoryview(array("d", [1.5, -2.0, 0.25]))
        rows = memoryview(bytes(range(12))).cast("B", (3, 4))

        objects.put("numbers", numbers)
        objects.put("rows", rows)

        assert objects.get("numbers", size_max=24) == numbers.tobytes()
        assert objects.get("rows", size_max=12) == bytes(range(12))

    def test_what_is_written_stays_when_its_memory_changes_afterwards(self, objects: ObjectStore) -> None:
        memory = bytearray(SOME)
        objects.put("k", memoryview(memory))
        memory[:] = bytes(len(memory))

        assert objects.get("k", size_max=len(SOME)) == SOME

    @pytest.mark.parametrize(("offset", "size_bytes"), [(0, len(SOME)), (0, 1), (4_000, 30_000), (len(SOME) - 1, 1)])
    def test_a_range_is_read_into_the_given_memory_and_nowhere_else(
        self, objects: ObjectStore, offset: int, size_bytes: int
    ) -> None:
        objects.put("k", SOME)
        memory = bytearray(size_bytes + 8)

        assert objects.get_into("k", memoryview(memory)[4:-4], offset=offset)

        assert memory == bytes(4) + SOME[offset : offset + size_bytes] + bytes(4)

    def test_memory_of_any_type_is_filled(self, objects: ObjectStore) -> None:
        numbers, found = array("d", [1.5, -2.0, 0.25]), array("d", [0.0] * 3)
        objects.put("k", memoryview(numbers))

        assert objects.get_into("k", memoryview(found))

        assert found == numbers

    def test_reading_nothing_tells_whether_there_is_an_object(self, objects: ObjectStore) -> None:
        objects.put("k", b"")

        assert objects.get_into("k", memoryview(bytearray()))

    @pytest.mark.parametrize(("offset", "wanted"), [(0, 11), (7, 4), (10, 1), (1000, 5)])
    def test_an_object_that_ends_before_the_range_is_corrupt(
        self, objects: ObjectStore, offset: int, wanted: int
    ) -> None:
        objects.put("k", b"0123456789")

        with pytest.raises(CheckpointCorruptError, match=f"k has {max(0, 10 - offset)} bytes from byte {offset} on"):
            objects.get_into("k", memoryview(bytearray(wanted)), offset=offset)

    def test_many_threads_read_and_write_at_once(self, objects: ObjectStore) -> None:
        def round_trip(number: int) -> bool:
            data, found = SOME[number:], bytearray(len(SOME) - number)
            objects.put(f"many/{number}", memoryview(data))
            return objects.get_into(f"many/{number}", memoryview(found)) and found == data

        with ThreadPoolExecutor(8) as threads:
            assert all(threads.map(round_trip, range(64)))

    def test_only_the_first_writer_of_a_key_wins(self, objects: ObjectStore) -> None:
        assert objects.put_if_absent("k", b"first")
        assert not objects.put_if_absent("k", b"second")
        assert not objects.put_if_absent("k", b"first")

        assert objects.get("k", size_max=100) == b"first"

    def test_an_object_larger_than_expected_is_corrupt(self, objects: ObjectStore) -> None:
        objects.put("k", b"x" * 101)

        with pytest.raises(CheckpointCorruptError, match="101 bytes, more than the 100"):
            objects.get("k", size_max=100)

    def test_files_are_written_with_type_and_metadata(self, objects: ObjectStore, tmp_path: Path) -> None:
        path = tmp_path / "data"
        path.write_bytes(b"x" * 70_000)

        assert objects.put_if_absent("k", path, content_type="text/plain", metadata={"sha256": "00ff"})

        facts = objects.head("k")
        assert facts is not None
        assert (facts.key, facts.size_bytes, dict(facts.metadata)) == ("k", 70_000, {"sha256": "00ff"})
        assert facts.etag.startswith('"')
        assert objects.get("k", size_max=70_000) == path.read_bytes()

    def test_a_listing_holds_exactly_the_prefix_in_key_order(self, objects: ObjectStore) -> None:
        for key in ("run-1/b", "run-1/a/c", "run-10/a", "run-2"):
            objects.put(key, key.encode())

        assert [(each.key, each.size_bytes) for each in objects.list("run-1/")] == [("run-1/a/c", 9), ("run-1/b", 7)]
        assert list(objects.list("run-3/")) == []

    def test_listing_and_deleting_go_past_a_thousand(self, objects: ObjectStore) -> None:
        keys = [f"many/{number:05d}" for number in range(1005)]
        for key in keys:
            objects.put(key, b"")

        assert [each.key for each in objects.list("many/")] == keys
        objects.delete_many(iter(keys[:-1]))

        assert [each.key for each in objects.list("many/")] == keys[-1:]

    def test_deleting_what_is_not_there_is_fine(self, objects: ObjectStore) -> None:
        objects.put("kept", b"")

        objects.delete_many(["gone", "gone-too"])
        objects.delete_many([])

        assert [each.key for each in objects.list("")] == ["kept"]


class RacingWritesContract:
    """Of a bucket that decides by itself who was first: moto's, in our own process, looks first and writes later."""

    def test_of_racing_writers_of_a_key_one_wins(self, objects: ObjectStore) -> None:
        with ThreadPoolExecutor(16) as writers:
            won = list(writers.map(lambda writer: objects.put_if_absent("k", b"%d" % writer), range(16)))

        assert won.count(True) == 1
        assert objects.get("k", size_max=2) == b"%d" % won.index(True)
