"""Folders of a state: what a save carries of them, what comes back, and what is refused."""

import errno
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spotproof.checkpoints.directory_entries import find_flaw, flaw_in_link
from spotproof.checkpoints.directory_files import SMALL_BYTES, STAYS_BIG_BYTES
from spotproof.checkpoints.engine import CheckpointEngine, Saved
from spotproof.checkpoints.in_memory import InMemoryObjectStore
from spotproof.checkpoints.state import State
from spotproof.checkpoints.state_directory import LISTINGS
from spotproof.checkpoints.workshop import Workshop
from spotproof.errors import CheckpointError, ScratchFullError, UnsavableValueError
from spotproof.leases.model import CheckpointPointer
from tests.unit.checkpoints.builders import accept, make_engine

BIG = 3 * SMALL_BYTES


class Host:
    """Workers one after the other over one bucket, each with a disk of its own."""

    def __init__(self, tmp_path: Path) -> None:
        self.objects = InMemoryObjectStore()
        self.pointer: CheckpointPointer | None = None
        self.tokens = 0
        self._tmp_path = tmp_path
        self.engine: CheckpointEngine
        self.state: State

    def start(self) -> Path:
        """A new worker; its folder `work`."""
        self.tokens += 1
        scratch = self._tmp_path / f"host-{self.tokens}"
        scratch.mkdir()
        self.engine = make_engine(self.objects, self.tokens, workshop=Workshop(scratch_dir=str(scratch)))
        restored = self.engine.restore(self.pointer)
        self.fell_back = restored.fell_back
        self.state = restored.state
        return self.state.directory("work")

    def save(self) -> Saved | None:
        saved = self.engine.save(self.state, record=accept)
        if saved is not None:
            self.pointer = saved.pointer
        return saved


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def listing(root: Path) -> dict[str, Any]:
    """Everything below a folder: kind, permissions, time of change, content."""
    found: dict[str, Any] = {}
    for path in sorted(root.rglob("*")):
        status, name = path.lstat(), path.relative_to(root).as_posix()
        if path.is_symlink():
            found[name] = ("link", os.readlink(path))
        elif path.is_dir():
            found[name] = ("folder", status.st_mode & 0o7777)
        else:
            found[name] = ("file", status.st_mode & 0o7777, status.st_mtime_ns, path.read_bytes())
    return found


