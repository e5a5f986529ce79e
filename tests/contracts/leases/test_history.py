"""Claims about a run's history: every entry once, oldest first, apart from other runs."""

from dataclasses import replace

import pytest

from spotproof.leases.model import HistoryEntry, Run, RunId, history_key
from spotproof.leases.store import LeaseStore
from tests.contracts.leases.fixtures import Backend
from tests.fakes.aws_errors import ReplyLosingClient
from tests.fakes.leases import NOON


def an_entry(at: int = NOON, name: str = "fallback/0", reason: str = "no Spot for 600 s") -> HistoryEntry:
    return HistoryEntry(key=history_key(at, name), at=at, kind="fallback", reason=reason, facts={"count": "2", "é": ""})


def test_an_entry_reads_back(store: LeaseStore, run: Run) -> None:
    assert store.note_history(run.run_id, an_entry()) is True

    assert list(store.history(run.run_id)) == [an_entry()]


def test_an_entry_without_reason_and_facts_reads_back(store: LeaseStore, run: Run) -> None:
    entry = HistoryEntry(key=history_key(NOON, "x"), at=NOON, kind="x", reason="")

    store.note_history(run.run_id, entry)

    assert list(store.history(run.run_id)) == [entry]


def test_the_first_entry_of_a_key_stays(store: LeaseStore, run: Run) -> None:
    store.note_history(run.run_id, an_entry())

    assert store.note_history(run.run_id, replace(an_entry(), reason="another decider's words")) is False
    assert store.note_history(run.run_id, an_entry()) is False
    assert list(store.history(run.run_id)) == [an_entry()]


@pytest.mark.parametrize("times", [(9, 10, 100), (100, 9, 10), (NOON, NOON - 1, 0)])
def test_history_is_told_oldest_first(store: LeaseStore, run: Run, times: tuple[int, ...]) -> None:
    for at in times:
        store.note_history(run.run_id, an_entry(at))

    assert [entry.at for entry in store.history(run.run_id)] == sorted(times)


def test_runs_have_histories_of_their_own(store: LeaseStore, run: Run) -> None:
    store.note_history(run.run_id, an_entry())
    store.note_history(RunId("other"), an_entry(name="fallback/1"))

    assert [entry.key for entry in store.history(run.run_id)] == [history_key(NOON, "fallback/0")]
    assert list(store.history(RunId("nobody"))) == []


def test_an_entry_whose_reply_was_lost_is_recognised(backend: Backend, run: Run) -> None:
    store = backend.store(ReplyLosingClient(backend.client))

    assert store.note_history(run.run_id, an_entry()) is True
    assert list(store.history(run.run_id)) == [an_entry()]
