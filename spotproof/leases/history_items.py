"""Items of a run's history, to and from the model."""

from collections.abc import Mapping

from spotproof import contract
from spotproof.leases.attribute_values import AttributeValue, Item, to_item
from spotproof.leases.expressions import SCHEMA
from spotproof.leases.item_reader import ItemReader, damage_told
from spotproof.leases.model import HistoryEntry, RunId


def history_to_item(run_id: RunId, entry: HistoryEntry) -> Item:
    return to_item(
        {
            contract.PARTITION_KEY: contract.history_pk(run_id),
            contract.SORT_KEY: entry.key,
            "schema": SCHEMA,
            "at": entry.at,
            "kind": entry.kind,
            "reason": entry.reason,
            "facts": dict(entry.facts),
        }
    )


@damage_told
def history_from_item(item: Mapping[str, AttributeValue]) -> HistoryEntry:
    reader = ItemReader(item)
    return HistoryEntry(
        key=reader.text(contract.SORT_KEY),
        at=reader.integer("at"),
        kind=reader.text("kind"),
        reason=reader.text("reason"),
        facts=reader.texts("facts"),
    )
