"""The `_SUCCESS` manifest of a run, as a reader of outputs needs it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from spotproof.commits.publish import output_folder
from spotproof.commits.success import SCHEMA, success_key
from spotproof.errors import MALFORMED, OutputDamagedError
from spotproof.leases.model import Run
from spotproof.retries import Retrier, as_aws_error, error_code
from spotproof_cli.downloads import RemoteFile

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True, slots=True, kw_only=True)
class SuccessManifest:
    """What a finished run published."""

    files: tuple[RemoteFile, ...]
    shards: tuple[int, ...]  # those with an output, as often as they are listed
    records: int
    quarantined: tuple[Mapping[str, Any], ...]
    cost: Mapping[str, Any]  # as priced when the run ended

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)


def read_manifest(run: Run, *, s3: "S3Client", retrier: Retrier) -> SuccessManifest | None:
    """The manifest below the run's output; None if it is not there.

    Raises:
        OutputDamagedError: it can't be read, or belongs to another run.
    """
    folder = output_folder(run)
    bucket, key = folder.bucket, success_key(run)
    doing = f"reading s3://{bucket}/{key}"
    try:
        body = retrier.call(doing, lambda: s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    except ClientError as error:
        if error_code(error) in ("NoSuchKey", "404"):
            return None
        raise as_aws_error(error, doing=doing) from error
    try:
        return _parsed(json.loads(body), run=run, bucket=bucket, prefix=folder.key)
    except MALFORMED as error:
        raise OutputDamagedError(f"s3://{bucket}/{key} is not a manifest of this version ({error!r})") from error


def _parsed(document: Mapping[str, Any], *, run: Run, bucket: str, prefix: str) -> SuccessManifest:
    if document["schema"] != SCHEMA:
        raise ValueError(f"its schema is {document['schema']!r}, not {SCHEMA}")
    if document["run"] != run.run_id:
        raise ValueError(f"it belongs to run {document['run']!r}")
    return SuccessManifest(
        files=tuple(
            _file(each, bucket=bucket, prefix=prefix) for shard in document["shards"] for each in shard["files"]
        ),
        shards=tuple(int(shard["index"]) for shard in document["shards"]),
        records=int(document["records"]),
        quarantined=tuple(dict(each) for each in document["quarantined"]),
        cost=dict(document.get("cost", {})),
    )


def _file(item: Mapping[str, Any], *, bucket: str, prefix: str) -> RemoteFile:
    name = str(item["name"])
    return RemoteFile(
        name=name,
        bucket=bucket,
        key=f"{prefix}{name}",
        sha256=str(item["sha256"]),
        size_bytes=int(item["size_bytes"]),
    )
