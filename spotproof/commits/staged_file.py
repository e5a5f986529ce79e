"""One file of a shard's output before it is uploaded."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from spotproof.checkpoints.store import OCTETS

CONTENT_TYPES: Final = {
    "bin": OCTETS,
    "csv": "text/csv; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "json": "application/json",
    "jsonl": "application/jsonl",
    "parquet": "application/vnd.apache.parquet",
    "png": "image/png",
    "txt": "text/plain; charset=utf-8",
}  # a table of our own: the mimetypes module reads the host's


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedFile:
    """Content with its final name; the digest travels with it as metadata."""

    name: str  # relative to the run's output
    content: bytes | Path
    sha256: str  # hex
    size_bytes: int
    records: int

    @property
    def content_type(self) -> str:
        return CONTENT_TYPES.get(self.name.rpartition(".")[2], OCTETS)

    @classmethod
    def of_bytes(cls, name: str, data: bytes, *, records: int) -> "StagedFile":
        sha256 = hashlib.sha256(data).hexdigest()
        return cls(name=name, content=data, sha256=sha256, size_bytes=len(data), records=records)

    @classmethod
    def of_path(cls, name: str, path: Path) -> "StagedFile":
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return cls(name=name, content=path, sha256=sha256, size_bytes=path.stat().st_size, records=0)