def fill(root: Path) -> None:
    (root / "empty").mkdir(mode=0o750)
    (root / "deep/er").mkdir(parents=True)
    (root / "deep/er/small").write_bytes(b"progress")
    (root / "deep/er/small").chmod(0o640)
    (root / "big").write_bytes(random.Random(1).randbytes(BIG))
    (root / "big").chmod(0o600)
    (root / "run.sh").write_bytes(b"#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    (root / "nothing").write_bytes(b"")
    (root / "latest").symlink_to("deep/er/small")
    (root / "deep/up").symlink_to("../big")
    (root / "b\udcff\n").write_bytes(b"a name that is no text")
    os.utime(root / "big", ns=(1, 1_700_000_000_123_456_789))


def test_the_next_worker_finds_the_folder_as_it_was_saved(host: Host) -> None:
    work = host.start()
    fill(work)
    before = listing(work)
    host.save()

    again = host.start()

    assert again != work
    assert listing(again) == before


def test_what_was_deleted_stays_deleted_and_what_changed_is_the_newest(host: Host) -> None:
    work = host.start()
    fill(work)
    host.save()
    work = host.start()
    (work / "deep/er/small").unlink()
    (work / "big").unlink()
    (work / "empty").rmdir()
    (work / "latest").unlink()
    (work / "run.sh").write_bytes(b"#!/bin/bash\n")
    before = listing(work)
    host.save()

    assert listing(host.start()) == before
    assert not [name for name in host.state.images if "big" in name]


def test_nothing_changed_writes_nothing(host: Host) -> None:
    fill(host.start())
    host.save()

    assert host.save() is None
    host.start()
    assert host.save() is None


def test_of_a_big_file_only_changed_blocks_travel(host: Host) -> None:
    work = host.start()
    (work / "big").write_bytes(random.Random(1).randbytes(40 * SMALL_BYTES))
    whole = host.save()
    with (work / "big").open("r+b") as file:
        file.seek(SMALL_BYTES)
        file.write(b"changed")

    part = host.save()

    assert whole is not None
    assert part is not None
    assert part.size_bytes < 4096 < 30 * SMALL_BYTES < whole.size_bytes


def test_a_file_grows_and_shrinks_between_small_and_big(host: Host) -> None:
    work = host.start()
    sizes = [10, SMALL_BYTES, SMALL_BYTES + 1, STAYS_BIG_BYTES + 1, STAYS_BIG_BYTES, 0, BIG, 5]
    seen = []
    for size in sizes:
        (work / "file").write_bytes(random.Random(size).randbytes(size))
        before = listing(work)
        host.save()
        seen.append("file/work/file" in host.state.images)
        work = host.start()
        assert listing(work) == before

    assert seen == [False, False, True, True, False, False, True, False]


def test_a_file_that_becomes_a_folder_and_back(host: Host) -> None:
    work = host.start()
    (work / "x").write_bytes(bytes(BIG))
    host.save()
    work = host.start()
    (work / "x").unlink()
    (work / "x").mkdir()
    (work / "x/y").write_bytes(random.Random(2).randbytes(BIG))
    host.save()
    work = host.start()
    assert (work / "x/y").read_bytes() == random.Random(2).randbytes(BIG)
    (work / "x/y").unlink()
    (work / "x").rmdir()
    (work / "x").write_bytes(b"a file again")
    host.save()

    assert (host.start() / "x").read_bytes() == b"a file again"


def test_links_are_never_followed(host: Host, tmp_path: Path) -> None:
    work = host.start()
    (work / "loop").symlink_to(".")
    (work / "dangling").symlink_to("nowhere")
    host.save()

    assert listing(host.start()) == {"loop": ("link", "."), "dangling": ("link", "nowhere")}


@pytest.mark.parametrize("target", ["/etc/passwd", "..", "../../x", "a/../../x", "deep/../.."])
def test_a_link_that_may_lead_out_is_refused_by_name(host: Host, target: str) -> None:
    work = host.start()
    (work / "link").symlink_to(target)

    with pytest.raises(UnsavableValueError, match="'link' is a link to") as refused:
        host.save()

    assert "\n" not in str(refused.value)
    (work / "link").unlink()
    (work / "fine").write_bytes(b"1")
    assert host.save() is not None  # nothing is left of the save that failed


def test_sockets_and_pipes_are_left_out(host: Host) -> None:
    work = host.start()
    os.mkfifo(work / "pipe")
    (work / "file").write_bytes(b"1")
    host.save()

    assert list(listing(host.start())) == ["file"]


def test_a_big_file_with_a_name_that_is_no_text_is_refused(host: Host) -> None:
    work = host.start()
    (work / "b\udcff").write_bytes(bytes(BIG))

    with pytest.raises(UnsavableValueError, match="more than 64 KiB"):
        host.save()


def test_what_can_not_be_read_is_refused_by_name(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    (host.start() / "secret").write_bytes(b"1")

    def refuse(path: str, *_: Any) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr("spotproof.checkpoints.directory_files.os.open", refuse)
    with pytest.raises(
        UnsavableValueError, match=r"cannot read 'secret': Permission denied; let its owner read it"
    ) as no:
        host.save()

    assert no.value.__cause__ is None  # the shard's error is this text, not the system's


def test_read_only_folders_come_back(host: Host) -> None:
    work = host.start()
    (work / "locked").mkdir()
    (work / "locked/file").write_bytes(b"1")
    (work / "locked").chmod(0o555)
    host.save()

    again = host.start()

    assert listing(again)["locked"] == ("folder", 0o555)
    assert (again / "locked/file").read_bytes() == b"1"


def test_several_folders_and_files_stand_side_by_side(host: Host) -> None:
    host.start()
    output = host.state.directory("output")
    (output / "a").write_bytes(b"1")
    (output / "b").write_bytes(bytes(BIG))
    host.state.file("other").write_bytes(b"2")
    host.save()

    host.start()

    assert (host.state.directory("output") / "a").read_bytes() == b"1"
    assert (host.state.directory("output") / "b").read_bytes() == bytes(BIG)
    assert host.state.file("other").read_bytes() == b"2"


@pytest.mark.parametrize("name", ["", ".", "/tmp", "a/../b", "work/below", "wo\\rk", "above"])
def test_names_that_lead_out_or_overlap_are_refused(tmp_path: Path, name: str) -> None:
    state = State(workshop=Workshop(scratch_dir=str(tmp_path)))
    state.directory("work")
    state.directory("above/below")

    with pytest.raises(UnsavableValueError):
        state.directory(name)


def test_files_below_a_folder_belong_to_it(tmp_path: Path) -> None:
    state = State(workshop=Workshop(scratch_dir=str(tmp_path)))
    state.directory("work")

    with pytest.raises(UnsavableValueError, match="saves what is in it already"):
        state.file("work/below")


def test_a_file_of_the_state_is_not_swallowed_by_a_folder(tmp_path: Path) -> None:
    state = State(workshop=Workshop(scratch_dir=str(tmp_path)))
    state.file("work/a.sqlite")

    with pytest.raises(UnsavableValueError, match=r"overlaps with 'work/a.sqlite'"):
        state.directory("work")


def test_the_map_of_a_listing_is_not_the_jobs(tmp_path: Path) -> None:
    with pytest.raises(UnsavableValueError, match=r"state\.directory"):
        State(workshop=Workshop(scratch_dir=str(tmp_path))).map("directory/work")


def test_writers_are_held_still_during_the_look_and_only_then(host: Host) -> None:
    moments: list[str] = []

    @contextmanager
    def still() -> Iterator[None]:
        moments.append("stopped")
        (folder / "big").write_bytes(b"\1" * BIG)  # the last write before the world stands still
        yield
        moments.append("going on")

    host.start()
    folder = host.state.directory("program", still=still)
    assert host.save() is not None
    assert moments == ["stopped", "going on"]

    host.start()
    assert (host.state.directory("program") / "big").read_bytes() == b"\1" * BIG


def test_a_save_whose_writers_can_not_be_held_takes_nothing_and_the_next_takes_all(host: Host) -> None:
    failures = [CheckpointError("could not be paused")]

    @contextmanager
    def still() -> Iterator[None]:
        if failures:
            raise failures.pop()
        yield

    host.start()
    folder = host.state.directory("program", still=still)
    (folder / "file").write_bytes(b"1")
    with pytest.raises(CheckpointError, match="paused"):
        host.save()

    assert host.save() is not None
    host.start()
    assert (host.state.directory("program") / "file").read_bytes() == b"1"


@pytest.mark.parametrize(
    ("path", "entry"),
    [
        ("../out", ("file", 0o644, 0, b"x")),
        ("/etc/x", ("file", 0o644, 0, b"x")),
        ("a//b", ("file", 0o644, 0, b"x")),
        ("a/b", ("file", 0o644, 0, b"x")),  # a is no folder
        ("nul\0", ("file", 0o644, 0, b"x")),
        ("\ud800", ("file", 0o644, 0, b"x")),
        ("n" * 256, ("file", 0o644, 0, b"x")),
        (5, ("file", 0o644, 0, b"x")),
        ("x", ("file", 0o10000, 0, b"x")),
        ("x", ("file", 0o644, 2**70, b"x")),
        ("x", ("file", 0o644, 0, "text")),
        ("x", ("folder", -1)),
        ("x", ("device", 0o644)),
        ("x", "file"),
        ("x", ("big", 0o644, 0)),  # without an image
        ("x", ("link", "/etc/passwd")),
        ("x", ("link", "a/../..")),
        ("x", ("link", "")),
    ],
)
def test_a_forged_listing_is_never_restored(host: Host, path: Any, entry: Any) -> None:
    (host.start() / "good").write_bytes(b"1")
    host.save()
    host.state.maps[f"{LISTINGS}work"][path] = entry
    host.state._directories.clear()  # nobody looks at the disk, which would mend the listing
    forged = host.save()
    assert forged is not None

    work = host.start()

    assert host.fell_back is not None
    assert "can't be restored" in host.fell_back
    assert list(listing(work)) == ["good"]  # the generation before


def test_content_without_an_entry_is_not_restored(host: Host) -> None:
    (host.start() / "big").write_bytes(bytes(BIG))
    host.save()
    del host.state.maps[f"{LISTINGS}work"]["big"]
    host.state._directories.clear()
    host.save()

    host.start()

    assert host.fell_back is not None
    assert "has content, but is no entry" in host.fell_back


def test_a_disk_that_takes_no_file_is_full(host: Host) -> None:
    (host.start() / "file").write_bytes(b"1")
    host.save()
    engine = make_engine(host.objects, 9, workshop=Workshop(scratch_dir=str(host._tmp_path)))
    state = engine.restore(host.pointer).state
    (state._workshop.folder / "state").mkdir()
    (state._workshop.folder / "state/work").write_bytes(b"in the way")

    with pytest.raises(ScratchFullError, match="cannot restore"):
        state.directory("work")


FOLDERS = ("d", "d/e", "d/e/f")
PARTS = st.sampled_from(["d", "e", "f", "x", "y", "..", "..", ".", ""])
PLACES = st.sampled_from([f"{folder}{name}" for folder in ("", "d/", "d/e/", "d/e/f/") for name in "xy"])


@given(st.dictionaries(PLACES, st.lists(PARTS, min_size=1, max_size=6).map("/".join)))
@example({"d/e/f/x": "../../..", "d/y": "e/f/x/.."})
@settings(max_examples=200, deadline=None)
def test_no_set_of_accepted_links_leads_out(tmp_path_factory: pytest.TempPathFactory, links: dict[str, str]) -> None:
    root = tmp_path_factory.mktemp("tree").resolve() / "in"
    for folder in FOLDERS:
        (root / folder).mkdir(parents=True)
    accepted = [path for path, target in links.items() if flaw_in_link(path, target) is None]
    for path in accepted:
        (root / path).symlink_to(links[path])

    for path in accepted:
        if not is_circular(root / path):
            assert (root / path).resolve().is_relative_to(root), links


def is_circular(link: Path) -> bool:
    try:
        link.stat()
    except OSError as error:
        return error.errno == errno.ELOOP
    return False


def test_an_untouched_listing_has_no_flaw(host: Host) -> None:
    fill(host.start())
    host.save()
    entries = dict(host.state.maps[f"{LISTINGS}work"])

    assert find_flaw(entries, {"big"}) is None
