"""What every bucket must do for checkpoints and commits; run over each implementation."""

from pathlib import Path

import pytest

from spotproof.checkpoints.store import ObjectStore
from spotproof.errors import CheckpointCorruptError


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
        assert objects.head("nothing") is None

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
