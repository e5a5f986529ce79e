"""Uploads in parts: what becomes of them when they are completed, aborted or overtaken."""

from typing import Any

from tests.simulation.s3_like_the_service.asking import BUCKET, OTHER, body_of, moto_differs, refused

MIB = 2**20


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
