"""What a serializer of checkpoint values promises."""

from typing import Protocol


class Serializer(Protocol):
    """Turns values into bytes and back, exactly; never executes what it reads."""

    @property
    def format_id(self) -> str:
        """The stable name that manifests carry; never reused for another format."""
        ...

    def check(self, value: object, *, at: str) -> None:
        """Nothing, if `encode` would take the value.

        Raises:
            UnsavableValueError: naming the type and `at`, the place in the state.
        """
        ...

    def encode(self, value: object, *, at: str) -> bytes:
        """The same bytes for the same value (including the order of dicts), in every process.

        Raises:
            UnsavableValueError: naming the type and `at`, the place in the state.
        """
        ...

    def decode(self, data: bytes) -> object:
        """The value that was encoded, of the same types.

        Raises:
            CheckpointCorruptError: the bytes are not of this format.
        """
        ...
