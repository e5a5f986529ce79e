"""From staged files to final keys: once, whole, and never over other bytes. In memory and on S3 as moto answers it."""

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from moto import mock_aws

from spotproof.checkpoints.in_memory import InMemoryObjectStore
from spotproof.checkpoints.multipart import cut_into_parts
from spotproof.checkpoints.s3 import S3ObjectStore
from spotproof.checkpoints.store import Buffer, ObjectStore, delete_all
from spotproof.commits.buckets import InMemoryOutputBuckets, OutputBuckets, PartSizes, S3OutputBuckets
from spotproof.commits.cleanup import S3DoneTags
from spotproof.commits.publish import Publisher
from spotproof.commits.staged_file import StagedFile
from spotproof.commits.staging import attempt_prefix, read_output_pointer, stage
from spotproof.errors import AwsMissingError, LeaseLostError, OutputConflictError, OutputDamagedError
from spotproof.leases.model import Lease, OutputPointer, Run, RunId, RunOptions, RunState
from spotproof.retries import Retrier
from tests.fakes.clock import FakeClock
from tests.unit.checkpoints.builders import make_lease

WORK, DATA = "work-bucket", "data-bucket"
MIB = 2**20


def make_run(output_uri: str = "") -> Run:
    return Run(
        run_id=RunId("run-1"), state=RunState.RUNNING, job="j", plan_key="p", plan_sha256="", parameters_sha256="",
        input_uri="s3://in-bucket/x", output_uri=output_uri or f"s3://{DATA}/out/run-1", shards=10, stripes=1, session_buckets=1, options=RunOptions(),
        closed=frozenset(), created_at=0,
    )  # fmt: skip


def text(name: str, content: str = "content") -> StagedFile:
    return StagedFile.of_bytes(f"part-00000007{name}", content.encode(), records=1)


def s3_client() -> Any:
    return boto3.client(
        "s3",
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}),
    )


def retrier() -> Retrier:
    return Retrier(clock=FakeClock(), rng=random.Random(1))


@pytest.fixture(params=["memory", "s3"])
def buckets(request: pytest.FixtureRequest) -> Iterator[OutputBuckets]:
    if request.param == "memory":
        yield InMemoryOutputBuckets()
        return
    with mock_aws():
        client = s3_client()
        for bucket in (WORK, DATA):
            client.create_bucket(Bucket=bucket)
        yield S3OutputBuckets(client=client, work_bucket=WORK, retrier=retrier())


@pytest.fixture
def lease() -> Lease:
    return make_lease(3)


def final(buckets: OutputBuckets) -> dict[str, bytes | None]:
    data = buckets.bucket(DATA)
    return {facts.key: data.get(facts.key, size_max=MIB) for facts in data.list("")}


def test_published_objects_are_the_staged_ones_with_type_and_digest(buckets: OutputBuckets, lease: Lease) -> None:
    pointer = stage(buckets.work, lease, [text(".json", "{}"), text("/a b/é.csv", "1\n")])

    files = Publisher(buckets).publish(make_run(), 7, pointer)

    assert final(buckets) == {"out/run-1/part-00000007.json": b"{}", "out/run-1/part-00000007/a b/é.csv": b"1\n"}
    for file in files:
        facts = buckets.bucket(DATA).head(f"out/run-1/{file.name}")
        assert facts is not None
        assert (facts.size_bytes, facts.metadata["sha256"]) == (file.size_bytes, file.sha256)
        assert facts.content_type in ("application/json", "text/csv; charset=utf-8")
    assert [file.staged_key for file in files] == [attempt_prefix(lease) + file.name for file in files]
    assert attempt_prefix(lease) == "staging/run-1/00000007/00000003-session-3/"


def test_tags_of_a_staged_object_stay_behind(lease: Lease) -> None:
    """Reading or writing them takes rights that nobody publishing has, and `done` on a result would be a lie."""
    with mock_aws():
        client = s3_client()
        for bucket in (WORK, DATA):
            client.create_bucket(Bucket=bucket)
        buckets = S3OutputBuckets(client=client, work_bucket=WORK, retrier=retrier())
        pointer = stage(buckets.work, lease, [text(".json")])
        S3DoneTags(client=client, bucket=WORK, retrier=retrier()).tag_done(attempt_prefix(lease) + "part-00000007.json")

        Publisher(buckets).publish(make_run(), 7, pointer)

        published = client.get_object_tagging(Bucket=DATA, Key="out/run-1/part-00000007.json")
        assert published["TagSet"] == []


def test_nothing_is_visible_before_publishing(buckets: OutputBuckets, lease: Lease) -> None:
    stage(buckets.work, lease, [text(".json")])

    assert final(buckets) == {}


class CleanedMeanwhile(InMemoryObjectStore):
    """The reply to our upload is lost; until we ask again the run is over and its staging is deleted."""

    def put_if_absent(self, key: str, content: Buffer | Path, **facts: object) -> bool:
        return False


