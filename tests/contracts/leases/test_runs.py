"""Claims about runs: created once, cancelled, stripes closed, finalized by one at a time, ended, cleaned."""

from dataclasses import replace

import pytest

from spotproof.errors import ItemTooNewError, RunConflictError, RunNotFoundError
from spotproof.leases.model import FailurePolicy, Run, RunId, RunOptions, RunState
from spotproof.leases.store import LeaseStore
from tests.contracts.leases.fixtures import Backend
from tests.fakes.clock import FakeClock
from tests.fakes.leases import a_run


def close_all(store: LeaseStore, run: Run) -> Run:
    for stripe in range(run.stripes):
        run = store.close_stripe(run.run_id, stripe).run
    return run


def test_a_run_reads_back_as_it_was_created(store: LeaseStore) -> None:
    options = RunOptions(ttl_s=12.5, on_failure=FailurePolicy.FAIL, job={"carrier": "ÜA", "": "x"})
    run = a_run(options=options, batch_queue="spot", batch_job_definition="spotproof-delays:3", batch_job_id="job-0:1")

    store.create_run(run)

    assert store.get_run(run.run_id) == run


def test_the_second_planner_joins_the_first_ones_run(store: LeaseStore, run: Run) -> None:
    late = a_run(plan_key="runs/other", created_at=run.created_at + 5)

    assert store.create_run(late) == run


def test_a_run_with_other_parameters_is_a_conflict_that_names_the_run(store: LeaseStore, run: Run) -> None:
    with pytest.raises(RunConflictError, match="2026-11-22"):
        store.create_run(a_run(parameters_sha256="d" * 64))
    assert store.get_run(run.run_id) == run


def test_an_unknown_run_is_none_and_can_not_be_changed(store: LeaseStore) -> None:
    nobody = RunId("nobody")

    assert store.get_run(nobody) is None
    for change in (
        lambda: store.cancel_run(nobody, reason="why"),
        lambda: store.pause_run(nobody, reason="why"),
        lambda: store.resume_run(nobody, usd_max=None),
        lambda: store.close_stripe(nobody, 0),
        lambda: store.exhaust_stripe(nobody, 0),
        lambda: store.take_care(nobody, carer="c", ttl_s=1),
        lambda: store.take_finalizer(a_run(run_id=nobody), finalizer="f", ttl_s=1),
        lambda: store.end_run(a_run(run_id=nobody), state=RunState.COMPLETE, quarantined=0, reason=None),
        lambda: store.mark_cleaned(nobody),
    ):
        with pytest.raises(RunNotFoundError, match="nobody"):
            change()
    assert store.get_run(nobody) is None


@pytest.mark.parametrize("run_id", ["2026-11-22", "a", "Übung-日本", "run.1_x"])
def test_a_run_id_of_any_alphabet_reads_back(store: LeaseStore, run_id: str) -> None:
    run = store.create_run(a_run(run_id=RunId(run_id)))

    assert store.get_run(RunId(run_id)) == run
    assert list(store.active_runs()) == [run_id]


@pytest.mark.parametrize("run_id", ["", "a#b", "#"])
def test_a_run_id_that_breaks_the_keys_is_refused(store: LeaseStore, run_id: str) -> None:
    with pytest.raises(ValueError, match="run id"):
        store.create_run(a_run(run_id=RunId(run_id)))


def test_active_runs_are_those_that_have_not_ended(store: LeaseStore) -> None:
    names = [RunId(name) for name in ("complete", "cancelled", "failed", "running")]
    runs = {name: close_all(store, store.create_run(a_run(run_id=name))) for name in names}
    store.cancel_run(RunId("cancelled"), reason="enough")
    for name, state in (("complete", RunState.COMPLETE), ("failed", RunState.FAILED)):
        taken = store.take_finalizer(runs[RunId(name)], finalizer="f", ttl_s=60)
        assert taken is not None
        assert store.end_run(taken, state=state, quarantined=0, reason=None)

    assert list(store.active_runs()) == ["running"]
    assert set(store.ended_runs()) == {"complete", "cancelled", "failed"}


