"""A bucket in a folder: what was written is there for the next process, however this one ended."""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from spotproof.checkpoints.store import OCTETS, Buffer, ObjectFacts, check_range, check_size


class FolderObjectStore:
    """One file an object; it appears whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def put(self, key: str, data: Buffer) -> None:
        self._written(key, data).replace(self._path(key))

    def put_if_absent(
        self, key: str, content: Buffer | Path, *, content_type: str = OCTETS, metadata: Mapping[str, str] | None = None
    ) -> bool:
        part = self._written(key, content.read_bytes() if isinstance(content, Path) else content)
        try:
            os.link(part, self._path(key))
        except FileExistsError:
            return False
        finally:
            part.unlink()
        return True

    def get(self, key: str, *, size_max: int) -> bytes | None:
        if not self._path(key).exists():
            return None
        data = self._path(key).read_bytes()
        check_size(key, len(data), size_max=size_max)
        return data

    def get_into(self, key: str, target: memoryview, *, offset: int = 0) -> bool:
        data = self.get(key, size_max=2**40)
        if data is None:
            return False
        found = data[offset : offset + target.nbytes]
        check_range(key, offset=offset, wanted=target.nbytes, got=len(found))
        target.cast("B")[:] = found
        return True

    def head(self, key: str) -> ObjectFacts | None:
        data = self.get(key, size_max=2**40)
        return None if data is None else ObjectFacts(key=key, size_bytes=len(data))

    def delete_many(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._path(key).unlink(missing_ok=True)

    def list(self, prefix: str) -> Iterator[ObjectFacts]:
        for path in sorted(self._folder.iterdir()):
            key = path.name.replace("|", "/")
            if path.suffix != ".part" and key.startswith(prefix):
                yield ObjectFacts(key=key, size_bytes=path.stat().st_size)

    def _path(self, key: str) -> Path:
        return self._folder / key.replace("/", "|")

    def _written(self, key: str, data: Buffer) -> Path:
        part = self._folder / f"{key.replace('/', '|')}.part"
        part.write_bytes(data)
        return part