def test_who_wakes_up_when_its_upload_was_cleaned_up_has_lost_the_lease(lease: Lease) -> None:
    with pytest.raises(LeaseLostError, match="cleaned up"):
        stage(CleanedMeanwhile(), lease, [text(".json")])


def test_publishing_again_changes_nothing_even_after_staging_is_gone(buckets: OutputBuckets, lease: Lease) -> None:
    pointer = stage(buckets.work, lease, [text(".json"), text("/a"), text("/b")])
    publisher = Publisher(buckets)
    publisher.publish(make_run(), 7, pointer)
    before = final(buckets)

    publisher.publish(make_run(), 7, pointer)
    delete_all(buckets.work, "staging/run-1/")
    publisher.publish(make_run(), 7, pointer)

    assert final(buckets) == before
    assert all(publisher.is_published(make_run(), file) for file in pointer.files)


def test_other_bytes_at_a_final_key_are_never_overwritten(buckets: OutputBuckets, lease: Lease) -> None:
    buckets.bucket(DATA).put("out/run-1/part-00000007.json", b"precious")
    pointer = stage(buckets.work, lease, [text(".json")])

    with pytest.raises(
        OutputConflictError, match=r"s3://data-bucket.*/out/run-1/part-00000007\.json holds other bytes"
    ):
        Publisher(buckets).publish(make_run(), 7, pointer)

    assert final(buckets) == {"out/run-1/part-00000007.json": b"precious"}


def test_two_attempts_stage_apart_and_only_the_committed_one_is_published(buckets: OutputBuckets) -> None:
    zombie = stage(buckets.work, make_lease(1), [text(".json", "zombie")])
    winner = stage(buckets.work, make_lease(2), [text(".json", "winner")])

    Publisher(buckets).publish(make_run(), 7, winner)

    assert zombie.files[0].staged_key != winner.files[0].staged_key
    assert final(buckets) == {"out/run-1/part-00000007.json": b"winner"}


def test_staging_the_same_again_is_recognised_and_other_bytes_are_refused(buckets: OutputBuckets, lease: Lease) -> None:
    first = stage(buckets.work, lease, [text(".json")])

    assert stage(buckets.work, lease, [text(".json")]) == first
    with pytest.raises(OutputConflictError, match="never overwritten"):
        stage(buckets.work, lease, [text(".json", "other!!")])


def test_a_shard_without_output_commits_and_publishes_nothing(buckets: OutputBuckets, lease: Lease) -> None:
    pointer = stage(buckets.work, lease, [])

    assert (pointer.files, pointer.size_bytes, pointer.records) == ((), 0, 0)
    assert Publisher(buckets).publish(make_run(), 7, pointer) == ()


def test_many_files_are_listed_in_an_object_and_found_again(buckets: OutputBuckets, lease: Lease) -> None:
    files = [text(f"/{number:03d}", str(number)) for number in range(20)]
    pointer = stage(buckets.work, lease, reversed(files))

    assert (pointer.files, pointer.records) == ((), 20)
    found = read_output_pointer(buckets.work, RunId("run-1"), 7, pointer)
    assert [file.name for file in found] == [file.name for file in files]
    assert len(Publisher(buckets).publish(make_run(), 7, pointer)) == len(final(buckets)) == 20


def test_a_staged_object_that_is_gone_or_changed_is_never_published(buckets: OutputBuckets, lease: Lease) -> None:
    pointer = stage(buckets.work, lease, [text(".json")])
    key = pointer.files[0].staged_key

    for damaged in (b"changed", None):
        buckets.work.delete_many([key])
        if damaged is not None:
            buckets.work.put(key, damaged)
        with pytest.raises(OutputDamagedError, match="gone or changed"):
            Publisher(buckets).publish(make_run(), 7, pointer)

    assert final(buckets) == {}


def _listing(buckets: OutputBuckets, lease: Lease) -> OutputPointer:
    return stage(buckets.work, lease, [text(f"/{number}") for number in range(5)])


@pytest.mark.parametrize(
    "content",
    [None, b"", b"[]", b"7", b"[7]", b'[{"name":"x"}]', b'[{"name":1,"staged_key":"","sha256":"","size_bytes":0}]'],
)
def test_a_damaged_listing_is_never_published(buckets: OutputBuckets, lease: Lease, content: bytes | None) -> None:
    pointer = _listing(buckets, lease)
    assert pointer.manifest_key is not None
    buckets.work.delete_many([pointer.manifest_key])
    if content is not None:
        buckets.work.put(pointer.manifest_key, content)

    with pytest.raises(OutputDamagedError):
        Publisher(buckets).publish(make_run(), 7, pointer)


