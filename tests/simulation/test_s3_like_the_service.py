"""The simulated S3 answers as the service: the same requests to it and to moto, and where moto is wrong, why."""

import io
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError, ParamValidationError

from simulation.cloud.s3 import SimS3
from tests.simulation.moto_s3 import moto_s3

BUCKET = "work"
OTHER = "data"
NOW = datetime(2026, 11, 22, 12, 0, 1, 999_999, tzinfo=UTC)
MIB = 2**20
SOURCE: Any = {"Bucket": BUCKET, "Key": "from"}


@pytest.fixture(params=["simulated", "moto"])
def s3(request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param == "simulated":
        yield SimS3((BUCKET, OTHER), now=lambda: NOW)
    else:
        with moto_s3(BUCKET, OTHER) as client:
            yield client


def moto_differs(reason: str) -> Callable[[Any], Any]:
    """Moto must fail the test, for the reason given; when it learns better, the test says so."""
    wrong = pytest.param("moto", marks=pytest.mark.xfail(reason=reason, strict=True))
    return pytest.mark.parametrize("s3", ["simulated", wrong], indirect=True)


def refused(request: Callable[..., Any], **parameters: Any) -> tuple[str, int]:
    """Code and status of the error that the request must end in."""
    with pytest.raises(ClientError) as caught:
        request(**parameters)
    response: Any = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def body_of(s3: Any, key: str, bucket: str = BUCKET, **parameters: Any) -> bytes:
    data: bytes = s3.get_object(Bucket=bucket, Key=key, **parameters)["Body"].read()
    return data


def keys_of(answer: Any) -> list[str]:
    return [entry["Key"] for entry in answer.get("Contents", [])]


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


class TestCopies:
    @pytest.fixture
    def tag(self, s3: Any) -> str:
        answer = s3.put_object(
            Bucket=BUCKET, Key="from", Body=b"data", ContentType="a/b", Metadata={"m": "1"}, Tagging="t=1"
        )
        return str(answer["ETag"])

    def test_a_copy_has_bytes_type_metadata_and_tags(self, s3: Any, tag: str) -> None:
        answer = s3.copy_object(
            Bucket=OTHER, Key="to", CopySource=SOURCE, CopySourceIfMatch=tag, MetadataDirective="COPY"
        )

        copy = s3.get_object(Bucket=OTHER, Key="to")
        assert answer["CopyObjectResult"]["ETag"] == copy["ETag"] == tag
        assert (copy["Body"].read(), copy["ContentType"], copy["Metadata"]) == (b"data", "a/b", {"m": "1"})
        assert copy["TagCount"] == 1

    def test_a_copy_may_leave_the_tags_behind(self, s3: Any, tag: str) -> None:
        s3.copy_object(Bucket=OTHER, Key="to", CopySource=SOURCE, TaggingDirective="REPLACE")

        assert s3.get_object_tagging(Bucket=OTHER, Key="to")["TagSet"] == []
        assert s3.get_object_tagging(Bucket=BUCKET, Key="from")["TagSet"] == [{"Key": "t", "Value": "1"}]
        assert s3.head_object(Bucket=OTHER, Key="to")["ETag"] == tag

    def test_a_copy_may_get_other_type_and_metadata(self, s3: Any, tag: str) -> None:
        s3.copy_object(
            Bucket=BUCKET,
            Key="from",
            CopySource=f"{BUCKET}/from",
            MetadataDirective="REPLACE",
            ContentType="c/d",
            Metadata={"n": "2"},
        )

        copy = s3.get_object(Bucket=BUCKET, Key="from")
        assert (copy["Body"].read(), copy["ContentType"], copy["Metadata"]) == (b"data", "c/d", {"n": "2"})
        assert (copy["ETag"], copy["TagCount"]) == (tag, 1)

    def test_the_source_of_a_copy_may_be_text_that_botocore_quotes(self, s3: Any) -> None:
        s3.put_object(Bucket=BUCKET, Key="a%20b/\u00fc", Body=b"data")

        s3.copy_object(Bucket=OTHER, Key="to", CopySource=f"{BUCKET}/a%20b/\u00fc")

        assert body_of(s3, "to", OTHER) == b"data"

    def test_a_copy_of_nothing_or_into_nothing_is_not_found(self, s3: Any, tag: str) -> None:
        gone = {"Bucket": BUCKET, "Key": "gone"}

        assert refused(s3.copy_object, Bucket=OTHER, Key="to", CopySource=gone) == ("NoSuchKey", 404)
        assert refused(s3.copy_object, Bucket="nobody", Key="to", CopySource=SOURCE) == ("NoSuchBucket", 404)

    def test_a_copy_onto_itself_must_change_something(self, s3: Any, tag: str) -> None:
        onto_itself = refused(s3.copy_object, Bucket=BUCKET, Key="from", CopySource=SOURCE)

        assert onto_itself == ("InvalidRequest", 400)

    @moto_differs("moto 5.2.5 ignores CopySourceIfMatch")
    def test_a_copy_of_another_version_than_was_named_is_refused(self, s3: Any, tag: str) -> None:
        other = refused(s3.copy_object, Bucket=OTHER, Key="to", CopySource=SOURCE, CopySourceIfMatch='"00"')

        assert other == ("PreconditionFailed", 412)

    @moto_differs("moto 5.2.5 ignores If-None-Match on a copy")
    def test_a_copy_never_replaces_what_it_must_not(self, s3: Any, tag: str) -> None:
        s3.copy_object(Bucket=OTHER, Key="to", CopySource=SOURCE, IfNoneMatch="*")

        again = refused(s3.copy_object, Bucket=OTHER, Key="to", CopySource=SOURCE, IfNoneMatch="*")

        assert again == ("PreconditionFailed", 412)


class TestListings:
    KEYS = ("a", "a b", "a/1", "a/2/x", "a/2/y", "a+b", "b/\u00fc", "b/\u4e2d", "c")

    @pytest.fixture
    def listed(self, s3: Any) -> Any:
        for key in self.KEYS:
            s3.put_object(Bucket=BUCKET, Key=key, Body=key.encode())
        return s3

    def test_keys_come_in_order_of_their_bytes(self, listed: Any) -> None:
        answer = listed.list_objects_v2(Bucket=BUCKET)

        assert keys_of(answer) == sorted(self.KEYS, key=str.encode)
        assert (answer["KeyCount"], answer["IsTruncated"], answer["Prefix"]) == (9, False, "")
        assert answer["Contents"][0]["ETag"] == listed.head_object(Bucket=BUCKET, Key="a")["ETag"]
        assert [entry["Size"] for entry in answer["Contents"][:3]] == [1, 3, 3]

    def test_a_prefix_selects_and_an_empty_page_has_no_contents(self, listed: Any) -> None:
        assert keys_of(listed.list_objects_v2(Bucket=BUCKET, Prefix="a/2")) == ["a/2/x", "a/2/y"]
        nothing = listed.list_objects_v2(Bucket=BUCKET, Prefix="zzz")
        assert ("Contents" in nothing, nothing["KeyCount"], nothing["IsTruncated"]) == (False, 0, False)

    def test_pages_go_on_where_the_last_ended(self, listed: Any) -> None:
        seen: list[str] = []
        more: dict[str, str] = {}
        pages = 0
        while True:
            answer = listed.list_objects_v2(Bucket=BUCKET, MaxKeys=4, **more)
            pages += 1
            seen += keys_of(answer)
            if not answer["IsTruncated"]:
                break
            assert len(keys_of(answer)) == answer["MaxKeys"] == 4
            more = {"ContinuationToken": answer["NextContinuationToken"]}

        assert (pages, seen) == (3, sorted(self.KEYS))
        assert "NextContinuationToken" not in answer

    def test_a_key_that_vanished_between_pages_does_not_stop_them(self, listed: Any) -> None:
        first = listed.list_objects_v2(Bucket=BUCKET, MaxKeys=3)
        listed.delete_object(Bucket=BUCKET, Key=keys_of(first)[-1])

        rest = listed.list_objects_v2(Bucket=BUCKET, ContinuationToken=first["NextContinuationToken"])

        assert keys_of(first) + keys_of(rest) == sorted(self.KEYS)

    def test_an_exact_last_page_is_the_last(self, listed: Any) -> None:
        answer = listed.list_objects_v2(Bucket=BUCKET, MaxKeys=9)

        assert (len(keys_of(answer)), answer["IsTruncated"]) == (9, False)

    def test_a_page_of_no_keys_is_the_last(self, listed: Any) -> None:
        answer = listed.list_objects_v2(Bucket=BUCKET, MaxKeys=0)

        assert (keys_of(answer), answer["IsTruncated"]) == ([], False)

    def test_a_listing_may_start_after_a_key(self, listed: Any) -> None:
        assert keys_of(listed.list_objects_v2(Bucket=BUCKET, Prefix="a/", StartAfter="a/2/x")) == ["a/2/y"]
        assert keys_of(listed.list_objects_v2(Bucket=BUCKET, Prefix="a/", StartAfter="0")) == ["a/1", "a/2/x", "a/2/y"]
        assert keys_of(listed.list_objects_v2(Bucket=BUCKET, StartAfter="c")) == []

    def test_a_delimiter_folds_folders(self, listed: Any) -> None:
        answer = listed.list_objects_v2(Bucket=BUCKET, Delimiter="/")
        below = listed.list_objects_v2(Bucket=BUCKET, Delimiter="/", Prefix="a/")

        assert keys_of(answer) == ["a", "a b", "a+b", "c"]
        assert [each["Prefix"] for each in answer["CommonPrefixes"]] == ["a/", "b/"]
        assert answer["KeyCount"] == 6
        assert (keys_of(below), below["CommonPrefixes"]) == (["a/1"], [{"Prefix": "a/2/"}])

    def test_folders_count_as_one_on_a_page(self, listed: Any) -> None:
        found: list[str] = []
        more: dict[str, str] = {}
        while True:
            answer = listed.list_objects_v2(Bucket=BUCKET, Delimiter="/", MaxKeys=1, **more)
            found += keys_of(answer) + [each["Prefix"] for each in answer.get("CommonPrefixes", [])]
            if not answer["IsTruncated"]:
                break
            more = {"ContinuationToken": answer["NextContinuationToken"]}

        assert found == ["a", "a b", "a+b", "a/", "b/", "c"]

    def test_keys_stay_quoted_for_who_asked(self, listed: Any) -> None:
        answer = listed.list_objects_v2(Bucket=BUCKET, Prefix="b/", EncodingType="url")

        assert keys_of(answer) == ["b/%C3%BC", "b/%E4%B8%AD"]
        assert answer["EncodingType"] == "url"

    @moto_differs("moto 5.2.5 quotes a space as %20; S3 as +, and both mean the same to unquote_plus")
    def test_a_space_is_quoted_as_a_plus(self, listed: Any) -> None:
        answer = listed.list_objects_v2(Bucket=BUCKET, Prefix="a ", EncodingType="url")

        assert keys_of(answer) == ["a+b"]

    def test_a_paginator_walks_all_pages(self, listed: Any) -> None:
        pages = list(listed.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, MaxKeys=5))

        assert [key for page in pages for key in keys_of(page)] == sorted(self.KEYS)
        assert len(pages) == 2

    @moto_differs("moto 5.2.5 takes any text for a token and lists from the start")
    def test_a_token_of_somebody_else_is_refused(self, listed: Any) -> None:
        assert refused(listed.list_objects_v2, Bucket=BUCKET, ContinuationToken="!") == ("InvalidArgument", 400)


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


