"""The checkers of capacity decisions fail on what breaks their promise, and on no other: made by hand."""

from types import SimpleNamespace
from typing import Any, Final

import pytest

from simulation.checks.base import Check
from simulation.checks.budgets import BudgetCheck
from simulation.checks.caps import LATE_S, CapCheck
from simulation.checks.histories import HistoryCheck
from simulation.checks.orders import UNDER_WAY_S, OrderCheck
from simulation.cloud.instance import Lifecycle
from simulation.kernel.scheduler import microseconds
from spotproof import contract
from spotproof.interruptions.eventbridge import JobStatus
from spotproof.leases.attribute_values import Item, to_item
from spotproof.leases.history_items import history_to_item
from spotproof.leases.model import HistoryEntry, Host, RunOptions, RunState, history_key
from tests.simulation.test_checks import NOW_MS, RETIRED, RUN, Stand, ready, row, run_item, session

HOUR: Final = 3600.0


class Run(Stand):
    """A stand with the few things more that these checkers ask a world for."""

    def __init__(self, kind: type[Check], **options: Any) -> None:
        super().__init__(kind)
        self.options = RunOptions(**options)
        self.scenario = SimpleNamespace(peace_s=0.0, pause_s=0.0, workers=4, on_demand=False, skew_s=0.0)
        self.book.at_peace = True
        self.on_demand_queue = "on-demand"
        self.began = 0
        environments = SimpleNamespace(of=lambda _: SimpleNamespace(began=self.began))
        self.functions = SimpleNamespace(environments=environments)
        self.batch = SimpleNamespace(jobs={})
        self.table = SimpleNamespace(items=lambda: list(self.rows.values()))
        self.decisions: list[str] = []
        self.decided = self.decisions.append

    def at(self, seconds: float) -> None:
        self.scheduler.now = self.report.now = microseconds(seconds)

    def by(self, kind: str, name: str = "") -> None:
        """Whose calls follow."""
        self.process.kind, self.process.name = kind, name or f"{kind} 1"


# --- a paused run ------------------------------------------------------------------------------------------------


def paused_run() -> Run:
    run = Run(OrderCheck)
    run.write(run_item())
    run.write(run_item(state=RunState.PAUSED), "pause run")
    return run


def reads_the_run(run: Run) -> None:
    call = run.call("run", operation="get_item")
    run.check.calling(call)
    run.check.answered_call(call)


@pytest.mark.parametrize(("intent", "before"), [("claim ready", ready()), ("claim drained", row()), ("shard", None)])
def test_a_worker_that_knows_of_the_pause_leases_nothing(intent: str, before: Item | None) -> None:
    run = paused_run()
    if before is not None:
        run.write(before)
    reads_the_run(run)

    run.write(row(fencing_token=3), intent)

    assert run.broken == {"pause"}


def test_a_claim_under_way_is_no_breach_but_one_much_later_is() -> None:
    run = paused_run()
    run.at(UNDER_WAY_S - 1)
    run.write(row(), "shard")
    assert run.broken == set()

    run.at(UNDER_WAY_S + 1)
    run.write(row(1), "shard")
    assert run.broken == {"pause"}


def test_who_read_the_run_before_the_pause_or_after_its_end_may_lease() -> None:
    run = Run(OrderCheck)
    run.write(run_item())
    reads_the_run(run)
    run.write(run_item(state=RunState.PAUSED), "pause run")
    run.write(row(), "shard")
    reads_the_run(run)
    run.write(run_item(), "resume run")
    run.at(HOUR)
    run.write(row(1), "shard")

    assert run.broken == set()


def test_a_hole_that_a_controller_fills_is_no_lease() -> None:
    run = paused_run()
    run.by("controller")
    reads_the_run(run)
    run.write(ready(), "shard")
    assert run.broken == set()


def test_what_a_paused_run_still_saves_and_commits_is_no_lease() -> None:
    run = paused_run()
    reads_the_run(run)
    run.at(HOUR)
    run.write(row(), "record checkpoint")
    run.write(row(shard_state="DONE", done_at=NOW_MS), "commit")

    assert run.broken == set()


# --- caps --------------------------------------------------------------------------------------------------------


def worker(run: Run, name: str, *, lifecycle: Lifecycle = Lifecycle.ON_DEMAND, ended: bool = False) -> None:
    """A job in Batch."""
    job_id = f"job-{len(run.batch.jobs)}"
    run.batch.jobs[job_id] = SimpleNamespace(
        id=job_id, name=name, index=None, children=[], queue=SimpleNamespace(lifecycle=lifecycle), ended=ended,
        status=JobStatus.SUCCEEDED if ended else JobStatus.RUNNING, stopped_at=0 if ended else None,
    )  # fmt: skip


def adds(run: Run, workers: int = 1, *, queue: str = "on-demand") -> set[str]:
    run.by("controller")
    array = {"arrayProperties": {"size": workers}} if workers > 1 else {}
    run.check.calling(run.call("", operation="submit_job", jobName="new", jobQueue=queue, **array))
    return run.broken


@pytest.mark.parametrize(
    ("options", "there", "more", "broken"),
    [
        ({"on_demand_workers_max": 2}, 1, 1, set()),
        ({"on_demand_workers_max": 2}, 1, 2, {"caps"}),
        ({"on_demand_workers_max": 0}, 0, 1, {"caps"}),
        ({"on_demand_share_max": 0.5}, 1, 1, set()),  # of four workers
        ({"on_demand_share_max": 0.5}, 2, 1, {"caps"}),
        ({"on_demand_share_max": 0.1}, 0, 1, set()),  # one at least
        ({"on_demand_share_max": 0.1}, 1, 1, {"caps"}),
        ({"on_demand_share_max": 0.0}, 0, 1, {"caps"}),
        ({}, 50, 50, set()),
    ],
    ids=str,
)
def test_no_function_asks_for_more_than_the_caps_allow(
    options: dict[str, Any], there: int, more: int, broken: set[str]
) -> None:
    run = Run(CapCheck, **options)
    for number in range(there):
        worker(run, f"fallback {number}")

    assert adds(run, more) == broken


