"""The stop file: one small object per instance that tells its workers what EC2 has announced."""

import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError

from spotproof import contract
from spotproof.clock import Clock, parse_utc
from spotproof.errors import AwsUnavailableError, SpotproofError
from spotproof.interruptions.model import Channel, Signal, SignalKind, SourceUnavailableError
from spotproof.retries import Retrier, as_aws_error, error_code

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef

SCHEMA: Final = 1
SIZE_MAX: Final = 8192
WRITE_ROUNDS_MAX: Final = 5  # each lost round means that somebody else's write won
# An instance that was stopped instead of terminated can come back under its id: a notice must not stop it again.
NOTICE_MEMORY: Final = timedelta(minutes=10)


class StopFileError(SpotproofError):
    """A stop file can't be read."""


class StopFileKind(StrEnum):
    NOTICE = "notice"
    REBALANCE = "rebalance"


@dataclass(frozen=True, slots=True, kw_only=True)
class StopFile:
    """What was announced for one instance. All times are aware UTC."""

    kind: StopFileKind
    instance_id: str
    deadline: datetime | None  # of a notice: when EC2 takes the host
    event_id: str
    event_time: datetime
    written_at: datetime
    expires_at: datetime  # from then on it means nothing

    def live(self, now: datetime) -> bool:
        return now < self.expires_at

    def as_signal(self) -> Signal:
        kind = SignalKind.NOTICE if self.kind is StopFileKind.NOTICE else SignalKind.REBALANCE
        return Signal(
            kind=kind,
            channel=Channel.STOP_FILE,
            deadline=self.deadline,
            expires_at=self.expires_at if kind is SignalKind.REBALANCE else None,
            event_time=self.event_time,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StopFileWrite:
    """The file that stands after a write, and whether it is the one we brought."""

    stored: StopFile
    written: bool


def notice_file(
    *, instance_id: str, event_id: str, event_time: datetime, written_at: datetime, lead: timedelta
) -> StopFile:
    """The stop file of a spot interruption warning; EC2 takes the host `lead` after the event."""
    deadline = event_time + lead
    return StopFile(
        kind=StopFileKind.NOTICE,
        instance_id=instance_id,
        deadline=deadline,
        event_id=event_id,
        event_time=event_time,
        written_at=written_at,
        expires_at=deadline + NOTICE_MEMORY,
    )


def rebalance_file(
    *, instance_id: str, event_id: str, event_time: datetime, written_at: datetime, hint: timedelta
) -> StopFile:
    """The stop file of a rebalance recommendation, forgotten after `hint`."""
    return StopFile(
        kind=StopFileKind.REBALANCE,
        instance_id=instance_id,
        deadline=None,
        event_id=event_id,
        event_time=event_time,
        written_at=written_at,
        expires_at=event_time + hint,
    )


def replaces(new: StopFile, stored: StopFile, *, now: datetime) -> bool:
    """Whether `new` may overwrite `stored`: a notice beats a rebalance, a live notice stands, later hints extend."""
    if not stored.live(now):
        return True
    if stored.kind is StopFileKind.NOTICE:
        return False
    return new.kind is StopFileKind.NOTICE or new.expires_at > stored.expires_at


def render_stop_file(stop: StopFile) -> bytes:
    deadline = None if stop.deadline is None else stop.deadline.isoformat()
    content = {
        "schema": SCHEMA,
        "kind": stop.kind,
        "instance_id": stop.instance_id,
        "deadline": deadline,
        "event_id": stop.event_id,
        "event_time": stop.event_time.isoformat(),
        "written_at": stop.written_at.isoformat(),
        "expires_at": stop.expires_at.isoformat(),
    }
    return json.dumps(content).encode()


def parse_stop_file(body: bytes) -> StopFile:
    """The value of a stop file; unknown fields are tolerated.

    Raises:
        StopFileError: too long, not JSON, of a newer schema, or a field is missing or wrong; one line names it.
    """
    _check_size(len(body))
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise StopFileError("stop file is not JSON") from None
    if not isinstance(content, dict):
        raise StopFileError(f"stop file must be an object, got {type(content).__name__}")
    if content.get("schema") != SCHEMA:
        raise StopFileError(f"stop file has schema {ascii(content.get('schema'))[:40]}, this code reads {SCHEMA}")
    return _from_fields(content)


def stop_file_of(answer: "GetObjectOutputTypeDef") -> StopFile:
    """The value of the object that S3 answered with.

    All of the body is read: a limited read gives what came before the connection broke, without an error.

    Raises:
        StopFileError: as `parse_stop_file`.
        botocore.exceptions.BotoCoreError: the body did not arrive whole.
    """
    with closing(answer["Body"]) as body:
        _check_size(answer["ContentLength"])
        return parse_stop_file(body.read())


def _check_size(size_bytes: int) -> None:
    if size_bytes > SIZE_MAX:
        raise StopFileError(f"stop file has {size_bytes} bytes, more than {SIZE_MAX}")


def _from_fields(content: Mapping[str, object]) -> StopFile:
    kind = _text(content, "kind")
    if kind not in tuple(StopFileKind):
        raise StopFileError(f"stop file kind must be notice or rebalance, got {ascii(kind)[:40]}")
    stop = StopFile(
        kind=StopFileKind(kind),
        instance_id=_text(content, "instance_id"),
        deadline=None if content.get("deadline") is None else _moment(content, "deadline"),
        event_id=_text(content, "event_id"),
        event_time=_moment(content, "event_time"),
        written_at=_moment(content, "written_at"),
        expires_at=_moment(content, "expires_at"),
    )
    if (stop.deadline is None) is (stop.kind is StopFileKind.NOTICE):
        raise StopFileError(f"stop file of kind {stop.kind} has deadline {stop.deadline}; only a notice has one")
    return stop


def _text(content: Mapping[str, object], name: str) -> str:
    value = content.get(name)
    if not isinstance(value, str) or not value:
        raise StopFileError(f"stop file field {name} must be text, got {ascii(value)[:40]}")
    return value


def _moment(content: Mapping[str, object], name: str) -> datetime:
    text = _text(content, name)
    try:
        return parse_utc(text)
    except (ValueError, OverflowError):
        raise StopFileError(f"stop file field {name} must be ISO 8601 with zone, got {ascii(text)[:40]}") from None


class StopFileWriter:
    """Writes stop files by conditional puts: duplicates, late and reordered events never weaken what stands."""

    def __init__(self, *, client: "S3Client", bucket: str, clock: Clock, retrier: Retrier) -> None:
        self._client = client
        self._bucket = bucket
        self._clock = clock
        self._retrier = retrier

    def write(self, stop: StopFile) -> StopFileWrite:
        """Put the file unless a stronger one stands (see `replaces`). A lost reply is recognised by its content.

        Raises:
            AwsAccessError, AwsMissingError, AwsUnavailableError: S3 refused, the bucket is gone, or S3 stayed down.
        """
        condition: dict[str, str] = {"IfNoneMatch": "*"}
        for _ in range(WRITE_ROUNDS_MAX):
            if self._put(stop, condition):
                return StopFileWrite(stored=stop, written=True)
            etag, stored = self._read(stop.instance_id)
            if stored == stop:
                return StopFileWrite(stored=stop, written=True)
            if stored is not None and not replaces(stop, stored, now=self._clock.now()):
                return StopFileWrite(stored=stored, written=False)
            condition = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
        raise AwsUnavailableError(
            f"stop file of {stop.instance_id} was changed by others {WRITE_ROUNDS_MAX} times in a row; try again"
        )

    def _put(self, stop: StopFile, condition: Mapping[str, str]) -> bool:
        try:
            self._retrier.call(
                f"writing the stop file of {stop.instance_id}",
                self._client.put_object,
                Bucket=self._bucket,
                Key=contract.stop_file_key(stop.instance_id),
                Body=render_stop_file(stop),
                ContentType="application/json",
                **condition,
            )
        except ClientError as error:
            if error_code(error) in ("PreconditionFailed", "412", "NoSuchKey", "404"):
                return False
            raise as_aws_error(error, doing=f"writing the stop file of {stop.instance_id}") from error
        return True

    def _read(self, instance_id: str) -> tuple[str | None, StopFile | None]:
        """ETag and value of what stands; an unreadable file has a tag and no value, so that it can be replaced."""
        doing = f"reading the stop file of {instance_id}"
        try:
            return self._retrier.call(doing, self._get, key=contract.stop_file_key(instance_id))
        except ClientError as error:
            if error_code(error) in ("NoSuchKey", "404"):
                return None, None
            raise as_aws_error(error, doing=doing) from error

    def _get(self, *, key: str) -> tuple[str, StopFile | None]:
        answer = self._client.get_object(Bucket=self._bucket, Key=key)
        try:
            return answer["ETag"], stop_file_of(answer)
        except StopFileError:
            return answer["ETag"], None


class StopFileReader:
    """Polls one instance's stop file; a SignalSource of the worker's monitor.

    An unchanged file costs a bodiless answer (If-None-Match). Without permission to list the bucket, S3 answers 403
    for a file that is not there, which would look like a degraded channel: the worker's role must have it.
    """

    channel: Final = Channel.STOP_FILE

    def __init__(self, *, client: "S3Client", bucket: str, instance_id: str, clock: Clock) -> None:
        self._client = client
        self._bucket = bucket
        self._instance_id = instance_id
        self._clock = clock
        self._etag: str | None = None
        self._stop: StopFile | None = None

    def poll(self) -> list[Signal]:
        """What the live stop file says; nothing when there is none or it has expired.

        Raises:
            SourceUnavailableError: S3 does not answer, refuses, or the file is unreadable.
        """
        stop = self.read()
        return [] if stop is None else [stop.as_signal()]

    def read(self) -> StopFile | None:
        """The live stop file, or None; errors as `poll`. One request, not retried: the next poll is the retry."""
        condition = {} if self._etag is None else {"IfNoneMatch": self._etag}
        key = contract.stop_file_key(self._instance_id)
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=key, **condition)  # type: ignore[arg-type]
            stop = stop_file_of(answer)
        except StopFileError as error:
            raise SourceUnavailableError(str(error)) from error
        except (ClientError, BotoCoreError) as error:
            self._take_failure(error)
        else:
            self._stop = self._of_this_host(stop)
            self._etag = answer["ETag"]
        return self._stop if self._stop is not None and self._stop.live(self._clock.now()) else None

    def _take_failure(self, error: ClientError | BotoCoreError) -> None:
        match error_code(error):
            case "304" | "NotModified":
                return
            case "404" | "NoSuchKey":
                self._etag = None
                self._stop = None
            case _:
                raise SourceUnavailableError(str(as_aws_error(error, doing="reading the stop file"))) from error

    def _of_this_host(self, stop: StopFile) -> StopFile:
        if stop.instance_id != self._instance_id:
            raise SourceUnavailableError(f"stop file names {stop.instance_id}, this host is {self._instance_id}")
        return stop
