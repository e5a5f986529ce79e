"""One object: how it is written, read, replaced, deleted and tagged."""

import io
from collections.abc import Callable
from typing import Any

import pytest

from tests.simulation.s3_like_the_service.asking import BUCKET, body_of, keys_of, moto_differs, refused


class TestReadsAndWrites:
    def test_an_object_comes_back_with_what_it_was_written_with(self, s3: Any) -> None:
        tag = s3.put_object(
            Bucket=BUCKET, Key="a/b c", Body=b"hello", ContentType="text/plain", Metadata={"Sha256": "00ff"}
        )["ETag"]

        answer = s3.get_object(Bucket=BUCKET, Key="a/b c")
        head = s3.head_object(Bucket=BUCKET, Key="a/b c")

        assert tag == '"5d41402abc4b2a76b9719d911017c592"'
        assert answer["Body"].read() == b"hello"
        for facts in (answer, head):
            assert (facts["ContentLength"], facts["ContentType"], facts["ETag"]) == (5, "text/plain", tag)
            assert facts["Metadata"] == {"sha256": "00ff"}
            assert facts["LastModified"].utcoffset() is not None
            assert facts["LastModified"].microsecond == 0
            assert facts["ResponseMetadata"]["HTTPStatusCode"] == 200

    def test_without_a_type_an_object_is_binary_and_without_a_body_empty(self, s3: Any) -> None:
        s3.put_object(Bucket=BUCKET, Key="k")

        answer = s3.get_object(Bucket=BUCKET, Key="k")

        assert (answer["ContentType"], answer["Metadata"]) == ("binary/octet-stream", {})
        assert answer["Body"].read() == b""

    def test_the_last_writer_wins_with_type_metadata_and_tags(self, s3: Any) -> None:
        s3.put_object(Bucket=BUCKET, Key="k", Body=b"1", ContentType="a/b", Metadata={"m": "1"}, Tagging="t=1")
        s3.put_object(Bucket=BUCKET, Key="k", Body=b"2")

        answer = s3.get_object(Bucket=BUCKET, Key="k")

        assert (answer["Body"].read(), answer["ContentType"]) == (b"2", "binary/octet-stream")
        assert (answer["Metadata"], answer.get("TagCount")) == ({}, None)

    @pytest.mark.parametrize("make", [bytes, bytearray, bytes.decode, io.BytesIO])
    def test_a_body_may_be_bytes_text_or_a_file(self, s3: Any, make: Callable[[bytes], Any]) -> None:
        s3.put_object(Bucket=BUCKET, Key="k", Body=make(b"text"))

        assert body_of(s3, "k") == b"text"

    def test_a_file_is_sent_from_where_it_stands(self, s3: Any) -> None:
        file = io.BytesIO(b"0123456789")
        file.seek(7)

        s3.put_object(Bucket=BUCKET, Key="k", Body=file)

        assert body_of(s3, "k") == b"789"

    def test_what_is_not_there_is_not_found(self, s3: Any) -> None:
        assert refused(s3.get_object, Bucket=BUCKET, Key="no") == ("NoSuchKey", 404)
        assert refused(s3.head_object, Bucket=BUCKET, Key="no") == ("404", 404)
        assert refused(s3.get_object, Bucket="nobody", Key="k") == ("NoSuchBucket", 404)
        assert refused(s3.put_object, Bucket="nobody", Key="k") == ("NoSuchBucket", 404)
        assert refused(s3.list_objects_v2, Bucket="nobody") == ("NoSuchBucket", 404)

    @moto_differs("moto 5.2.5 answers a HEAD with a body, from which botocore takes NoSuchBucket")
    def test_a_look_into_a_missing_bucket_tells_the_status_alone(self, s3: Any) -> None:
        assert refused(s3.head_object, Bucket="nobody", Key="k") == ("404", 404)

    @moto_differs("moto 5.2.5 knows neither limit")
    def test_keys_and_metadata_have_limits(self, s3: Any) -> None:
        s3.put_object(Bucket=BUCKET, Key="k" * 1024)

        assert refused(s3.put_object, Bucket=BUCKET, Key="k" * 1025) == ("KeyTooLongError", 400)
        too_large = refused(s3.put_object, Bucket=BUCKET, Key="k", Metadata={"m": "x" * 2048})
        assert too_large == ("MetadataTooLarge", 400)

    def test_buckets_come_and_go_when_they_are_empty(self, s3: Any) -> None:
        s3.create_bucket(Bucket="fresh")
        s3.put_object(Bucket="fresh", Key="k")

        assert refused(s3.delete_bucket, Bucket="fresh") == ("BucketNotEmpty", 409)
        s3.delete_object(Bucket="fresh", Key="k")
        s3.delete_bucket(Bucket="fresh")
        assert refused(s3.delete_bucket, Bucket="fresh") == ("NoSuchBucket", 404)


