"""What a kind of image must tell about its live bytes."""

from collections.abc import Sequence
from typing import Any, Protocol

from spotproof.checkpoints.entries import ImageKind
from spotproof.checkpoints.memory.pages import Bytes8, Piece


class Live(Protocol):
    """The user's side of an image: an array, a file, a set of tensors."""

    kind: ImageKind

    def describe(self) -> dict[str, Any]:
        """What besides the bytes a restore needs to know, as a small JSON object."""
        ...

    def pieces(self) -> Sequence[Piece]:
        """The bytes as they are now; they cover [0, length) in order. Valid until `release` or the next call."""
        ...

    def release(self) -> None:
        """The pieces are not looked at any more."""
        ...

    def allocate_shadow(self, size_bytes: int) -> Bytes8:
        """Zeroed memory for the last durable bytes."""
        ...

    def memory(self) -> Bytes8 | None:
        """The memory whose pages the kernel may track; None if the bytes live elsewhere."""
        ...

    def load(self, shadow: Bytes8, start: int, stop: int) -> None:
        """Take over the restored bytes [start, stop). Called for several ranges at once, by several threads."""
        ...

    def check_loaded(self) -> None:
        """Nothing, if the restored bytes make sense.

        Raises:
            CheckpointCorruptError: they do not.
        """
        ...


def length_of(pieces: Sequence[Piece]) -> int:
    """Bytes that the pieces cover."""
    return pieces[-1].offset + len(pieces[-1].data) if pieces else 0
