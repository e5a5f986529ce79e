"""What befalls the simulated S3 and who sees it: faults that the service has and moto can't play."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, ResponseStreamingError
from urllib3.exceptions import ProtocolError

from simulation.cloud.s3 import SimS3
from simulation.cloud.s3_buckets import Damage
from tests.contracts.checkpoints.object_store_contract import ObjectStoreContract
from tests.contracts.checkpoints.test_object_stores import make_store

BUCKET = "work"
OTHER = "data"
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
def s3() -> SimS3:
    return SimS3((BUCKET, OTHER), now=lambda: NOW)


def code_of(request: Callable[..., Any], **parameters: Any) -> str:
    with pytest.raises(ClientError) as caught:
        request(**parameters)
    return caught.value.response["Error"]["Code"]


def begin(s3: SimS3, body: bytes) -> dict[str, Any]:
    """An upload of one part, ready to be completed."""
    upload = {"Bucket": BUCKET, "Key": "k"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    tag = s3.upload_part(**upload, PartNumber=1, Body=body)["ETag"]
    return {**upload, "MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": tag}]}}


class TestConflicts:
    def test_the_next_conditional_write_of_the_key_conflicts_and_the_one_after_does_not(self, s3: SimS3) -> None:
        s3.conflict_next(BUCKET, "k")
        s3.put_object(Bucket=BUCKET, Key="other", IfNoneMatch="*")
        s3.put_object(Bucket=OTHER, Key="k", IfNoneMatch="*")

        conflict = code_of(s3.put_object, Bucket=BUCKET, Key="k", Body=b"1", IfNoneMatch="*")

        assert conflict == "ConditionalRequestConflict"
        assert s3.objects(BUCKET) == {"other": b""}
        s3.put_object(Bucket=BUCKET, Key="k", Body=b"2", IfNoneMatch="*")

    def test_an_unconditional_write_never_conflicts(self, s3: SimS3) -> None:
        s3.conflict_next(BUCKET, "k")

        s3.put_object(Bucket=BUCKET, Key="k")

        copy = {"Bucket": BUCKET, "Key": "k", "CopySource": {"Bucket": BUCKET, "Key": "k"}}
        assert code_of(s3.copy_object, **copy, MetadataDirective="REPLACE", IfMatch="x") == "ConditionalRequestConflict"

    def test_an_upload_whose_completion_conflicts_is_lost(self, s3: SimS3) -> None:
        upload = begin(s3, b"data")
        s3.conflict_next(BUCKET, "k")

        assert code_of(s3.complete_multipart_upload, **upload, IfNoneMatch="*") == "ConditionalRequestConflict"

        assert code_of(s3.complete_multipart_upload, **upload, IfNoneMatch="*") == "NoSuchUpload"
        assert s3.uploads(BUCKET) == []
        assert s3.objects(BUCKET) == {}


class TestCompletionTwice:
    @pytest.fixture
    def s3(self) -> SimS3:
        return SimS3((BUCKET,), now=lambda: NOW, repeats_completion=True)

    def test_the_first_answer_comes_again(self, s3: SimS3) -> None:
        upload = begin(s3, b"data")
        first = s3.complete_multipart_upload(**upload, IfNoneMatch="*")
        s3.put_object(Bucket=BUCKET, Key="k", Body=b"later")

        assert s3.complete_multipart_upload(**upload, IfNoneMatch="*") == first

        assert s3.objects(BUCKET) == {"k": b"later"}

    def test_with_other_parts_the_upload_is_gone(self, s3: SimS3) -> None:
        upload = begin(s3, b"data")
        s3.complete_multipart_upload(**upload)
        upload["MultipartUpload"] = {"Parts": [{"PartNumber": 1, "ETag": "x"}]}

        assert code_of(s3.complete_multipart_upload, **upload) == "NoSuchUpload"


class TestCutReads:
    @pytest.fixture
    def body(self, s3: SimS3) -> Any:
        s3.put_object(Bucket=BUCKET, Key="k", Body=b"0123456789")
        s3.cut_next_read(BUCKET, "k", after_bytes=4)
        answer = s3.get_object(Bucket=BUCKET, Key="k")
        assert answer["ContentLength"] == 10
        return answer["Body"]

    def test_a_read_of_all_breaks(self, body: Any) -> None:
        with pytest.raises(ResponseStreamingError, match="4 bytes read, 6 more expected"):
            body.read()

    def test_a_limited_read_gives_what_came_and_the_next_breaks(self, body: Any) -> None:
        assert body.read(100) == b"0123"
        with pytest.raises(ResponseStreamingError):
            body.read(100)

    def test_chunks_come_until_it_breaks(self, body: Any) -> None:
        chunks = body.iter_chunks(3)

        assert [next(chunks), next(chunks)] == [b"012", b"3"]
        with pytest.raises(ResponseStreamingError):
            next(chunks)

    def test_inside_the_context_of_a_body_errors_are_those_of_urllib3(self, body: Any) -> None:
        with body as stream, pytest.raises(ProtocolError, match="Connection broken: IncompleteRead"):
            stream.read()

    def test_only_the_next_read_of_that_object_breaks(self, s3: SimS3) -> None:
        s3.put_object(Bucket=BUCKET, Key="k", Body=b"0123456789")
        s3.put_object(Bucket=BUCKET, Key="other", Body=b"0123456789")
        s3.cut_next_read(BUCKET, "k", after_bytes=0)

        assert s3.get_object(Bucket=BUCKET, Key="other")["Body"].read() == b"0123456789"
        cut = s3.get_object(Bucket=BUCKET, Key="k", Range="bytes=2-3")["Body"]
        with pytest.raises(ResponseStreamingError):
            cut.read()
        assert s3.get_object(Bucket=BUCKET, Key="k")["Body"].read() == b"0123456789"

    def test_a_closed_body_is_never_read(self, s3: SimS3) -> None:
        s3.put_object(Bucket=BUCKET, Key="k", Body=b"data")
        body = s3.get_object(Bucket=BUCKET, Key="k")["Body"]
        body.close()

        with pytest.raises(ValueError, match="closed"):
            body.read()


class TestDamage:
    @pytest.mark.parametrize(
        ("how", "left"), [(Damage.FLIP, b"0113"), (Damage.TRUNCATE, b"01"), (Damage.SWAP, b"other")]
    )
    def test_bytes_change_and_nothing_else(self, s3: SimS3, how: Damage, left: bytes) -> None:
        s3.put_object(Bucket=BUCKET, Key="k", Body=b"0103", Metadata={"m": "1"})
        s3.put_object(Bucket=BUCKET, Key="other", Body=b"other")
        before = s3.head_object(Bucket=BUCKET, Key="k")

        s3.corrupt(BUCKET, "k", how, other="other")

        assert s3.get_object(Bucket=BUCKET, Key="k")["Body"].read() == left
        assert s3.head_object(Bucket=BUCKET, Key="k") == {**before, "ContentLength": len(left)}

    def test_damage_that_changes_nothing_is_a_mistake(self, s3: SimS3) -> None:
        s3.put_object(Bucket=BUCKET, Key="empty")

        for how in (Damage.FLIP, Damage.TRUNCATE, Damage.SWAP):
            with pytest.raises(ValueError, match="leaves s3://work/empty as it was"):
                s3.corrupt(BUCKET, "empty", how, other="empty")
        with pytest.raises(ValueError, match="name the key"):
            s3.corrupt(BUCKET, "empty", Damage.SWAP)

    def test_what_vanished_is_gone_and_vanishing_twice_is_fine(self, s3: SimS3) -> None:
        s3.put_object(Bucket=BUCKET, Key="k")

        s3.vanish(BUCKET, "k")
        s3.vanish(BUCKET, "k")

        assert code_of(s3.get_object, Bucket=BUCKET, Key="k") == "NoSuchKey"
        assert s3.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0


class TestRefusedDeletes:
    def test_each_key_is_refused_by_itself(self, s3: SimS3) -> None:
        for key in ("a/1", "b/1"):
            s3.put_object(Bucket=BUCKET, Key=key)
        s3.refuse_deletes(BUCKET, "a/")

        answer = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "a/1"}, {"Key": "b/1"}], "Quiet": True})

        assert answer["Errors"] == [{"Key": "a/1", "Code": "AccessDenied", "Message": "Access Denied"}]
        assert code_of(s3.delete_object, Bucket=BUCKET, Key="a/1") == "AccessDenied"
        assert list(s3.objects(BUCKET)) == ["a/1"]

    def test_the_lifecycle_may_and_so_may_everybody_later(self, s3: SimS3) -> None:
        for key in ("a/1", "a/2"):
            s3.put_object(Bucket=BUCKET, Key=key)
        s3.refuse_deletes(BUCKET, "a/", code="InternalError")

        s3.vanish(BUCKET, "a/1")
        s3.allow_deletes(BUCKET, "a/")
        s3.delete_object(Bucket=BUCKET, Key="a/2")

        assert s3.objects(BUCKET) == {}


class TestCheckers:
    def test_every_change_is_told_with_the_bytes_before_and_after(self, s3: SimS3) -> None:
        seen: list[tuple[object, ...]] = []
        s3.watch.append(lambda *change: seen.append(change))

        s3.put_object(Bucket=BUCKET, Key="k", Body=b"10")
        s3.put_object(Bucket=BUCKET, Key="k", Body=b"20")
        s3.put_object_tagging(Bucket=BUCKET, Key="k", Tagging={"TagSet": []})
        s3.copy_object(Bucket=OTHER, Key="c", CopySource={"Bucket": BUCKET, "Key": "k"})
        s3.complete_multipart_upload(**begin(s3, b"30"))
        s3.corrupt(BUCKET, "k", Damage.TRUNCATE)
        s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "k"}, {"Key": "gone"}]})
        s3.vanish(OTHER, "c")

        assert seen == [
            (BUCKET, "k", None, b"10", "PutObject"),
            (BUCKET, "k", b"10", b"20", "PutObject"),
            (BUCKET, "k", b"20", b"20", "PutObjectTagging"),
            (OTHER, "c", None, b"20", "CopyObject"),
            (BUCKET, "k", b"20", b"30", "CompleteMultipartUpload"),
            (BUCKET, "k", b"30", b"3", "Corrupt"),
            (BUCKET, "k", b"3", None, "DeleteObjects"),
            (OTHER, "c", b"20", None, "Vanish"),
        ]

    def test_nothing_is_told_of_what_did_not_happen(self, s3: SimS3) -> None:
        s3.put_object(Bucket=BUCKET, Key="k")
        seen: list[tuple[object, ...]] = []
        s3.watch.append(lambda *change: seen.append(change))

        code_of(s3.put_object, Bucket=BUCKET, Key="k", IfNoneMatch="*")
        code_of(s3.put_object, Bucket="nobody", Key="k")
        s3.delete_object(Bucket=BUCKET, Key="gone")
        s3.get_object(Bucket=BUCKET, Key="k")

        assert seen == []

    def test_uploads_under_way_are_seen_by_key(self, s3: SimS3) -> None:
        for key in ("b", "a"):
            s3.create_multipart_upload(Bucket=BUCKET, Key=key)

        assert [upload.key for upload in s3.uploads(BUCKET)] == ["a", "b"]
        assert s3.uploads(OTHER) == []

    def test_objects_carry_the_second_in_which_they_were_written(self) -> None:
        moments = iter([NOW + timedelta(microseconds=999_999), NOW + timedelta(seconds=1)])
        s3 = SimS3((BUCKET,), now=lambda: next(moments))

        s3.put_object(Bucket=BUCKET, Key="a")
        s3.put_object(Bucket=BUCKET, Key="b")

        listed = s3.list_objects_v2(Bucket=BUCKET)["Contents"]
        assert [entry["LastModified"] for entry in listed] == [NOW, NOW + timedelta(seconds=1)]


class TestPages:
    def test_a_page_has_at_most_a_thousand_keys_whatever_is_asked(self, s3: SimS3) -> None:
        for number in range(1003):
            s3.put_object(Bucket=BUCKET, Key=f"{number:04}")

        first = s3.list_objects_v2(Bucket=BUCKET, MaxKeys=5000)
        rest = s3.list_objects_v2(Bucket=BUCKET, ContinuationToken=first["NextContinuationToken"])

        assert (len(first["Contents"]), first["IsTruncated"]) == (1000, True)
        assert [entry["Key"] for entry in rest["Contents"]] == ["1000", "1001", "1002"]

    def test_pages_may_be_made_smaller(self) -> None:
        s3 = SimS3((BUCKET,), now=lambda: NOW, page_keys_max=2)
        for key in "abc":
            s3.put_object(Bucket=BUCKET, Key=key)

        assert [page["KeyCount"] for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)] == [2, 1]


class TestWhatTheSimulationDoesNotHave:
    @pytest.mark.parametrize(
        ("operation", "request_"),
        [
            ("get_object", {"Bucket": BUCKET, "Key": "k", "VersionId": "1"}),
            ("get_object", {"Bucket": BUCKET, "Key": "k", "Range": "bytes=0-1,3-4"}),
            ("get_object", {"Bucket": BUCKET, "Key": "k", "Range": "bytes=3-2"}),
            ("put_object", {"Bucket": BUCKET, "Key": "k", "ChecksumSHA256": "x"}),
            ("delete_object", {"Bucket": BUCKET, "Key": "k", "IfMatch": "x"}),
            ("delete_objects", {"Bucket": BUCKET, "Delete": {"Objects": [{"Key": "k", "VersionId": "1"}]}}),
            ("copy_object", {"Bucket": OTHER, "Key": "k", "CopySource": f"{BUCKET}/k?versionId=1"}),
            (
                "copy_object",
                {"Bucket": OTHER, "Key": "k", "CopySource": {"Bucket": BUCKET, "Key": "k", "VersionId": "1"}},
            ),
            ("list_objects_v2", {"Bucket": BUCKET, "Delimiter": "/", "StartAfter": "a"}),
        ],
    )
    def test_what_only_s3_can_do_is_never_passed_over(
        self, s3: SimS3, operation: str, request_: dict[str, Any]
    ) -> None:
        s3.put_object(Bucket=BUCKET, Key="k", Body=b"0123456789")

        with pytest.raises(NotImplementedError, match="the simulated S3"):
            getattr(s3, operation)(**request_)


class TestObjectStore(ObjectStoreContract):
    """The product's store on the simulated S3, with listings that break often."""

    @pytest.fixture
    def objects(self) -> Any:
        client: Any = SimS3((BUCKET,), now=lambda: NOW, page_keys_max=7)
        return make_store(client, BUCKET)

    def test_a_conflict_is_tried_again(self, tmp_path: Path) -> None:
        client: Any = SimS3((BUCKET,), now=lambda: NOW)
        client.conflict_next(BUCKET, "k")

        assert make_store(client, BUCKET).put_if_absent("k", b"data")
