"""Parameters that no client sends."""

from typing import Any

import pytest
from botocore.exceptions import ParamValidationError

from tests.simulation.s3_like_the_service.asking import BUCKET


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
