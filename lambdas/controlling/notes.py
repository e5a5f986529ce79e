"""A decision's trace: a line in the log, a number, and an entry in the run's history."""

from collections.abc import Mapping
from dataclasses import dataclass

from lambdas.telemetry import Telemetry
from spotproof import events
from spotproof.errors import AwsError
from spotproof.leases.model import HistoryEntry, RunId, history_key
from spotproof.leases.store import LeaseStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Notes:
    """Writes histories. What is noted was done already: a note that fails is said and stops nothing."""

    store: LeaseStore

    def note(
        self, run_id: RunId, *, at: int, name: str, kind: str, reason: str, facts: Mapping[str, object],
        telemetry: Telemetry, slot: int | None = None,
    ) -> None:  # fmt: skip
        """Put the entry once.

        Args:
            at: epoch ms of the decision.
            slot: epoch ms, the same for whoever decides the same; None: `at` is.
            name: of the decision among those of the moment, for the entry's key.
            kind: what a reader of the history sees first, e.g. "on-demand added".
        """
        told = {key: str(value) for key, value in facts.items() if value is not None}
        entry = HistoryEntry(
            key=history_key(at if slot is None else slot, name), at=at, kind=kind, reason=reason, facts=told
        )
        try:
            self.store.note_history(run_id, entry)
        except AwsError as error:
            telemetry.warning(events.CONTROLLER_FAILED, run_id=run_id, error=f"history: {error}")

    def holds(self, run_id: RunId, *, at: int, name: str) -> bool:
        """Whether the entry of this name and `at` (epoch ms) is in the run's history.

        Raises:
            AwsError: the table can't be read.
        """
        return any(entry.key == history_key(at, name) for entry in self.store.history(run_id))
