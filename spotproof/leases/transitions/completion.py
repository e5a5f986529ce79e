"""Readings that decide completion: the strongly consistent walk of a stripe, single rows, all rows."""

from collections.abc import Iterator

from spotproof import contract
from spotproof.leases import expressions as ex
from spotproof.leases.attribute_values import Item
from spotproof.leases.item_reader import ItemReader, key_of
from spotproof.leases.model import Run, Shard, ShardState, StripeWalk
from spotproof.leases.shard_items import is_shard, shard_from_item, shard_key
from spotproof.leases.transitions.base import Transitions


class CompletionReadings(Transitions):
    def walk_stripe(self, run: Run, stripe: int) -> StripeWalk:
        tickets = 0
        seen: set[int] = set()
        counts = dict.fromkeys(ShardState, 0)
        still_open: list[Shard] = []
        for item in self._table.query(ex.PARTITION, {":pk": contract.stripe_pk(run.run_id, stripe)}, consistent=True):
            if not is_shard(item):  # the head sorts before the rows: it is read first, so no ticket is newer than it
                tickets = _tickets(item)
                continue
            shard = shard_from_item(item)
            seen.add(shard.index)
            counts[shard.state] += 1
            if not shard.state.final:
                still_open.append(shard)
        return _walk(run, stripe, tickets=tickets, seen=seen, counts=counts, still_open=still_open)

    def tickets_taken(self, run: Run, stripe: int) -> int:
        head = self._table.get(
            key_of(contract.stripe_pk(run.run_id, stripe), contract.STRIPE_SK), what=f"head of stripe {stripe}"
        )
        return 0 if head is None else _tickets(head)

    def get_shard(self, run: Run, index: int) -> Shard | None:
        item = self._table.get(shard_key(run, index), what=f"shard {index}")
        return None if item is None else shard_from_item(item)

    def shards(self, run: Run) -> Iterator[Shard]:
        for stripe in range(run.stripes):
            for item in self._table.query(ex.PARTITION, {":pk": contract.stripe_pk(run.run_id, stripe)}):
                if is_shard(item):
                    yield shard_from_item(item)


def _tickets(head: Item) -> int:
    return ItemReader(head).integer("next", 0)


def _walk(
    run: Run,
    stripe: int,
    *,
    tickets: int,
    seen: set[int],
    counts: dict[ShardState, int],
    still_open: list[Shard],
) -> StripeWalk:
    places = run.shards_in_stripe(stripe)
    absent = [place for place in range(places) if stripe + place * run.stripes not in seen]
    return StripeWalk(
        stripe=stripe,
        done=counts[ShardState.DONE],
        quarantined=counts[ShardState.QUARANTINED],
        open=tuple(still_open),
        missing=tuple(stripe + place * run.stripes for place in absent if place < tickets),
        ticketless=sum(1 for place in absent if place >= tickets),
    )
