"""Transitions of a session: opened, held, kept alive, marked, fenced, ended."""

from collections.abc import Iterator

from spotproof import contract
from spotproof.errors import SessionLostError
from spotproof.leases import expressions as ex
from spotproof.leases.attribute_values import Item, Plain
from spotproof.leases.model import Ledger, Run, Session, SessionKey, SessionState, Stop, StopKind
from spotproof.leases.session_items import session_from_item, session_key_from_item, session_key_item, session_to_item
from spotproof.leases.table import Applied
from spotproof.leases.transitions.base import Transitions, ledger_values


class SessionTransitions(Transitions):
    def open_session(self, session: Session) -> Session:
        outcome = self._table.put(session_to_item(session), what=f"session {session.session_id}")
        if isinstance(outcome, Applied) or outcome.old is None:
            return session
        stored = session_from_item(outcome.old)
        if (stored.host, stored.started_at) != (session.host, session.started_at):
            raise SessionLostError(f"session id {session.session_id!r} was used before; ids must carry a fresh nonce")
        return stored

    def hold(self, session: Session, index: int, *, seq: int, until: int) -> Session | None:
        values = {":held": index, ":seq": seq, ":until": until}
        outcome = self._table.update(ex.HOLD, _key(session), values)
        if isinstance(outcome, Applied):
            return session_from_item(outcome.item)
        stored = _alive(outcome.old, session)
        mine = stored.stop is None and stored.held == index and stored.seq >= seq
        return stored if mine else None

    def heartbeat(self, session: Session, *, seq: int, until: int, ledger: Ledger) -> Session:
        values = {":seq": seq, ":until": until} | ledger_values(ledger)
        outcome = self._table.update(ex.HEARTBEAT, _key(session), values)
        if isinstance(outcome, Applied):
            return session_from_item(outcome.item)
        return _alive(outcome.old, session)

    def end_session(self, session: Session, *, ledger: Ledger) -> bool:
        values = {":now": self._now()} | ledger_values(ledger)
        outcome = self._table.update(ex.END_SESSION, _key(session), values)
        if isinstance(outcome, Applied):
            return True
        return outcome.old is not None and session_from_item(outcome.old).state is SessionState.ENDED

    def get_session(self, key: SessionKey) -> Session | None:
        item = self._table.get(session_key_item(key), what=f"session {key.session_id}")
        return None if item is None else session_from_item(item)

    def sessions(self, run: Run) -> Iterator[Session]:
        for bucket in range(run.session_buckets):
            for item in self._table.query(ex.PARTITION, {":pk": contract.sessions_pk(run.run_id, bucket)}):
                yield session_from_item(item)

    def sessions_on_instance(self, instance_id: str) -> list[SessionKey]:
        if not instance_id:
            return []
        found = self._table.query(ex.ON_INSTANCE, {":instance_id": instance_id})
        return [session_key_from_item(item) for item in found]

    def mark_stop(self, key: SessionKey, stop: Stop) -> Session | None:
        if stop.kind is StopKind.RETIRED:
            outcome = self._table.update(ex.MARK_RETIRED, session_key_item(key), {})
        elif stop.deadline is None:
            outcome = self._table.update(ex.MARK_STOP, session_key_item(key), {":kind": stop.kind.value})
        else:
            values: dict[str, Plain] = {":kind": stop.kind.value, ":deadline": stop.deadline}
            outcome = self._table.update(ex.MARK_STOP_WITH_DEADLINE, session_key_item(key), values)
        return session_from_item(outcome.item) if isinstance(outcome, Applied) else None

    def mark_hint(self, key: SessionKey, *, until: int) -> Session | None:
        outcome = self._table.update(ex.MARK_HINT, session_key_item(key), {":until": until})
        if isinstance(outcome, Applied):
            return session_from_item(outcome.item)
        stored = None if outcome.old is None else session_from_item(outcome.old)
        return stored if stored is not None and stored.state is SessionState.ALIVE else None

    def fence_session(self, key: SessionKey, *, expired_at: int | None) -> Session | None:
        if expired_at is None:
            outcome = self._table.update(ex.FENCE, session_key_item(key), {":now": self._now()})
        else:
            values = {":now": self._now(), ":expired_at": expired_at}
            outcome = self._table.update(ex.FENCE_EXPIRED, session_key_item(key), values)
        if isinstance(outcome, Applied):
            return session_from_item(outcome.item)
        stored = None if outcome.old is None else session_from_item(outcome.old)
        return stored if stored is not None and stored.state is SessionState.DEAD else None


def _key(session: Session) -> Item:
    return session_key_item(SessionKey(run_id=session.run_id, bucket=session.bucket, session_id=session.session_id))


def _alive(old: Item | None, session: Session) -> Session:
    """The stored session, if it is ours to go on with."""
    if old is None:
        raise SessionLostError(f"session {session.session_id!r} is not in the table; was the table restored?")
    stored = session_from_item(old)
    if stored.state is not SessionState.ALIVE:
        raise SessionLostError(f"session {session.session_id!r} is {stored.state}: somebody fenced it or it ended")
    return stored
