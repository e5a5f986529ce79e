"""A run's history: what was decided about it, noted once each."""

from collections.abc import Iterator

from spotproof import contract
from spotproof.leases import expressions as ex
from spotproof.leases.history_items import history_from_item, history_to_item
from spotproof.leases.model import HistoryEntry, RunId
from spotproof.leases.table import Applied
from spotproof.leases.transitions.base import Transitions


class HistoryTransitions(Transitions):
    def note_history(self, run_id: RunId, entry: HistoryEntry) -> bool:
        outcome = self._table.put(history_to_item(run_id, entry), what=f"history of run {run_id}")
        if isinstance(outcome, Applied):
            return True
        return outcome.repeated and outcome.old is not None and history_from_item(outcome.old) == entry

    def history(self, run_id: RunId) -> Iterator[HistoryEntry]:
        for item in self._table.query(ex.PARTITION, {":pk": contract.history_pk(run_id)}):
            yield history_from_item(item)
