"""What an ended run leaves behind in the work bucket: deleted, or marked for the bucket's lifecycle."""

import logging
from typing import TYPE_CHECKING, Final, Protocol

from botocore.exceptions import ClientError

from spotproof import contract, events
from spotproof.checkpoints.store import ObjectStore, delete_all
from spotproof.errors import AwsError
from spotproof.leases.model import RunId
from spotproof.retries import Retrier, as_aws_error, error_code

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

logger = logging.getLogger(__name__)
TAGGED_MAX: Final = 10_000  # objects tagged in one go; each is a request


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


class RunCleanup:
    """Removes checkpoints and staged objects of runs that have ended. Never call it for one that has not."""

    def __init__(self, *, work: ObjectStore, tags: DoneTags) -> None:
        self._work = work
        self._tags = tags

    def clean(self, run_id: RunId, *, staging: bool) -> int:
        """Delete the run's checkpoints, and its staged objects if `staging`; how many objects were deleted.

        What S3 refuses to delete is tagged instead.

        Raises:
            AwsError: neither worked, or there was too much to tag; calling again goes on.
        """
        prefixes = [contract.checkpoints_prefix(run_id)] + ([contract.staging_prefix(run_id)] if staging else [])
        deleted = sum(self._clean_prefix(prefix) for prefix in prefixes)
        logger.info(events.CHECKPOINTS_DELETED, extra={"run_id": run_id, "count": deleted, "staging": staging})
        return deleted

    def _clean_prefix(self, prefix: str) -> int:
        try:
            return delete_all(self._work, prefix)
        except AwsError as error:
            logger.warning(events.CHECKPOINT_CLEANUP_FAILED, extra={"prefix": prefix, "error": str(error)})
            self._tag_rest(prefix, error)
            return 0

    def _tag_rest(self, prefix: str, error: AwsError) -> None:
        for count, facts in enumerate(self._work.list(prefix)):
            if count >= TAGGED_MAX:
                raise error
            self._tags.tag_done(facts.key)