def test_an_ended_run_is_listed_until_it_is_cleaned(store: LeaseStore, run: Run) -> None:
    assert store.mark_cleaned(run.run_id) is False

    store.cancel_run(run.run_id, reason="enough")

    assert list(store.ended_runs()) == [run.run_id]
    assert store.mark_cleaned(run.run_id) is True
    assert store.mark_cleaned(run.run_id) is True
    assert list(store.ended_runs()) == []
    assert store.get_run(run.run_id) is not None


@pytest.mark.parametrize("state", [RunState.RUNNING, RunState.PAUSED])
def test_a_run_that_goes_on_can_be_cancelled_and_keeps_the_first_reason(store: LeaseStore, state: RunState) -> None:
    store.create_run(a_run(state=state))

    first = store.cancel_run(a_run().run_id, reason="too expensive")
    second = store.cancel_run(a_run().run_id, reason="again")

    assert first is not None
    assert (first.state, first.reason, first.ended_at) == (RunState.CANCELLED, "too expensive", first.created_at)
    assert second == first


def test_a_paused_run_says_why_and_since_when_and_goes_on_when_it_is_resumed(
    store: LeaseStore, run: Run, clock: FakeClock
) -> None:
    clock.advance(3)
    paused = store.pause_run(run.run_id, reason="it has cost 5.00 USD")
    clock.advance(3)
    again = store.pause_run(run.run_id, reason="another")
    resumed = store.resume_run(run.run_id, usd_max=None)
    twice = store.resume_run(run.run_id, usd_max=None)

    assert paused == again
    assert paused == replace(run, state=RunState.PAUSED, reason="it has cost 5.00 USD", paused_at=run.created_at + 3000)
    assert resumed == twice == run == store.get_run(run.run_id)
    assert list(store.active_runs()) == [run.run_id]


def test_a_budget_given_at_resume_replaces_the_option(store: LeaseStore) -> None:
    run = store.create_run(a_run(options=RunOptions(usd_max=5.0)))
    assert run.budget_usd == 5.0

    store.pause_run(run.run_id, reason="spent")
    first = store.resume_run(run.run_id, usd_max=7.5)
    while_running = store.resume_run(run.run_id, usd_max=9.25)
    store.pause_run(run.run_id, reason="spent")
    kept = store.resume_run(run.run_id, usd_max=None)

    assert [each.budget_usd for each in (first, while_running, kept) if each] == [7.5, 9.25, 9.25]
    assert kept == store.get_run(run.run_id)


def test_a_run_is_not_paused_for_a_budget_that_it_has_no_more(store: LeaseStore) -> None:
    """A controller that was slow, and a person that resumed the run meanwhile (seed 1844 of the simulation)."""
    planned = store.create_run(a_run(options=RunOptions(usd_max=5.0)))
    store.pause_run(planned.run_id, reason="spent", seen=planned)
    resumed = store.resume_run(planned.run_id, usd_max=7.5)
    assert resumed is not None

    late = store.pause_run(planned.run_id, reason="spent", seen=planned)
    in_time = store.pause_run(planned.run_id, reason="spent again", seen=resumed)

    assert late is None
    assert in_time is not None
    assert (in_time.state, in_time.reason) == (RunState.PAUSED, "spent again")


def test_a_run_that_has_ended_is_neither_paused_nor_resumed(store: LeaseStore, run: Run) -> None:
    cancelled = store.cancel_run(run.run_id, reason="enough")

    assert store.pause_run(run.run_id, reason="spent") is None
    assert store.resume_run(run.run_id, usd_max=1.0) is None
    assert store.get_run(run.run_id) == cancelled


