"""Names that a person gives on the command line, checked."""

import re
from datetime import datetime
from typing import Final

from spotproof.errors import InputError
from spotproof.leases.model import RunId

_RUN_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_JOB: Final = re.compile(r"[a-z0-9-]{1,100}")
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_INSTANCE_ID: Final = re.compile(r"i-[0-9a-f]{8,17}")
_S3_KEY_BYTES_MAX: Final = 1024
_JOB_PART_MAX: Final = 40


def run_id(text: str) -> RunId:
    """A run id.

    Raises:
        InputError: it can't be one.
    """
    if not _RUN_ID.fullmatch(text):
        raise InputError(f"run id {text!r} must be 1 to 64 of A-Z a-z 0-9 . _ - and start with a letter or digit")
    return RunId(text)


def new_run_id(job: str, now: datetime, nonce: str) -> RunId:
    """A run id that reads well and is nobody else's: job, UTC time, a few characters of chance."""
    return run_id(f"{job[:_JOB_PART_MAX].strip('-')}-{now:%Y%m%dT%H%M%SZ}-{nonce[:6]}")


def job_name(text: str) -> str:
    """A job's name.

    Raises:
        InputError: it can't be one.
    """
    if not _JOB.fullmatch(text):
        raise InputError(f"job name {text!r} must be of a-z, 0-9 and -")
    return text


def instance_id(text: str) -> str:
    """An EC2 instance id.

    Raises:
        InputError: it can't be one.
    """
    if not _INSTANCE_ID.fullmatch(text):
        raise InputError(f"instance id {text!r} must look like i-0123456789abcdef0")
    return text


def s3_uri(text: str, *, option: str) -> tuple[str, str]:
    """Bucket and key of `s3://bucket/key`; the key may be empty.

    Raises:
        InputError: it is not such a URI; the text names `option`.
    """
    bucket, _, key = text.removeprefix("s3://").partition("/")
    printable = all(character.isprintable() for character in text)
    if not text.startswith("s3://") or not _BUCKET.fullmatch(bucket) or not printable:
        raise InputError(f"{option} must look like s3://bucket/prefix, got {text!r}")
    if len(key.encode()) > _S3_KEY_BYTES_MAX:
        raise InputError(f"{option} has a key of more than {_S3_KEY_BYTES_MAX} bytes")
    return bucket, key


def option_pairs(pairs: tuple[str, ...]) -> dict[str, str]:
    """The `--option k=v` arguments as a mapping.

    Raises:
        InputError: one is not k=v, or a name comes twice.
    """
    values: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name or not value or not all(character.isprintable() for character in pair):
            raise InputError(f"--option must be name=value, got {pair!r}")
        if name in values:
            raise InputError(f"--option {name} is given twice")
        values[name] = value
    return values