def test_outputs_that_belong_to_others_are_never_published(buckets: OutputBuckets, lease: Lease) -> None:
    pointer = stage(buckets.work, lease, [text(".json")])
    listed = _listing(buckets, make_lease(4))

    with pytest.raises(OutputDamagedError, match="not its own"):
        Publisher(buckets).publish(make_run(), 8, pointer)
    with pytest.raises(OutputDamagedError, match="not below"):
        Publisher(buckets).publish(make_run(), 8, listed)
    with pytest.raises(OutputDamagedError, match="not the ones that were committed"):
        Publisher(buckets).publish(make_run(), 7, replace(pointer, sha256="0" * 64))
    assert final(buckets) == {}


def test_a_staged_object_removed_between_our_looks_by_another_publisher_is_no_damage(lease: Lease) -> None:
    class Racing(InMemoryOutputBuckets):
        def copy_if_absent(self, source: Any, *, bucket: str, key: str) -> bool:
            super().copy_if_absent(source, bucket=bucket, key=key)
            self.work.delete_many([source.key])
            return False

    buckets = Racing()
    pointer = stage(buckets.work, lease, [text(".json")])

    assert Publisher(buckets).publish(make_run(), 7, pointer) == pointer.files


def test_the_listing_of_final_objects_holds_shard_outputs_only(buckets: OutputBuckets, lease: Lease) -> None:
    Publisher(buckets).publish(make_run(), 7, stage(buckets.work, lease, [text(".json"), text("/a")]))
    for key in ("out/run-1/_SUCCESS", "out/run-1/part-readme", "out/run-10/part-00000001.json"):
        buckets.bucket(DATA).put(key, b"")

    listed = [facts.key for facts in Publisher(buckets).list_final(make_run("s3://data-bucket/out/run-1/"))]

    assert listed == ["out/run-1/part-00000007.json", "out/run-1/part-00000007/a"]


def test_a_missing_output_bucket_is_named(lease: Lease) -> None:
    with mock_aws():
        client = s3_client()
        client.create_bucket(Bucket=WORK)
        buckets = S3OutputBuckets(client=client, work_bucket=WORK, retrier=retrier())
        pointer = stage(buckets.work, lease, [text(".json")])

        with pytest.raises(AwsMissingError, match=DATA):
            Publisher(buckets).publish(make_run(), 7, pointer)


def test_large_files_travel_in_parts_with_type_and_digest(lease: Lease, tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(random.Random(1).randbytes(11 * MIB))
    file = StagedFile.of_path("part-00000007/large.csv", path)
    with mock_aws():
        client = s3_client()
        for bucket in (WORK, DATA):
            client.create_bucket(Bucket=bucket)
        work: ObjectStore = S3ObjectStore(
            client=client, bucket=WORK, retrier=retrier(), single_write_max=MIB, part_bytes=5 * MIB
        )
        buckets = S3OutputBuckets(
            client=client,
            work_bucket=WORK,
            retrier=retrier(),
            sizes=PartSizes(single_copy_max=MIB, copy_part_bytes=5 * MIB),
        )
        pointer = stage(work, lease, [file])
        Publisher(buckets).publish(make_run(), 7, pointer)

        for key, store in ((pointer.files[0].staged_key, work), (f"out/run-1/{file.name}", buckets.bucket(DATA))):
            facts = store.head(key)
            assert facts is not None
            assert facts.etag.endswith('-3"')  # three parts
            assert (facts.content_type, facts.metadata["sha256"]) == ("text/csv; charset=utf-8", file.sha256)
            assert store.get(key, size_max=11 * MIB) == path.read_bytes()
        assert client.list_multipart_uploads(Bucket=DATA).get("Uploads", []) == []


def test_a_write_in_parts_that_fails_leaves_nothing_behind(lease: Lease, tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(bytes(11 * MIB))
    with mock_aws():
        client = s3_client()
        client.create_bucket(Bucket=WORK)
        work = S3ObjectStore(client=client, bucket=WORK, retrier=retrier(), single_write_max=MIB, part_bytes=5 * MIB)
        aborted: list[str] = []
        client.meta.events.register("before-call.s3.AbortMultipartUpload", lambda **_: aborted.append("abort"))
        client.meta.events.register("before-call.s3.CompleteMultipartUpload", _refuse)

        with pytest.raises(OSError, match="pulled the plug"):
            work.put_if_absent("k", path)

        assert aborted == ["abort"]
        assert work.head("k") is None
        assert client.list_multipart_uploads(Bucket=WORK).get("Uploads", []) == []


def _refuse(**_: object) -> None:
    raise OSError("pulled the plug")


@pytest.mark.parametrize(("size", "expected"), [(1, [1]), (10, [10]), (11, [10, 1]), (100_001, [11] * 9091)])
def test_parts_cover_the_whole_and_never_exceed_their_limit(size: int, expected: list[int]) -> None:
    parts = cut_into_parts(size, part_bytes=10)

    assert sum(part.size_bytes for part in parts) == size
    assert [part.size_bytes for part in parts][:-1] == expected[:-1]
    assert [part.number for part in parts] == list(range(1, len(parts) + 1))
    assert len(parts) <= 10_000
