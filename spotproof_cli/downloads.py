"""Outputs brought to local files: safe paths, verified content, nothing overwritten."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from botocore.exceptions import ClientError

from spotproof.errors import ConfigurationError, OutputDamagedError, RunConflictError
from spotproof.retries import Retrier, as_aws_error, error_code

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CHUNK_BYTES: Final = 1 << 20
_PLAIN: Final = " !#$&'()+,-.;=@[]^_{}~"  # kept besides letters and digits; everything else becomes %XX
_GONE: Final = frozenset({"NoSuchKey", "404"})
_DRAFT: Final = "%part"  # no object maps to this name


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """One published output object."""

    name: str  # below the run's output
    bucket: str
    key: str
    sha256: str  # hex
    size_bytes: int


def relative_path(name: str) -> Path:
    """A path below any directory for an object's name, different for different names.

    Segments that a file system would read as something else (empty, `.`, `..`, control characters, separators of other
    systems) are percent-encoded, so the path never leaves the directory it is joined to.
    """
    return Path(*(_segment(part) for part in name.split("/")))


def _segment(text: str) -> str:
    if text in ("", ".", ".."):
        return text.replace(".", "%2E") or "%"
    return quote(text, safe=_PLAIN, errors="surrogatepass")


class Downloader:
    """Copies published objects into one directory."""

    def __init__(self, *, s3: "S3Client", retrier: Retrier, root: Path) -> None:
        self.s3 = s3
        self.retrier = retrier
        self.root = root

    def fetch(self, file: RemoteFile) -> bool:
        """Bring one object here; False if the same content was here before.

        Raises:
            RunConflictError: a file with other content is in the way.
            OutputDamagedError: the object is gone, or not what the manifest says.
            ConfigurationError: the file can't be written.
        """
        path = self.root / relative_path(file.name)
        try:
            if path.exists():
                return self._same(path, file)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._copy(file, path)
        except OSError as error:
            raise ConfigurationError(f"can't write {path}: {error.strerror or error}") from error
        return True

    def _same(self, path: Path, file: RemoteFile) -> bool:
        if path.is_file() and path.stat().st_size == file.size_bytes and file_sha256(path) == file.sha256:
            return False
        raise RunConflictError(f"{path} is in the way: it has other content; choose an empty --download directory")

    def _copy(self, file: RemoteFile, path: Path) -> None:
        draft = self.root / _DRAFT
        doing = f"downloading s3://{file.bucket}/{file.key}"
        try:
            digest = self.retrier.call(doing, self._stream, bucket=file.bucket, key=file.key, draft=draft)
            if digest != file.sha256:
                raise OutputDamagedError(
                    f"s3://{file.bucket}/{file.key} is not what the run committed (sha256 {digest}, not {file.sha256})"
                )
            os.replace(draft, path)
        except ClientError as error:
            if error_code(error) in _GONE:
                raise OutputDamagedError(
                    f"s3://{file.bucket}/{file.key} is in the manifest but gone from the bucket"
                ) from error
            raise as_aws_error(error, doing=doing) from error
        finally:
            draft.unlink(missing_ok=True)

    def _stream(self, *, bucket: str, key: str, draft: Path) -> str:
        """Write the object to `draft`; its SHA-256. Called again from the start when the connection breaks."""
        digest = hashlib.sha256()
        body = self.s3.get_object(Bucket=bucket, Key=key)["Body"]
        with draft.open("wb") as target:
            for chunk in body.iter_chunks(_CHUNK_BYTES):
                digest.update(chunk)
                target.write(chunk)
        return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, hex."""
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
