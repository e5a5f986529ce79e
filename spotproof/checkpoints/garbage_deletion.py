"""Bulk deletion of a folder: the listing is streamed, a thousand keys go in a request, several requests side by side."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, Protocol

from spotproof.checkpoints.store import ObjectFacts, Undeleted
from spotproof.clock import Clock
from spotproof.concurrency import Spawner, run_all
from spotproof.errors import AwsError
from spotproof.retries import TRANSIENT_CODES

KEYS_MAX: Final = 1000  # of a DeleteObjects request, and of a page of the listing (S3 API reference)
WIDTH: Final = 8  # requests at once: servers take the keys of one in turn; more would only meet S3's limit for a prefix
REFUSED_MAX: Final = 10_000  # remembered; more of them are met again by the next pass
AGAIN_S: Final = (0.5, 1.0, 2.0)  # waits before keys are tried again that S3 was too busy for


class Deletable(Protocol):
    """The part of a bucket that deletion needs; errors as ObjectStore's."""

    def delete_batch(self, keys: Sequence[str]) -> list[Undeleted]:
        """Delete at most KEYS_MAX objects with one request; what was refused, key by key. Missing ones are fine."""
        ...

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectFacts]:
        """The objects under the prefix in key order, from the first key beyond `after`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """What one pass over a folder did."""

    deleted: int
    refused: tuple[Undeleted, ...]  # by key; they lie there still
    complete: bool  # False: time ran out, or more was refused than is remembered; the next pass goes on


@dataclass
class _Pass:
    """Notes of the lanes of one pass."""

    keys: Iterator[str]
    deleted: int = 0
    exhausted: bool = False  # every key was handed out
    dropped: int = 0  # refused beyond REFUSED_MAX
    refused: list[Undeleted] = field(default_factory=list)

    def note(self, batch: Sequence[str], refused: Sequence[Undeleted]) -> None:
        room = REFUSED_MAX - len(self.refused)
        self.deleted += len(batch) - len(refused)
        self.refused += refused[:room]
        self.dropped += max(0, len(refused) - room)


class BulkDeletion:
    """Deletes folders. A pass that is cut short costs nothing: what is left is what the next one finds."""

    def __init__(self, *, objects: Deletable, spawner: Spawner, clock: Clock, width: int = WIDTH) -> None:
        self._objects = objects
        self._spawner = spawner
        self._clock = clock
        self._width = width

    def delete_all(self, prefix: str, *, deadline: float) -> Deletion:
        """Delete every object under the prefix; single refusals stop nothing.

        Args:
            prefix: a folder, ending in a slash.
            deadline: monotonic seconds; no request is begun after it.

        Raises:
            ValueError: the prefix does not end with a slash; it could hit a neighbour.
            AwsError: the bucket can't be listed.
        """
        if not prefix.endswith("/") or prefix == "/":
            raise ValueError(f"prefix to delete must be a folder ending in a slash, got {prefix!r}")
        work = _Pass(keys=(facts.key for facts in self._objects.list(prefix)))
        lock = self._spawner.lock()

        def lane() -> None:
            while True:
                with lock:  # one lane lists the next page while the others delete theirs
                    batch = self._next_batch(work, deadline)
                if not batch:
                    return
                refused = self.delete(batch)
                with lock:
                    work.note(batch, refused)

        run_all(self._spawner, [lane] * self._width, width=self._width, name="delete")
        refused = self._again(work.refused, deadline)
        return Deletion(
            deleted=work.deleted + len(work.refused) - len(refused),
            refused=tuple(sorted(refused, key=lambda each: each.key)),
            complete=work.exhausted and not work.dropped,
        )

    def delete(self, batch: Sequence[str]) -> list[Undeleted]:
        """Delete at most KEYS_MAX objects; what was refused. A request that fails as a whole refuses all its keys."""
        try:
            return self._objects.delete_batch(batch)
        except AwsError as error:
            code = type(error).__name__
            return [Undeleted(key=key, code=code, message=str(error)) for key in batch]

    def _next_batch(self, work: _Pass, deadline: float) -> list[str]:
        if self._clock.monotonic() >= deadline:
            return []
        batch = list(islice(work.keys, KEYS_MAX))
        work.exhausted = len(batch) < KEYS_MAX
        return batch

    def _again(self, refused: list[Undeleted], deadline: float) -> list[Undeleted]:
        """Try once more, with pauses, what S3 was only too busy for; what is refused in the end."""
        for wait_s in AGAIN_S:
            busy = [each.key for each in refused if each.code in TRANSIENT_CODES]
            if not busy or self._clock.monotonic() + wait_s >= deadline:
                break
            self._clock.sleep(wait_s)
            refused = [each for each in refused if each.code not in TRANSIENT_CODES]
            for first in range(0, len(busy), KEYS_MAX):
                refused += self.delete(busy[first : first + KEYS_MAX])
        return refused