def test_nobody_cares_for_a_paused_run(store: LeaseStore, run: Run) -> None:
    store.pause_run(run.run_id, reason="spent")

    assert store.take_care(run.run_id, carer="idle", ttl_s=30).carer is None


def test_a_paused_run_whose_last_shards_were_committed_completes(store: LeaseStore, run: Run) -> None:
    store.pause_run(run.run_id, reason="spent")

    taken = store.take_finalizer(close_all(store, run), finalizer="f", ttl_s=60)
    assert taken is not None
    assert store.end_run(taken, state=RunState.COMPLETE, quarantined=0, reason=None) is True

    ended = store.get_run(run.run_id)
    assert ended is not None
    assert (ended.state, ended.reason, ended.paused_at) == (RunState.COMPLETE, None, None)
    assert store.resume_run(run.run_id, usd_max=None) is None


def test_a_paused_run_that_is_cancelled_is_paused_no_more(store: LeaseStore, run: Run) -> None:
    store.pause_run(run.run_id, reason="spent")

    cancelled = store.cancel_run(run.run_id, reason="enough")

    assert cancelled is not None
    assert (cancelled.state, cancelled.reason, cancelled.paused_at) == (RunState.CANCELLED, "enough", None)


def test_a_run_that_has_completed_can_not_be_cancelled(store: LeaseStore, run: Run) -> None:
    taken = store.take_finalizer(close_all(store, run), finalizer="f", ttl_s=60)
    assert taken is not None
    store.end_run(taken, state=RunState.COMPLETE, quarantined=0, reason=None)

    assert store.cancel_run(run.run_id, reason="late") is None
    assert store.get_run(run.run_id) == replace(taken, state=RunState.COMPLETE, ended_at=run.created_at)


def test_closing_a_stripe_again_changes_nothing(store: LeaseStore, run: Run) -> None:
    first = store.close_stripe(run.run_id, 1)
    again = store.close_stripe(run.run_id, 1)

    assert first.run.closed == frozenset({1})
    assert again.run == first.run == store.get_run(run.run_id)
    assert (first.first, again.first) == (True, False)


def test_exhausting_a_stripe_again_changes_nothing(store: LeaseStore, run: Run) -> None:
    first = store.exhaust_stripe(run.run_id, 1)
    again = store.exhaust_stripe(run.run_id, 1)
    both = store.exhaust_stripe(run.run_id, 0)

    assert first.exhausted == frozenset({1})
    assert again == first
    assert both.exhausted == frozenset({0, 1})
    assert both == store.get_run(run.run_id)


def test_one_cares_at_a_time_as_long_as_it_likes_and_another_after_its_term(
    store: LeaseStore, run: Run, clock: FakeClock
) -> None:
    first = store.take_care(run.run_id, carer="first", ttl_s=30)
    clock.advance(20)
    prolonged = store.take_care(run.run_id, carer="first", ttl_s=30)
    clock.advance(30)
    refused = store.take_care(run.run_id, carer="second", ttl_s=30)
    clock.advance(0.002)
    second = store.take_care(run.run_id, carer="second", ttl_s=30)

    assert first.care_until is not None
    assert prolonged.care_until == first.care_until + 20_000
    assert [found.carer for found in (first, prolonged, refused, second)] == ["first", "first", "first", "second"]
    assert second == store.get_run(run.run_id)


def test_nobody_cares_for_a_run_that_has_ended(store: LeaseStore, run: Run) -> None:
    store.cancel_run(run.run_id, reason="enough")

    assert store.take_care(run.run_id, carer="late", ttl_s=30).carer is None


def test_nobody_finalizes_before_every_stripe_is_closed(store: LeaseStore, run: Run) -> None:
    assert store.take_finalizer(run, finalizer="f", ttl_s=60) is None

    store.close_stripe(run.run_id, 0)

    assert store.take_finalizer(run, finalizer="f", ttl_s=60) is None


