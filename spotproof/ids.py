"""Ids: the one place that makes unguessable names."""

import secrets
from typing import Protocol


class IdSource(Protocol):
    """Makes names that are never used twice."""

    def nonce(self) -> str:
        """A short lower-case hexadecimal name, unique for all practical purposes."""
        ...


class SystemIds:
    """Ids from the operating system's randomness."""

    def nonce(self) -> str:
        return secrets.token_hex(6)