class TestBodies:
    def test_a_body_is_read_in_pieces_and_then_is_empty(self, s3: Any) -> None:
        s3.put_object(Bucket=BUCKET, Key="k", Body=b"0123456789")

        body = s3.get_object(Bucket=BUCKET, Key="k")["Body"]

        assert [body.read(4), body.read(100), body.read(), body.read(1)] == [b"0123", b"456789", b"", b""]

    def test_a_body_comes_in_chunks(self, s3: Any) -> None:
        s3.put_object(Bucket=BUCKET, Key="k", Body=bytes(2500))

        sizes = [len(chunk) for chunk in s3.get_object(Bucket=BUCKET, Key="k")["Body"].iter_chunks(1000)]
        default = [len(chunk) for chunk in s3.get_object(Bucket=BUCKET, Key="k")["Body"]]

        assert sizes == [1000, 1000, 500]
        assert default == [1024, 1024, 452]

    def test_a_body_is_a_context_that_closes_it(self, s3: Any) -> None:
        s3.put_object(Bucket=BUCKET, Key="k", Body=b"data")

        with s3.get_object(Bucket=BUCKET, Key="k")["Body"] as body:
            assert body.read() == b"data"

        assert body.closed


class TestRanges:
    @pytest.mark.parametrize(
        ("asked", "got"),
        [
            ("bytes=0-0", b"0"),
            ("bytes=2-4", b"234"),
            ("bytes=8-100", b"89"),
            ("bytes=7-", b"789"),
            ("bytes=-3", b"789"),
            ("bytes=-100", b"0123456789"),
        ],
    )
    def test_a_range_is_cut_from_the_object(self, s3: Any, asked: str, got: bytes) -> None:
        s3.put_object(Bucket=BUCKET, Key="k", Body=b"0123456789")

        answer = s3.get_object(Bucket=BUCKET, Key="k", Range=asked)

        first = b"0123456789".index(got)
        assert answer["Body"].read() == got
        assert answer["ContentLength"] == len(got)
        assert answer["ContentRange"] == f"bytes {first}-{first + len(got) - 1}/10"
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206

    def test_a_range_behind_the_end_is_refused(self, s3: Any) -> None:
        s3.put_object(Bucket=BUCKET, Key="k", Body=b"0123456789")
        s3.put_object(Bucket=BUCKET, Key="empty", Body=b"")

        assert refused(s3.get_object, Bucket=BUCKET, Key="k", Range="bytes=10-") == ("InvalidRange", 416)
        assert refused(s3.get_object, Bucket=BUCKET, Key="k", Range="bytes=10-11") == ("InvalidRange", 416)
        assert refused(s3.get_object, Bucket=BUCKET, Key="empty", Range="bytes=0-0") == ("InvalidRange", 416)


class TestConditions:
    def test_create_only_writes_once(self, s3: Any) -> None:
        s3.put_object(Bucket=BUCKET, Key="k", Body=b"1", IfNoneMatch="*")

        again = refused(s3.put_object, Bucket=BUCKET, Key="k", Body=b"2", IfNoneMatch="*")
        assert again == ("PreconditionFailed", 412)
        s3.delete_object(Bucket=BUCKET, Key="k")
        s3.put_object(Bucket=BUCKET, Key="k", Body=b"3", IfNoneMatch="*")

        assert body_of(s3, "k") == b"3"

    def test_replace_only_writes_over_the_version_that_is_named(self, s3: Any) -> None:
        first = s3.put_object(Bucket=BUCKET, Key="k", Body=b"1")["ETag"]

        second = s3.put_object(Bucket=BUCKET, Key="k", Body=b"2", IfMatch=first)["ETag"]

        assert refused(s3.put_object, Bucket=BUCKET, Key="k", Body=b"3", IfMatch=first) == ("PreconditionFailed", 412)
        s3.put_object(Bucket=BUCKET, Key="k", Body=b"4", IfMatch=second.strip('"'))
        assert body_of(s3, "k") == b"4"

    def test_replacing_nothing_is_not_found(self, s3: Any) -> None:
        assert refused(s3.put_object, Bucket=BUCKET, Key="k", IfMatch='"00"') == ("NoSuchKey", 404)

    def test_a_read_may_insist_on_a_version(self, s3: Any) -> None:
        tag = s3.put_object(Bucket=BUCKET, Key="k", Body=b"1")["ETag"]

        assert body_of(s3, "k", IfMatch=tag) == b"1"
        assert refused(s3.get_object, Bucket=BUCKET, Key="k", IfMatch='"00"') == ("PreconditionFailed", 412)
        assert refused(s3.head_object, Bucket=BUCKET, Key="k", IfMatch='"00"') == ("412", 412)
        assert refused(s3.get_object, Bucket=BUCKET, Key="no", IfMatch=tag) == ("NoSuchKey", 404)

    def test_who_has_the_version_already_is_sent_nothing(self, s3: Any) -> None:
        tag = s3.put_object(Bucket=BUCKET, Key="k", Body=b"1")["ETag"]

        assert refused(s3.get_object, Bucket=BUCKET, Key="k", IfNoneMatch=tag) == ("304", 304)
        assert refused(s3.head_object, Bucket=BUCKET, Key="k", IfNoneMatch=tag) == ("304", 304)
        assert body_of(s3, "k", IfNoneMatch='"00"') == b"1"


