"""`spotproof results`."""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotproof.commits.success import PublishedShard, QuarantinedShard, success_manifest
from spotproof.leases.model import OutputFile, Run, RunState
from spotproof_cli.downloads import relative_path
from tests.cli.conftest import World
from tests.cli.test_status import complete, end

CONTENT = {"part-00000000.parquet": b"zero" * 100, "part-00000001/plot.png": b"\x89PNG", "part-00000002.json": b""}


def publish(world: World, run: Run, **changes: Any) -> dict[str, Any]:
    """The run's objects and manifest below its output."""
    prefix = run.output_uri.removeprefix("s3://data-bucket/")
    for name, body in CONTENT.items():
        world.s3().put_object(Bucket="data-bucket", Key=prefix + name, Body=body)
    manifest = manifest_of(run, CONTENT) | changes
    world.s3().put_object(Bucket="data-bucket", Key=f"{prefix}_SUCCESS", Body=json.dumps(manifest).encode())
    return manifest


def manifest_of(run: Run, content: dict[str, bytes]) -> dict[str, Any]:
    """As the finalizer writes it, one shard for each object."""
    files = [
        OutputFile(name=name, staged_key="staged", sha256=hashlib.sha256(body).hexdigest(), size_bytes=len(body))
        for name, body in content.items()
    ]
    published = [
        PublishedShard(index=index, files=(file,), sha256="0" * 64, size_bytes=file.size_bytes, records=index + 1)
        for index, file in enumerate(files)
    ]
    return success_manifest(
        run=run,
        state=RunState.COMPLETE,
        published=published,
        quarantined=[QuarantinedShard(index=3, error="bad", failures=3, losses=0)],
        finished_at=datetime(2026, 11, 22, tzinfo=UTC),
        cost={},
    )


@pytest.fixture
def finished(world: World) -> World:
    run = world.put_run()
    complete(world, run)
    publish(world, run)
    return world


def test_results_list_files_records_and_quarantined_shards(finished: World) -> None:
    document = finished.json("results", "run-1")

    assert list(document) == [
        "schema", "run", "state", "output", "records", "size_bytes", "files", "quarantined", "downloaded",
    ]  # fmt: skip
    assert [each["name"] for each in document["files"]] == list(CONTENT)
    assert (document["records"], document["size_bytes"]) == (6, 404)
    assert document["quarantined"] == [{"shard": 3, "error": "bad", "failures": 3, "losses": 0}]
    assert document["downloaded"] is None


def test_download_copies_every_file(finished: World, tmp_path: Path) -> None:
    document = finished.json("results", "run-1", "--download", str(tmp_path / "new" / "out"))

    root = tmp_path / "new" / "out"
    assert {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()} == CONTENT
    assert document["downloaded"] == {"directory": str(root), "copied": 3}


def test_downloading_again_copies_nothing(finished: World, tmp_path: Path) -> None:
    finished.run("results", "run-1", "--download", str(tmp_path))

    assert finished.json("results", "run-1", "--download", str(tmp_path))["downloaded"]["copied"] == 0


def test_a_file_with_other_content_is_never_overwritten(finished: World, tmp_path: Path) -> None:
    mine = tmp_path / "part-00000000.parquet"
    mine.write_bytes(b"mine")

    result = finished.run("results", "run-1", "--download", str(tmp_path))

    assert result.exit_code == 5
    assert mine.read_bytes() == b"mine"


def test_an_object_that_changed_after_the_commit_is_refused_and_leaves_no_file(finished: World, tmp_path: Path) -> None:
    finished.s3().put_object(Bucket="data-bucket", Key="output/run-1/part-00000000.parquet", Body=b"other")

    result = finished.run("results", "run-1", "--download", str(tmp_path))

    assert result.exit_code == 1
    assert "not what the run committed" in result.stderr
    assert not list(tmp_path.iterdir())


def test_an_object_that_is_gone_is_named(finished: World, tmp_path: Path) -> None:
    finished.s3().delete_object(Bucket="data-bucket", Key="output/run-1/part-00000000.parquet")

    result = finished.run("results", "run-1", "--download", str(tmp_path))

    assert result.exit_code == 1
    assert "s3://data-bucket/output/run-1/part-00000000.parquet" in result.stderr


def test_a_hostile_name_stays_below_the_directory(world: World, tmp_path: Path) -> None:
    run = world.put_run()
    complete(world, run)
    hostile = {"../../evil": b"e", "a//b": b"ab"}
    publish(world, run, shards=manifest_of(run, hostile)["shards"])
    for name, body in hostile.items():
        world.s3().put_object(Bucket="data-bucket", Key=f"output/run-1/{name}", Body=body)
    root = tmp_path / "deep" / "root"

    result = world.run("results", "run-1", "--download", str(root))

    assert result.exit_code == 0, result.output
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()) == [
        "deep/root/%2E%2E/%2E%2E/evil",
        "deep/root/a/%/b",
    ]


@given(st.text(min_size=1, max_size=60), st.text(min_size=1, max_size=60))
def test_local_paths_are_below_the_root_and_differ_for_different_names(one: str, other: str) -> None:
    root = Path("/root")
    path = root / relative_path(one)

    assert path.is_relative_to(root)
    assert path != root
    assert ".." not in path.parts
    assert "\0" not in str(path)
    assert (relative_path(one) == relative_path(other)) == (one == other)


def test_a_directory_that_cannot_be_written_is_3(finished: World, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    result = finished.run("results", "run-1", "--download", str(tmp_path / "file" / "below"))

    assert result.exit_code == 3
    assert "can't write" in result.stderr


def test_a_running_run_is_101(world: World) -> None:
    world.put_run()

    result = world.run("results", "run-1")

    assert (result.exit_code, result.stdout) == (101, "")
    assert "spotproof status run-1 --wait" in result.stderr


def test_a_submitted_run_is_101(world: World) -> None:
    world.batch.add("run-1", status="RUNNABLE")

    assert world.run("results", "run-1").exit_code == 101


def test_a_failed_run_is_100_and_shows_what_its_manifest_lists(world: World) -> None:
    run = world.put_run()
    end(world, run, RunState.FAILED, "1 shard quarantined")
    publish(world, run)

    result = world.run("results", "run-1")

    assert result.exit_code == 100
    assert "1 shard quarantined" in result.stderr
    assert "part-00000000.parquet" in result.stdout


def test_a_cancelled_run_is_103(world: World) -> None:
    run = world.put_run()
    world.store.cancel_run(run.run_id, reason="enough")

    result = world.run("results", "run-1")

    assert result.exit_code == 103
    assert "enough" in result.stderr


def test_an_unknown_run_is_102(world: World) -> None:
    assert world.run("results", "nobody").exit_code == 102


def test_a_complete_run_whose_manifest_is_gone_is_1(world: World) -> None:
    complete(world, world.put_run())

    result = world.run("results", "run-1")

    assert result.exit_code == 1
    assert "manifest" in result.stderr


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'{"run": "run-1"}', b'{"schema": 2}', b'{"schema": 1, "run": "another"}', b"\xff"]
)
def test_a_manifest_that_is_none_is_refused(world: World, body: bytes) -> None:
    run = world.put_run()
    complete(world, run)
    world.s3().put_object(Bucket="data-bucket", Key="output/run-1/_SUCCESS", Body=body)

    result = world.run("results", "run-1")

    assert result.exit_code == 1
    assert "not a manifest" in result.stderr
