"""Publishing a committed output: server-side copies to final, predictable keys."""

from collections.abc import Iterator

from spotproof.checkpoints.store import ObjectFacts
from spotproof.commits.buckets import OutputBuckets
from spotproof.commits.names import index_of
from spotproof.commits.staging import SHA256_KEY, read_output_pointer
from spotproof.errors import OutputConflictError, OutputDamagedError
from spotproof.leases.model import OutputFile, OutputPointer, Run
from spotproof.shards.sources.objects import S3Uri, parse_s3_uri


class Publisher:
    """Copies what a DONE row names, and nothing else. Repeating it changes nothing."""

    def __init__(self, buckets: OutputBuckets) -> None:
        self._buckets = buckets

    def publish(self, run: Run, index: int, pointer: OutputPointer) -> tuple[OutputFile, ...]:
        """Make sure every file of the committed output is at its final key; the files.

        Only ever for a shard whose row is DONE with this very pointer.

        Raises:
            OutputConflictError: a final key holds other bytes; they are never overwritten.
            OutputDamagedError: a staged object is gone or changed, and its final copy is not there either.
            AwsError: a bucket refused or stayed unavailable.
        """
        files = read_output_pointer(self._buckets.work, run.run_id, index, pointer)
        target = output_folder(run)
        for file in files:
            self._publish_file(file, bucket=target.bucket, key=target.key + file.name)
        return files

    def list_final(self, run: Run) -> Iterator[ObjectFacts]:
        """What lies at the run's output under names of shard outputs, in key order."""
        target = output_folder(run)
        for facts in self._buckets.bucket(target.bucket).list(f"{target.key}part-"):
            if index_of(facts.key.removeprefix(target.key)) is not None:
                yield facts

    def is_published(self, run: Run, file: OutputFile) -> bool:
        """Whether the file's final object is there with the committed size and digest.

        Raises:
            OutputConflictError: the final key holds other bytes.
        """
        target = output_folder(run)
        return self._is_final(file, bucket=target.bucket, key=target.key + file.name)

    def _publish_file(self, file: OutputFile, *, bucket: str, key: str) -> None:
        if self._is_final(file, bucket=bucket, key=key):
            return
        source = self._buckets.work.head(file.staged_key)
        if source is not None and _holds(source, file) and self._buckets.copy_if_absent(source, bucket=bucket, key=key):
            return
        # Somebody may have published it, and removed the staged object, between our looks.
        if not self._is_final(file, bucket=bucket, key=key):
            raise OutputDamagedError(f"{file.staged_key} is gone or changed, and s3://{bucket}/{key} is not there")

    def _is_final(self, file: OutputFile, *, bucket: str, key: str) -> bool:
        facts = self._buckets.bucket(bucket).head(key)
        if facts is not None and not _holds(facts, file):
            raise OutputConflictError(
                f"s3://{bucket}/{key} holds other bytes than the committed output: move it away, or use another output"
            )
        return facts is not None


def output_folder(run: Run) -> S3Uri:
    """Bucket and prefix of the run's output; the prefix ends with a slash unless it is empty."""
    uri = parse_s3_uri(run.output_uri)
    return uri if not uri.key or uri.key.endswith("/") else S3Uri(bucket=uri.bucket, key=f"{uri.key}/")


def _holds(facts: ObjectFacts, file: OutputFile) -> bool:
    return facts.size_bytes == file.size_bytes and facts.metadata.get(SHA256_KEY) == file.sha256
