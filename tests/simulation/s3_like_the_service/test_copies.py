"""Copies of objects: what they take along, and what refuses them."""

from typing import Any

import pytest

from tests.simulation.s3_like_the_service.asking import BUCKET, OTHER, body_of, moto_differs, refused

SOURCE: Any = {"Bucket": BUCKET, "Key": "from"}


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