class TestDeletes:
    def test_deleting_is_done_once_and_fine_twice(self, s3: Any) -> None:
        s3.put_object(Bucket=BUCKET, Key="k")

        for _ in range(2):
            assert s3.delete_object(Bucket=BUCKET, Key="k")["ResponseMetadata"]["HTTPStatusCode"] == 204

        assert refused(s3.get_object, Bucket=BUCKET, Key="k") == ("NoSuchKey", 404)
        assert refused(s3.delete_object, Bucket="nobody", Key="k") == ("NoSuchBucket", 404)

    def test_many_are_deleted_at_once(self, s3: Any) -> None:
        for key in "abc":
            s3.put_object(Bucket=BUCKET, Key=key)

        answer = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "a"}, {"Key": "gone"}]})

        assert sorted(each["Key"] for each in answer["Deleted"]) == ["a", "gone"]
        assert "Errors" not in answer
        assert keys_of(s3.list_objects_v2(Bucket=BUCKET)) == ["b", "c"]

    @moto_differs("moto 5.2.5 tells of every key, quiet or not")
    def test_a_quiet_delete_tells_of_errors_alone(self, s3: Any) -> None:
        s3.put_object(Bucket=BUCKET, Key="k")

        answer = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "k"}], "Quiet": True})

        assert answer.keys() == {"ResponseMetadata"}
        assert keys_of(s3.list_objects_v2(Bucket=BUCKET)) == []

    def test_none_at_once_is_malformed(self, s3: Any) -> None:
        assert refused(s3.delete_objects, Bucket=BUCKET, Delete={"Objects": []}) == ("MalformedXML", 400)

    @moto_differs("moto 5.2.5 deletes any number of keys at once")
    def test_more_than_a_thousand_at_once_are_malformed(self, s3: Any) -> None:
        many = {"Objects": [{"Key": str(number)} for number in range(1001)]}

        assert refused(s3.delete_objects, Bucket=BUCKET, Delete=many) == ("MalformedXML", 400)


class TestTags:
    def test_tags_are_set_and_replaced_as_a_whole(self, s3: Any) -> None:
        s3.put_object(Bucket=BUCKET, Key="k", Body=b"1", Tagging="a=1&b=x%20y")
        before = s3.get_object_tagging(Bucket=BUCKET, Key="k")["TagSet"]

        s3.put_object_tagging(Bucket=BUCKET, Key="k", Tagging={"TagSet": [{"Key": "done", "Value": ""}]})

        assert before == [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "x y"}]
        assert s3.get_object_tagging(Bucket=BUCKET, Key="k")["TagSet"] == [{"Key": "done", "Value": ""}]
        assert s3.get_object(Bucket=BUCKET, Key="k")["TagCount"] == 1
        assert body_of(s3, "k") == b"1"

    def test_what_is_gone_can_not_be_tagged(self, s3: Any) -> None:
        tags = {"TagSet": [{"Key": "a", "Value": "1"}]}

        assert refused(s3.put_object_tagging, Bucket=BUCKET, Key="no", Tagging=tags) == ("NoSuchKey", 404)
        assert refused(s3.get_object_tagging, Bucket=BUCKET, Key="no") == ("NoSuchKey", 404)

    def test_ten_tags_are_the_most(self, s3: Any) -> None:
        s3.put_object(Bucket=BUCKET, Key="k")
        eleven = {"TagSet": [{"Key": str(number), "Value": ""} for number in range(11)]}

        assert refused(s3.put_object_tagging, Bucket=BUCKET, Key="k", Tagging=eleven) == ("BadRequest", 400)

    @moto_differs("moto 5.2.5 takes two tags of a name")
    def test_a_tag_has_one_value(self, s3: Any) -> None:
        s3.put_object(Bucket=BUCKET, Key="k")
        twice = {"TagSet": [{"Key": "a", "Value": ""}, {"Key": "a", "Value": "1"}]}

        assert refused(s3.put_object_tagging, Bucket=BUCKET, Key="k", Tagging=twice) == ("InvalidTag", 400)