class TestUploads:
    LARGE = b"x" * (5 * MIB)

    def begin(self, s3: Any, **facts: Any) -> dict[str, Any]:
        upload_id = s3.create_multipart_upload(Bucket=BUCKET, Key="k", **facts)["UploadId"]
        return {"Bucket": BUCKET, "Key": "k", "UploadId": upload_id}

    def send(self, s3: Any, upload: dict[str, Any], number: int, body: bytes) -> dict[str, Any]:
        return {"PartNumber": number, "ETag": s3.upload_part(**upload, PartNumber=number, Body=body)["ETag"]}

    def test_parts_become_one_object_with_type_and_metadata(self, s3: Any) -> None:
        upload = self.begin(s3, ContentType="a/b", Metadata={"M": "1"})
        second = self.send(s3, upload, 2, b"end")
        first = self.send(s3, upload, 1, self.LARGE)
        assert refused(s3.head_object, Bucket=BUCKET, Key="k") == ("404", 404)

        done = s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": [first, second]}, IfNoneMatch="*")

        answer = s3.get_object(Bucket=BUCKET, Key="k")
        assert (done["Bucket"], done["Key"], done["ETag"]) == (BUCKET, "k", answer["ETag"])
        assert answer["ETag"].endswith('-2"')
        assert (answer["ContentType"], answer["Metadata"]) == ("a/b", {"m": "1"})
        assert answer["Body"].read() == self.LARGE + b"end"
        assert "Uploads" not in s3.list_multipart_uploads(Bucket=BUCKET)

    def test_a_part_sent_again_replaces_the_first(self, s3: Any) -> None:
        upload = self.begin(s3)
        old = self.send(s3, upload, 1, b"old")
        new = self.send(s3, upload, 1, b"new")

        stale = refused(s3.complete_multipart_upload, **upload, MultipartUpload={"Parts": [old]})
        s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": [new]})

        assert stale == ("InvalidPart", 400)
        assert body_of(s3, "k") == b"new"

    def test_parts_must_exist_and_be_large(self, s3: Any) -> None:
        upload = self.begin(s3)
        small, large = self.send(s3, upload, 1, b"small"), self.send(s3, upload, 2, self.LARGE)
        missing = {"PartNumber": 3, "ETag": small["ETag"]}

        def completed(*parts: dict[str, Any]) -> tuple[str, int]:
            return refused(s3.complete_multipart_upload, **upload, MultipartUpload={"Parts": list(parts)})

        assert completed(small, large) == ("EntityTooSmall", 400)
        assert completed(large, missing) == ("InvalidPart", 400)
        assert completed() == ("MalformedXML", 400)

    @moto_differs("moto 5.2.5 answers InvalidPart, and has lost the parts it took")
    def test_parts_must_be_in_order(self, s3: Any) -> None:
        upload = self.begin(s3)
        first, second = self.send(s3, upload, 1, self.LARGE), self.send(s3, upload, 2, b"end")

        mixed = refused(s3.complete_multipart_upload, **upload, MultipartUpload={"Parts": [second, first]})
        twice = refused(s3.complete_multipart_upload, **upload, MultipartUpload={"Parts": [first, first]})
        s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": [first, second]})

        assert mixed == twice == ("InvalidPartOrder", 400)

    def test_part_numbers_end_at_ten_thousand(self, s3: Any) -> None:
        upload = self.begin(s3)
        self.send(s3, upload, 10_000, b"data")

        assert refused(s3.upload_part, **upload, PartNumber=10_001, Body=b"") == ("InvalidArgument", 400)

    @moto_differs("moto 5.2.5 takes parts of any key")
    def test_an_upload_is_of_one_key(self, s3: Any) -> None:
        other = {**self.begin(s3), "Key": "other"}

        assert refused(s3.upload_part, **other, PartNumber=1, Body=b"") == ("NoSuchUpload", 404)

    @moto_differs("moto 5.2.5 completes an upload as often as it is asked to")
    def test_a_completed_upload_is_gone(self, s3: Any) -> None:
        upload = self.begin(s3)
        parts = {"Parts": [self.send(s3, upload, 1, b"data")]}
        s3.complete_multipart_upload(**upload, MultipartUpload=parts)

        assert refused(s3.complete_multipart_upload, **upload, MultipartUpload=parts) == ("NoSuchUpload", 404)
        assert refused(s3.abort_multipart_upload, **upload) == ("NoSuchUpload", 404)
        assert refused(s3.upload_part, **upload, PartNumber=1, Body=b"") == ("NoSuchUpload", 404)

    def test_an_aborted_upload_leaves_nothing(self, s3: Any) -> None:
        upload = self.begin(s3)
        self.send(s3, upload, 1, b"data")

        assert s3.abort_multipart_upload(**upload)["ResponseMetadata"]["HTTPStatusCode"] == 204

        assert refused(s3.abort_multipart_upload, **upload) == ("NoSuchUpload", 404)
        assert refused(s3.get_object, Bucket=BUCKET, Key="k") == ("NoSuchKey", 404)
        assert "Uploads" not in s3.list_multipart_uploads(Bucket=BUCKET)

    @moto_differs("moto 5.2.5 ends in a KeyError of its own")
    def test_an_aborted_upload_takes_no_more(self, s3: Any) -> None:
        upload = self.begin(s3)
        parts = {"Parts": [self.send(s3, upload, 1, b"data")]}
        s3.abort_multipart_upload(**upload)

        assert refused(s3.upload_part, **upload, PartNumber=2, Body=b"") == ("NoSuchUpload", 404)
        assert refused(s3.complete_multipart_upload, **upload, MultipartUpload=parts) == ("NoSuchUpload", 404)

    def test_the_first_to_finish_wins_and_the_upload_of_the_other_stays(self, s3: Any) -> None:
        upload = self.begin(s3)
        parts = {"Parts": [self.send(s3, upload, 1, b"mine")]}
        s3.put_object(Bucket=BUCKET, Key="k", Body=b"theirs")

        lost = refused(s3.complete_multipart_upload, **upload, MultipartUpload=parts, IfNoneMatch="*")

        assert lost == ("PreconditionFailed", 412)
        assert body_of(s3, "k") == b"theirs"
        assert [each["Key"] for each in s3.list_multipart_uploads(Bucket=BUCKET, Prefix="k")["Uploads"]] == ["k"]

    def test_parts_are_copied_from_ranges_of_an_object(self, s3: Any) -> None:
        tag = s3.put_object(Bucket=OTHER, Key="from", Body=self.LARGE + b"0123456789")["ETag"]
        source = {"CopySource": {"Bucket": OTHER, "Key": "from"}, "CopySourceIfMatch": tag}
        upload = self.begin(s3)
        cuts = [f"bytes=0-{5 * MIB - 1}", f"bytes={5 * MIB}-{5 * MIB + 9}"]

        parts = [
            {
                "PartNumber": number,
                "ETag": s3.upload_part_copy(**upload, **source, PartNumber=number, CopySourceRange=cut)[
                    "CopyPartResult"
                ]["ETag"],
            }
            for number, cut in enumerate(cuts, start=1)
        ]
        s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})

        assert body_of(s3, "k") == self.LARGE + b"0123456789"

    @moto_differs("moto 5.2.5 copies what there is of a range")
    def test_a_part_is_never_copied_from_beyond_the_end(self, s3: Any) -> None:
        s3.put_object(Bucket=OTHER, Key="from", Body=b"0123456789")
        source: Any = {"Bucket": OTHER, "Key": "from"}
        upload = self.begin(s3)

        beyond = refused(s3.upload_part_copy, **upload, PartNumber=1, CopySource=source, CopySourceRange="bytes=5-10")

        assert beyond == ("InvalidArgument", 400)

    @moto_differs("moto 5.2.5 ignores CopySourceIfMatch")
    def test_a_part_of_another_version_than_was_named_is_refused(self, s3: Any) -> None:
        s3.put_object(Bucket=OTHER, Key="from", Body=b"new")
        source: Any = {"CopySource": {"Bucket": OTHER, "Key": "from"}, "CopySourceIfMatch": '"00"'}
        upload = self.begin(s3)

        assert refused(s3.upload_part_copy, **upload, **source, PartNumber=1) == ("PreconditionFailed", 412)


