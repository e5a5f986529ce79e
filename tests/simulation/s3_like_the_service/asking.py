"""What the tests ask both services with, and how they read an answer."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

BUCKET = "work"
OTHER = "data"


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
