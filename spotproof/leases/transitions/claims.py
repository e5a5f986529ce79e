"""Transitions by which a session acquires a lease: ticket, fresh claim, claim of a requeued or drained shard."""

from spotproof import contract
from spotproof.leases import expressions as ex
from spotproof.leases.attribute_values import Plain
from spotproof.leases.item_reader import key_of
from spotproof.leases.model import Candidate, CapacityClass, Lease, Run, Session, ShardState
from spotproof.leases.shard_items import candidate_from_item, lease_of, new_row, shard_from_item, shard_key
from spotproof.leases.table import Applied, Refused
from spotproof.leases.transitions.base import Transitions


class ClaimTransitions(Transitions):
    def take_ticket(self, run: Run, stripe: int) -> int | None:
        limit = run.shards_in_stripe(stripe)
        if limit <= 0:
            return None
        head = key_of(contract.stripe_pk(run.run_id, stripe), contract.STRIPE_SK)
        outcome = self._table.update(ex.TICKET, head, {":limit": limit})
        if isinstance(outcome, Refused):
            return None
        taken = int(outcome.item["next"]["N"])
        return stripe + (taken - 1) * run.stripes

    def claim_fresh(self, run: Run, index: int, session: Session) -> Lease | None:
        row = new_row(run, index, owner=session.session_id, now=self._now())
        outcome = self._table.put(row, what=f"lease of shard {index}")
        return self._lease(run, outcome, session, token=1)

    def candidates(
        self, run: Run, capacity_class: CapacityClass, *, limit: int, within_s: float = 0.0
    ) -> list[Candidate]:
        pk = contract.claimable_pk(run.run_id, capacity_class.value)
        until = self._now() + round(within_s * 1000)
        found = self._table.query(ex.CLAIMABLE, {":pk": pk, ":until": until}, limit=limit)
        return [candidate_from_item(item) for item in found]

    def claim_requeued(self, run: Run, candidate: Candidate, session: Session) -> Lease | None:
        statement = ex.CLAIM_DRAINED if candidate.drained else ex.CLAIM_READY
        values: dict[str, Plain] = {":seen": candidate.fencing_token, ":owner": session.session_id, ":now": self._now()}
        outcome = self._table.update(statement, shard_key(run, candidate.index), values)
        return self._lease(run, outcome, session, token=candidate.fencing_token + 1)

    def _lease(self, run: Run, outcome: Applied | Refused, session: Session, *, token: int) -> Lease | None:
        item = outcome.item if isinstance(outcome, Applied) else outcome.old
        if item is None:
            return None
        shard = shard_from_item(item)
        mine = shard.state is ShardState.LEASED and shard.owner == session.session_id and shard.fencing_token == token
        return lease_of(run, shard, session.session_id) if mine else None
