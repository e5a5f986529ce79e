"""Transitions of a run: created, cancelled, stripes closed, finalized, ended, cleaned."""

from collections.abc import Iterator

from spotproof import contract
from spotproof.errors import RunConflictError, RunNotFoundError
from spotproof.leases import expressions as ex
from spotproof.leases.attribute_values import Item, Plain
from spotproof.leases.item_reader import key_of, run_id_of
from spotproof.leases.model import ClosedStripe, Run, RunId, RunState
from spotproof.leases.run_items import run_from_item, run_to_item
from spotproof.leases.table import Applied, Refused
from spotproof.leases.transitions.base import Transitions


class RunTransitions(Transitions):
    def create_run(self, run: Run) -> Run:
        outcome = self._table.put(run_to_item(run), what=f"run {run.run_id}")
        if isinstance(outcome, Applied) or outcome.old is None:
            return run
        stored = run_from_item(outcome.old)
        if stored.parameters_sha256 != run.parameters_sha256:
            raise RunConflictError(
                f"run {run.run_id!r} exists with another job, input, output, sharding or options; choose another run id"
            )
        return stored

    def get_run(self, run_id: RunId) -> Run | None:
        item = self._table.get(_run_key(run_id), what=f"run {run_id}")
        return None if item is None else run_from_item(item)

    def active_runs(self) -> Iterator[RunId]:
        return self._runs_by_activity(contract.ACTIVE_RUNS)

    def ended_runs(self) -> Iterator[RunId]:
        return self._runs_by_activity(contract.ENDED_RUNS)

    def cancel_run(self, run_id: RunId, *, reason: str) -> Run | None:
        values: dict[str, Plain] = {":reason": reason, ":now": self._now()}
        outcome = self._table.update(ex.CANCEL_RUN, _run_key(run_id), values)
        if isinstance(outcome, Applied):
            return run_from_item(outcome.item)
        stored = run_from_item(_known(outcome.old, run_id))
        return stored if stored.state is RunState.CANCELLED else None

    def pause_run(self, run_id: RunId, *, reason: str, seen: Run | None = None) -> Run | None:
        values: dict[str, Plain] = {":reason": reason, ":now": self._now()}
        statement = ex.PAUSE_RUN
        if seen is not None:  # 0 is nobody's budget
            statement, values = ex.PAUSE_RUN_OF_BUDGET, {**values, ":usd_max": seen.usd_max or 0}
        run = self._as_stored(self._table.update(statement, _run_key(run_id), values), run_id)
        return run if run.state is RunState.PAUSED else None

    def resume_run(self, run_id: RunId, *, usd_max: float | None) -> Run | None:
        if usd_max is None:
            outcome = self._table.update(ex.RESUME_RUN, _run_key(run_id), {})
        else:
            outcome = self._table.update(ex.RESUME_RUN_WITH_BUDGET, _run_key(run_id), {":usd_max": usd_max})
        run = self._as_stored(outcome, run_id)
        return run if run.state is RunState.RUNNING else None

    def close_stripe(self, run_id: RunId, stripe: int) -> ClosedStripe:
        values: dict[str, Plain] = {":stripe": stripe, ":stripe_set": frozenset({stripe})}
        outcome = self._table.update(ex.CLOSE_STRIPE, _run_key(run_id), values)
        first = isinstance(outcome, Applied)
        return ClosedStripe(run=self._as_stored(outcome, run_id), first=first)

    def exhaust_stripe(self, run_id: RunId, stripe: int) -> Run:
        values: dict[str, Plain] = {":stripe": stripe, ":stripe_set": frozenset({stripe})}
        return self._as_stored(self._table.update(ex.EXHAUST_STRIPE, _run_key(run_id), values), run_id)

    def take_care(self, run_id: RunId, *, carer: str, ttl_s: float) -> Run:
        now = self._now()
        values: dict[str, Plain] = {":carer": carer, ":now": now, ":until": now + round(ttl_s * 1000)}
        return self._as_stored(self._table.update(ex.TAKE_CARE, _run_key(run_id), values), run_id)

    def take_finalizer(self, run: Run, *, finalizer: str, ttl_s: float) -> Run | None:
        now = self._now()
        until = now + round(ttl_s * 1000)
        values: dict[str, Plain] = {":stripes": run.stripes, ":now": now, ":finalizer": finalizer, ":until": until}
        outcome = self._table.update(ex.TAKE_FINALIZER, _run_key(run.run_id), values)
        if isinstance(outcome, Applied):
            return run_from_item(outcome.item)
        stored = run_from_item(_known(outcome.old, run.run_id))
        mine = (
            outcome.repeated
            and not stored.state.ended
            and stored.finalizer == finalizer
            and stored.finalizer_until == until
        )
        return stored if mine else None

    def end_run(self, run: Run, *, state: RunState, quarantined: int, reason: str | None) -> bool:
        if state not in (RunState.COMPLETE, RunState.FAILED):
            raise ValueError(f"a run ends COMPLETE or FAILED, not {state}; cancel_run cancels")
        values: dict[str, Plain] = {
            ":epoch": run.finalizer_epoch,
            ":state": state.value,
            ":now": self._now(),
            ":count": quarantined,
            ":reason": reason or "",
        }
        outcome = self._table.update(ex.END_RUN, _run_key(run.run_id), values)
        if isinstance(outcome, Applied):
            return True
        stored = run_from_item(_known(outcome.old, run.run_id))
        return stored.state is state and stored.finalizer_epoch == run.finalizer_epoch

    def mark_cleaned(self, run_id: RunId) -> bool:
        outcome = self._table.update(ex.MARK_CLEANED, _run_key(run_id), {":now": self._now()})
        return isinstance(outcome, Applied) or "cleaned_at" in _known(outcome.old, run_id)

    def _as_stored(self, outcome: Applied | Refused, run_id: RunId) -> Run:
        return run_from_item(outcome.item if isinstance(outcome, Applied) else _known(outcome.old, run_id))

    def _runs_by_activity(self, partition: str) -> Iterator[RunId]:
        for item in self._table.query(ex.RUNS_BY_ACTIVITY, {":pk": partition}):
            yield run_id_of(str(item[contract.PARTITION_KEY]["S"]))


def _run_key(run_id: RunId) -> Item:
    return key_of(contract.run_pk(run_id), contract.RUN_SK)


def _known(old: Item | None, run_id: RunId) -> Item:
    if old is None:
        raise RunNotFoundError(f"there is no run {run_id!r}; check the run id")
    return old