def test_one_finalizer_at_a_time_and_the_next_one_after_its_term(store: LeaseStore, run: Run, clock: FakeClock) -> None:
    run = close_all(store, run)

    first = store.take_finalizer(run, finalizer="first", ttl_s=60)
    clock.advance(59)
    refused = store.take_finalizer(run, finalizer="second", ttl_s=60)
    clock.advance(2)
    second = store.take_finalizer(run, finalizer="second", ttl_s=60)

    assert first is not None
    assert second is not None
    assert refused is None
    assert [first.finalizer_epoch, second.finalizer_epoch] == [1, 2]
    assert store.end_run(first, state=RunState.COMPLETE, quarantined=0, reason=None) is False
    assert store.end_run(second, state=RunState.COMPLETE, quarantined=0, reason=None) is True


def test_a_finalizer_that_starts_again_waits_for_its_own_former_term(store: LeaseStore, run: Run) -> None:
    run = close_all(store, run)
    assert store.take_finalizer(run, finalizer="same", ttl_s=60) is not None

    assert store.take_finalizer(run, finalizer="same", ttl_s=60) is None


def test_an_ended_run_has_no_finalizer_any_more(store: LeaseStore, run: Run, clock: FakeClock) -> None:
    taken = store.take_finalizer(close_all(store, run), finalizer="f", ttl_s=60)
    assert taken is not None
    store.end_run(taken, state=RunState.COMPLETE, quarantined=0, reason=None)
    clock.advance(3600)

    assert store.take_finalizer(taken, finalizer="g", ttl_s=60) is None


def test_the_end_says_state_quarantined_shards_and_reason(store: LeaseStore, run: Run, clock: FakeClock) -> None:
    taken = store.take_finalizer(close_all(store, run), finalizer="f", ttl_s=60)
    assert taken is not None
    clock.advance(7)

    assert store.end_run(taken, state=RunState.FAILED, quarantined=2, reason="2 shards quarantined")

    ended = store.get_run(run.run_id)
    assert ended == replace(
        taken,
        state=RunState.FAILED,
        quarantined=2,
        reason="2 shards quarantined",
        ended_at=run.created_at + 7000,
    )


def test_a_cancelled_run_does_not_complete(store: LeaseStore, run: Run) -> None:
    taken = store.take_finalizer(close_all(store, run), finalizer="f", ttl_s=60)
    assert taken is not None
    store.cancel_run(run.run_id, reason="stop")

    assert store.end_run(taken, state=RunState.COMPLETE, quarantined=0, reason=None) is False
    stored = store.get_run(run.run_id)
    assert stored is not None
    assert stored.state is RunState.CANCELLED


@pytest.mark.parametrize("state", [RunState.RUNNING, RunState.PAUSED, RunState.CANCELLED])
def test_a_run_ends_complete_or_failed_only(store: LeaseStore, run: Run, state: RunState) -> None:
    with pytest.raises(ValueError, match="COMPLETE or FAILED"):
        store.end_run(run, state=state, quarantined=0, reason=None)


def test_an_item_of_a_newer_schema_is_refused_with_advice(backend: Backend, store: LeaseStore, run: Run) -> None:
    _set(backend, run, "schema", {"N": "2"})

    with pytest.raises(ItemTooNewError, match=r"RUN#2026-11-22/META has schema 2.*upgrade"):
        store.get_run(run.run_id)


def test_unknown_attributes_are_tolerated(backend: Backend, store: LeaseStore, run: Run) -> None:
    _set(backend, run, "added_later", {"S": "whatever"})

    assert store.get_run(run.run_id) == run


def _set(backend: Backend, run: Run, name: str, value: dict[str, str]) -> None:
    backend.client.update_item(
        TableName=backend.table,
        Key={"pk": {"S": f"RUN#{run.run_id}"}, "sk": {"S": "META"}},
        UpdateExpression="SET #name = :value",
        ExpressionAttributeNames={"#name": name},
        ExpressionAttributeValues={":value": value},
    )
