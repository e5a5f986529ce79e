"""What an ended run leaves behind in the work bucket: deleted, or marked for the bucket's lifecycle."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from botocore.exceptions import ClientError

from spotproof import contract, events
from spotproof.checkpoints.garbage_deletion import BulkDeletion
from spotproof.checkpoints.store import Undeleted
from spotproof.clock import Clock
from spotproof.concurrency import Spawner, run_all
from spotproof.errors import AwsError
from spotproof.leases.model import RunId
from spotproof.retries import Retrier, as_aws_error, error_code

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

logger = logging.getLogger(__name__)
TAGGING_WIDTH: Final = 8  # requests at once; each tags one object


class DoneTags(Protocol):
    """Marks objects that the lifecycle may delete."""

    def tag_done(self, key: str) -> None:
        """Mark the object; one that is gone is fine."""
        ...


class S3DoneTags:
    """Object tags on S3."""

    def __init__(self, *, client: "S3Client", bucket: str, retrier: Retrier) -> None:
        self._client = client
        self._bucket = bucket
        self._retrier = retrier

    def tag_done(self, key: str) -> None:
        name, value = contract.CHECKPOINT_DONE_TAG
        doing = f"tag s3://{self._bucket}/{key}"
        try:
            self._retrier.call(
                doing,
                self._client.put_object_tagging,
                Bucket=self._bucket,
                Key=key,
                Tagging={"TagSet": [{"Key": name, "Value": value}]},
            )
        except ClientError as error:
            if error_code(error) not in ("NoSuchKey", "404"):
                raise as_aws_error(error, doing=doing) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """What one pass over an ended run's objects did."""

    deleted: int = 0
    tagged: int = 0  # not deleted, but marked for the lifecycle
    complete: bool = True  # nothing is left to do

    def plus(self, other: "Cleaned") -> "Cleaned":
        return Cleaned(
            deleted=self.deleted + other.deleted,
            tagged=self.tagged + other.tagged,
            complete=self.complete and other.complete,
        )


@dataclass
class _Tagging:
    """Notes of the lanes that tag."""

    left: Iterator[Undeleted]
    tagged: int = 0
    errors: list[AwsError] = field(default_factory=list)


class RunCleanup:
    """Removes checkpoints and staged objects of runs that have ended. Never call it for one that has not."""

    def __init__(self, *, deletion: BulkDeletion, tags: DoneTags, spawner: Spawner, clock: Clock) -> None:
        self._deletion = deletion
        self._tags = tags
        self._spawner = spawner
        self._clock = clock

    def clean(self, run_id: RunId, *, staging: bool, deadline: float) -> Cleaned:
        """Delete the run's checkpoints, and its staged objects if `staging`; what S3 refuses to delete is tagged.

        Args:
            run_id: a run that has ended.
            staging: whether the staged objects go too.
            deadline: monotonic seconds; nothing is begun after it, and the next pass goes on with what it finds.

        Raises:
            AwsError: the bucket can't be listed, or objects could be neither deleted nor tagged.
        """
        prefixes = [contract.checkpoints_prefix(run_id)] + ([contract.staging_prefix(run_id)] if staging else [])
        cleaned = Cleaned()
        errors = []
        for prefix in prefixes:
            try:
                cleaned = cleaned.plus(self._clean_prefix(prefix, deadline))
            except AwsError as error:
                errors.append(error)
        if errors:
            raise errors[0]
        fields = {"run_id": run_id, "count": cleaned.deleted, "tagged": cleaned.tagged, "complete": cleaned.complete}
        logger.info(events.CHECKPOINTS_DELETED, extra={**fields, "staging": staging})
        return cleaned

    def _clean_prefix(self, prefix: str, deadline: float) -> Cleaned:
        done = self._deletion.delete_all(prefix, deadline=deadline)
        if not done.refused:
            return Cleaned(deleted=done.deleted, complete=done.complete)
        first = done.refused[0]
        fields = {"prefix": prefix, "count": len(done.refused), "key": first.key, "error_code": first.code}
        logger.warning(events.OBJECTS_REFUSED, extra={**fields, "error": first.message})
        tagged = self._tag_all(done.refused, deadline)
        return Cleaned(deleted=done.deleted, tagged=tagged, complete=done.complete and tagged == len(done.refused))

    def _tag_all(self, refused: Sequence[Undeleted], deadline: float) -> int:
        """Mark each of them; how many were in time. One that can't be marked stops no other.

        Raises:
            AwsError: the first of those that could not be marked.
        """
        work = _Tagging(left=iter(refused))
        lock = self._spawner.lock()

        def lane() -> None:
            while self._clock.monotonic() < deadline:
                with lock:
                    each = next(work.left, None)
                if each is None:
                    return
                error = self._tag(each.key)
                with lock:
                    work.tagged += error is None
                    work.errors += [] if error is None else [error]

        run_all(self._spawner, [lane] * TAGGING_WIDTH, width=TAGGING_WIDTH, name="tag")
        if work.errors:
            raise work.errors[0]
        return work.tagged

    def _tag(self, key: str) -> AwsError | None:
        try:
            self._tags.tag_done(key)
        except AwsError as error:
            return error
        return None