class TestWhatIsNeverSent:
    def test_a_parameter_that_botocore_does_not_know_is_refused(self, s3: Any) -> None:
        with pytest.raises(ParamValidationError, match='Unknown parameter in input: "IfNonMatch"'):
            s3.put_object(Bucket=BUCKET, Key="k", Body=b"", IfNonMatch="*")

    @pytest.mark.parametrize(
        ("operation", "request_"),
        [
            ("put_object", {"Bucket": BUCKET}),
            ("put_object", {"Bucket": BUCKET, "Key": ""}),
            ("put_object", {"Bucket": BUCKET, "Key": "k", "Body": 7}),
            ("put_object", {"Bucket": BUCKET, "Key": "k", "Metadata": {"m": "ü"}}),
            ("put_object", {"Bucket": "no/bucket", "Key": "k"}),
            ("get_object", {"Bucket": BUCKET, "Key": "k", "Range": 5}),
            ("get_object", {"Bucket": BUCKET, "Key": None}),
            ("copy_object", {"Bucket": BUCKET, "Key": "k", "CopySource": {"Key": "k"}}),
            ("delete_objects", {"Bucket": BUCKET, "Delete": {"Objects": [{"Name": "k"}]}}),
            ("put_object_tagging", {"Bucket": BUCKET, "Key": "k", "Tagging": {"TagSet": [{"Key": "a"}]}}),
            ("upload_part", {"Bucket": BUCKET, "Key": "k", "UploadId": "u", "PartNumber": "1"}),
            ("list_objects_v2", {"Bucket": BUCKET, "MaxKeys": "5"}),
        ],
    )
    def test_wrong_parameters_never_leave(self, s3: Any, operation: str, request_: dict[str, Any]) -> None:
        s3.put_object(Bucket=BUCKET, Key="k", Body=b"", Metadata={"m": "1"})  # the same form, well filled

        with pytest.raises(ParamValidationError):
            getattr(s3, operation)(**request_)
