"""A bucket that dies or fails at a chosen write, and that never lets bytes be replaced by others (invariant I4)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from hypothesis import strategies as st

from spotproof.checkpoints.in_memory import InMemoryObjectStore
from spotproof.checkpoints.store import OCTETS, Buffer
from spotproof.errors import AwsUnavailableError
from tests.fakes.crashing_store import Crash


class WriteKind(StrEnum):
    DOWN_BEFORE = "down before the write"
    DOWN_AFTER = "down after the write"
    KILL_BEFORE = "killed before the write"
    KILL_AFTER = "killed after the write"
    REPLY_LOST = "the retry of a write that had worked is refused"
    DELETE_DOWN = "nothing can be deleted"


@dataclass(frozen=True, slots=True)
class WriteFault:
    """What happens to write number `at` of a step, from 1."""

    kind: WriteKind
    at: int = 1


write_faults: Final = st.sampled_from([None] * 12 + [WriteFault(kind, at) for kind in WriteKind for at in (1, 2, 3)])


class FaultyBucket(InMemoryObjectStore):
    def __init__(self) -> None:
        super().__init__()
        self.ever: dict[str, bytes] = {}  # every object as it was first written
        self.struck: WriteKind | None = None
        self._fault: WriteFault | None = None
        self._writes = 0

    def arm(self, fault: WriteFault | None) -> None:
        self._fault, self._writes, self.struck = fault, 0, None

    def put(self, key: str, data: Buffer) -> None:
        self._before()
        super().put(key, data)
        self._after()

    def put_if_absent(
        self, key: str, content: Buffer | Path, *, content_type: str = OCTETS, metadata: Mapping[str, str] | None = None
    ) -> bool:
        self._before()
        created = super().put_if_absent(key, content, content_type=content_type, metadata=metadata)
        reply_lost = self._strikes(WriteKind.REPLY_LOST)
        self._after()
        return created and not reply_lost

    def delete_many(self, keys: Iterable[str]) -> None:
        if self._fault is not None and self._fault.kind is WriteKind.DELETE_DOWN:
            self.struck = WriteKind.DELETE_DOWN
            raise AwsUnavailableError("delete: down")
        super().delete_many(keys)

    def _write(self, key: str, data: bytes, content_type: str, metadata: dict[str, str]) -> None:
        assert self.ever.setdefault(key, data) == data, f"I4: {key} written twice with other bytes"
        super()._write(key, data, content_type, metadata)

    def _before(self) -> None:
        self._writes += 1
        if self._strikes(WriteKind.DOWN_BEFORE):
            raise AwsUnavailableError("write: down")
        if self._strikes(WriteKind.KILL_BEFORE):
            raise Crash

    def _after(self) -> None:
        if self._strikes(WriteKind.DOWN_AFTER):
            raise AwsUnavailableError("write: reply lost, then down")
        if self._strikes(WriteKind.KILL_AFTER):
            raise Crash

    def _strikes(self, kind: WriteKind) -> bool:
        fault = self._fault
        strikes = fault is not None and fault.kind is kind and self._writes == fault.at
        if strikes:
            self.struck = kind
        return strikes
