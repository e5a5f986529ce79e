"""Files of a shard's output: names, scratch disk, and what is kept."""

import contextlib
import errno
import io
from pathlib import Path

import pytest

from spotproof.commits.names import check_file_name, file_name, index_of, value_name
from spotproof.commits.output import OutputWriter, ScratchFile
from spotproof.errors import OutputValueError, ScratchFullError


@pytest.fixture
def writer(tmp_path: Path) -> OutputWriter:
    return OutputWriter(index=7, scratch_dir=str(tmp_path))


def test_files_are_collected_by_name_with_their_digests(writer: OutputWriter) -> None:
    with writer.open("plots/b.csv") as file:
        file.write(b"1,2\n")
    with writer.open("a") as file:
        assert file.seekable()

    files = writer.files()

    assert [(each.name, each.size_bytes, each.content_type) for each in files] == [
        ("part-00000007/a", 0, "application/octet-stream"),
        ("part-00000007/plots/b.csv", 4, "text/csv; charset=utf-8"),
    ]
    assert isinstance(files[1].content, Path)
    assert files[1].content.read_bytes() == b"1,2\n"
    assert files[0].sha256 == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_a_file_whose_block_fails_is_not_part_of_the_output_and_may_be_written_again(writer: OutputWriter) -> None:
    with contextlib.suppress(KeyError), writer.open("a") as file:
        file.write(b"half")
        raise KeyError("user code")
    assert writer.files() == []

    with writer.open("a") as file:
        file.write(b"whole")

    assert [each.size_bytes for each in writer.files()] == [5]


def test_a_name_is_written_once(writer: OutputWriter) -> None:
    with writer.open("a"), pytest.raises(OutputValueError, match="opened before"), writer.open("a"):
        pass

    with pytest.raises(OutputValueError, match="opened before"), writer.open("a"):
        pass


def test_a_file_still_open_at_the_end_is_an_error_that_names_it(writer: OutputWriter) -> None:
    with writer.open("a"), pytest.raises(OutputValueError, match="'a' is still open"):
        writer.files()


def test_the_writer_knows_that_it_was_used_and_removes_its_traces(writer: OutputWriter, tmp_path: Path) -> None:
    assert not writer.started
    with writer.open("a"):
        assert writer.started
    assert list(tmp_path.iterdir())

    writer.discard()
    writer.discard()

    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_called_a_full_disk() -> None:
    full = io.BufferedWriter(ScratchFile("/dev/full", "wb"))
    full.write(b"x")

    with pytest.raises(ScratchFullError, match="scratch disk is full at /dev/full: give the job more"):
        full.flush()
    with pytest.raises(ScratchFullError):
        full.close()


def test_a_disk_too_full_for_a_folder_is_called_a_full_disk(
    writer: OutputWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(**_: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tempfile.mkdtemp", full)

    with pytest.raises(ScratchFullError), writer.open("a"):
        pass


@pytest.mark.parametrize(
    "name",
    ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/", "./a", "a\x00b", "a\nb", "a\\b", "\ud800", "_SUCCESS", "a/_SUCCESS/b",
     "é" * 257, "x" * 513, None, 7, b"a", "a\u202eb"],
)  # fmt: skip
def test_unusable_names_are_refused(name: object, writer: OutputWriter, tmp_path: Path) -> None:
    with pytest.raises(OutputValueError), writer.open(name):  # type: ignore[arg-type]
        pass

    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a", "x" * 512, "é" * 256, "deep/er/plot.png", "..hidden", "a b", "SUCCESS", "日本"])
def test_usable_names_are_kept_as_they_are(name: str) -> None:
    assert check_file_name(name) == name


def test_names_tell_their_shard() -> None:
    assert index_of(value_name(7, "json")) == 7
    assert index_of(file_name(123456789, "a/b")) == 123456789
    for other in (
        "_SUCCESS",
        "part-7.json",
        "part-00000007",
        "part-00000007/",
        "x/part-00000007.json",
        "part-00000007.json/x",
        "part-00000007x/y",
    ):
        assert index_of(other) is None, other
