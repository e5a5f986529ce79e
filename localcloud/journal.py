"""The timestamped journal of everything that happened in the account."""

import threading
import time
from collections import deque
from typing import Any

ENTRIES_MAX = 50_000


class Journal:
    """Append-only, bounded, readable from any thread. An entry is `{"seq", "t", "kind", ...fields}`."""

    def __init__(self) -> None:
        self._entries: deque[dict[str, Any]] = deque(maxlen=ENTRIES_MAX)
        self._lock = threading.Lock()
        self._sequence = 0

    def now(self) -> float:
        """The journal's clock: real seconds since 1970."""
        return time.time()

    def note(self, kind: str, **fields: Any) -> None:
        """Record that `kind` happened now."""
        with self._lock:
            self._sequence += 1
            self._entries.append({"seq": self._sequence, "t": round(time.time(), 4), "kind": kind, **fields})

    def since(self, sequence: int, *, kind: str | None = None, limit: int = 5000) -> list[dict[str, Any]]:
        """The first `limit` entries after `sequence`; `kind` selects by exact name or by prefix `name.`."""
        with self._lock:
            recent = [entry for entry in self._entries if entry["seq"] > sequence]
        return [entry for entry in recent if kind is None or _is_kind(entry["kind"], kind)][:limit]


def _is_kind(actual: str, wanted: str) -> bool:
    return actual == wanted or actual.startswith(wanted + ".")