def test_who_has_ended_or_leaves_and_a_second_job_of_one_name_do_not_count() -> None:
    run = Run(CapCheck, on_demand_workers_max=2)
    worker(run, "over", ended=True)
    worker(run, "leaves")
    run.write(session(host=Host(instance_id="i", batch_job_id="job-1"), stop=RETIRED))
    worker(run, "twice")
    worker(run, "twice")
    worker(run, "spot", lifecycle=Lifecycle.SPOT)
    assert adds(run) == set()

    worker(run, "one too many")
    assert adds(run) == {"caps"}


def test_an_invocation_that_stood_still_is_not_judged_nor_is_a_person() -> None:
    run = Run(CapCheck, on_demand_workers_max=0)
    run.at(LATE_S + 1)
    assert adds(run) == set()
    run.at(LATE_S - 1)
    run.by("operator")
    run.check.calling(run.call("", operation="submit_job", jobName="new", jobQueue="on-demand"))
    assert run.broken == set()
    assert adds(run, queue="spot") == set()
    assert adds(run) == {"caps"}


# --- budgets -----------------------------------------------------------------------------------------------------


def spends(seconds: float, **options: Any) -> Run:
    """One m5.large for so long: $0.096 an hour."""
    run = Run(BudgetCheck, **options)
    run.at(seconds)
    run.fleet.instances = {"i": SimpleNamespace(type="m5.large", launched_at=0, ended_at=None)}
    run.write(run_item(options=run.options))
    return run


def pauses(run: Run, by: str = "controller") -> set[str]:
    run.by(by)
    run.write(run_item(options=run.options, state=RunState.PAUSED, reason="it has cost its budget"), "pause run")
    return run.broken


def test_a_run_is_paused_when_it_may_have_cost_its_budget() -> None:
    assert pauses(spends(HOUR, usd_max=0.09)) == set()


def test_a_run_that_can_not_have_cost_its_budget_is_not_paused() -> None:
    assert pauses(spends(HOUR, usd_max=0.2)) == {"budget"}


def test_a_run_without_a_budget_is_not_paused_by_a_controller() -> None:
    assert pauses(spends(HOUR)) == {"budget"}
    assert pauses(spends(HOUR), by="operator") == set()


# --- histories ---------------------------------------------------------------------------------------------------


def entry(at: int = NOW_MS, name: str = "on-demand-added", **changes: Any) -> Item:
    given: dict[str, Any] = {
        "key": history_key(at, name), "at": at, "kind": "on-demand added", "reason": "a shard has waited 61 s",
        "facts": {"batch_job_id": f"job-{at}", "cause": "waited"}, **changes,
    }  # fmt: skip
    return history_to_item(RUN.run_id, HistoryEntry(**given))


def marker(**more: Any) -> Item:
    return to_item({"pk": contract.topups_pk(RUN.run_id), "sk": "KEY#fallback-1", "claimant": "c", **more})


def decides(kind: str = "controller") -> Run:
    run = Run(HistoryCheck)
    run.by(kind)
    return run


def begins_a_round(run: Run) -> set[str]:
    run.check.calling(run.call("runs by activity", operation="query"))
    return run.broken


def notes(run: Run, item: Item) -> set[str]:
    run.check.calling(run.call("history", operation="put_item"))
    run.write(item, "history")
    return run.broken


def test_an_addition_is_noted_before_the_next_round() -> None:
    run = decides()
    run.write(marker(), "top-up")
    run.write(marker(job_id="job-1"), "top-up")
    assert notes(run, entry()) == set()
    assert begins_a_round(run) == set()
    assert run.decisions == ["on-demand added: waited"]


@pytest.mark.parametrize("deed", [marker(job_id="job-1"), run_item(state=RunState.PAUSED)], ids=("added", "paused"))
def test_a_deed_that_nobody_noted_is_told(deed: Item) -> None:
    run = decides()
    run.write(marker() if "claimant" in deed else run_item())
    run.write(deed, "top-up")
    assert run.broken == set()
    assert begins_a_round(run) == {"history"}


def test_what_a_fault_kept_from_being_noted_is_the_next_rounds_to_note() -> None:
    run = decides()
    run.book.at_peace = False
    run.write(marker(job_id="job-1"), "top-up")
    run.book.at_peace = True
    assert begins_a_round(run) == set()


def test_a_controller_that_died_owes_nothing_and_a_person_needs_no_note() -> None:
    run = decides()
    run.write(marker(job_id="job-1"), "top-up")
    run.by("controller", "controller 2")
    assert begins_a_round(run) == set()
    run.by("operator")
    run.write(run_item(), "run")
    run.write(run_item(state=RunState.PAUSED), "pause run")
    assert begins_a_round(run) == set()


@pytest.mark.parametrize(
    "wrong",
    [
        entry(reason=" "),
        entry(key=history_key(NOW_MS + 1, "on-demand-added")),
        entry(name="again"),
        entry(),
    ],
    ids=("no reason", "another time", "the same job", "the same key"),
)
def test_an_entry_stands_once_with_its_time_and_reason(wrong: Item) -> None:
    run = decides()
    assert notes(run, entry()) == set()
    assert notes(run, wrong) == {"history"}
