"""Claims about the simulated function service: what is retried, when, with what, and what ends where."""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from simulation.faults.calls import CallFault
from simulation.kernel.process import EPOCH, Process
from simulation.kernel.scheduler import MICROSECONDS
from spotproof.clock import to_epoch_ms
from spotproof.errors import AwsUnavailableError
from spotproof.leases.dynamodb import DynamoDBLeaseStore
from spotproof.leases.run_items import run_from_item
from spotproof.retries import Retrier
from tests.fakes.clock import FakeClock
from tests.fakes.leases import HOUR, a_run, a_session, key_of
from tests.simulation.account_rig import Account, scripted

NOTICE, CONTROLLER, STATE = "spot_interruption", "controller", "instance_state_change"


class Diary:
    """A handler that writes down its invocations and does what `act` says."""

    def __init__(self, act: Callable[[Any, int], object] = lambda _wiring, _number: None) -> None:
        self.began: list[tuple[float, str, dict[str, Any]]] = []  # when, request id, event
        self.ended = 0
        self.remaining_ms: list[int] = []
        self.flows: list[Any] = []
        self.arn = ""
        self._act = act

    def handle(self, wiring: Any, flow: Any, _telemetry: Any, event: dict[str, Any], context: Any) -> dict[str, Any]:
        self.began.append((wiring.clock.monotonic(), context.aws_request_id, event))
        self.remaining_ms.append(context.get_remaining_time_in_millis())
        self.flows.append(flow)
        self.arn = context.invoked_function_arn
        self._act(wiring, len(self.began))
        self.ended += 1
        return {}

    def moments(self) -> list[float]:
        return [moment for moment, _, _ in self.began]

    def requests(self) -> set[str]:
        return {request for _, request, _ in self.began}


def store_of(account: Account) -> DynamoDBLeaseStore:
    """The account's table without gate and faults."""
    clock = FakeClock()
    return DynamoDBLeaseStore(account.table, "table", clock, Retrier(clock=clock, rng=random.Random(1)))


def fail(_wiring: Any, _number: int) -> None:
    raise AwsUnavailableError("the table is away")


def read_ten_times(wiring: Any, _number: int) -> None:
    for _ in range(10):
        wiring.clients.dynamodb.get_item(TableName="table", Key={"pk": {"S": "p"}, "sk": {"S": "s"}})


def account_with(diary: Diary, **more: Any) -> Account:
    return Account(functions=scripted(diary.handle), **more)


def test_a_handler_gets_the_event_its_deadline_and_the_account_of_its_own_arn() -> None:
    diary = Diary(lambda wiring, _: wiring.clock.sleep(3))
    account = account_with(diary)
    event = {"detail": {"any": ["thing", 1, None]}}

    assert account.functions.accept(STATE, json.dumps(event))
    account.pass_time(10)

    assert [event for _, _, event in diary.began] == [event]
    assert diary.remaining_ms == [30_000]
    assert diary.arn == "arn:aws:lambda:us-east-1:123456789012:function:Test-InstanceStateChange"
    assert diary.ended == 1


def test_an_environment_stays_warm_and_cools_off_when_nothing_comes() -> None:
    diary = Diary()
    processes: list[Process] = []
    account = account_with(diary, prepare=processes.append)
    for pause_s in (30, 700, 30, 30):
        account.functions.accept(STATE, "{}")
        account.pass_time(pause_s)

    first, second, third, fourth = diary.flows
    assert first is second
    assert third is fourth
    assert first is not third
    assert [process.alive for process in processes] == [False, True]


def test_events_at_the_same_time_get_environments_of_their_own() -> None:
    diary = Diary(lambda wiring, _: wiring.clock.sleep(3))
    account = account_with(diary)
    for _ in range(5):
        account.functions.accept(STATE, "{}")
    account.pass_time(2.5)

    assert account.functions.running == 5
    assert len({id(flow) for flow in diary.flows}) == 5


def test_a_failed_invocation_is_retried_after_one_and_two_minutes_under_its_request_id_then_given_up() -> None:
    diary = Diary(fail)
    account = account_with(diary)
    account.functions.accept(STATE, '{"event": 1}')
    account.pass_time(600)

    first, second, third = diary.moments()
    assert second - first == pytest.approx(60, abs=2)
    assert third - second == pytest.approx(120, abs=2)
    assert len(diary.requests()) == 1
    [letter] = account.functions.failed.letters
    assert (letter.service, json.loads(letter.event)) == (STATE, {"event": 1})


def test_the_controller_is_not_retried() -> None:
    diary = Diary(fail)
    account = account_with(diary)
    account.functions.accept(CONTROLLER, "{}")
    account.pass_time(600)

    assert len(diary.began) == len(account.functions.failed.letters) == 1


def test_an_event_older_than_its_limit_is_given_up_instead_of_retried() -> None:
    diary = Diary(fail)
    account = account_with(diary)
    account.functions.accept(NOTICE, "{}")  # 120 s: after the first retry the second would be too late
    account.pass_time(600)

    assert len(diary.began) == 2
    assert "too old" in account.functions.failed.letters[0].reason


def test_the_process_is_killed_at_the_functions_timeout_and_the_event_retried() -> None:
    diary = Diary(lambda wiring, number: wiring.clock.sleep(100 if number == 1 else 0))
    account = account_with(diary)
    account.functions.accept(STATE, "{}")
    account.pass_time(80)
    [(killed_at, _)] = account.told("retry in 60 s", "timed out")

    assert killed_at - diary.moments()[0] == pytest.approx(30)
    account.pass_time(30)
    assert len(diary.began) == 2
    assert diary.ended == 1
    assert diary.flows[0] is not diary.flows[1]


def test_a_process_killed_at_an_aws_call_is_a_failed_invocation() -> None:
    diary = Diary(read_ten_times)
    account = account_with(diary)
    account.calls.by_number = {3: CallFault.KILLED_AFTER}
    account.functions.accept(STATE, "{}")
    account.pass_time(100)

    assert (len(diary.began), diary.ended, account.gate.calls) == (2, 1, 13)


@pytest.mark.parametrize("fault", ["L1", "L8"])
def test_a_hanging_or_killed_invocation_is_cut_short_and_retried(fault: str) -> None:
    diary = Diary(read_ten_times)
    account = account_with(diary)
    account.rates[fault] = 1.0
    account.functions.accept(STATE, "{}")
    account.pass_time(20)
    account.rates.clear()
    account.pass_time(300)

    assert len(diary.began) == 2
    assert diary.ended <= 2, "the first may have come to its end and never answered"
    waited_s = diary.moments()[1] - diary.moments()[0]
    assert waited_s == pytest.approx(90 if fault == "L1" else 60, abs=3)
    assert account.functions.failed.letters == []


def test_mishaps_strike_at_any_call_and_at_the_end() -> None:
    calls = set()
    for seed in range(60):
        account = account_with(Diary(read_ten_times), seed=seed)
        account.rates["L8"] = 1.0
        account.functions.accept(STATE, "{}")
        account.pass_time(20)
        calls.add(sum(entry.what.startswith("dynamodb") for entry in account.trace))

    assert calls == set(range(11))


def test_an_invocation_taken_for_timed_out_may_live_on_beside_its_retry() -> None:
    overlaps = 0
    for seed in range(20):
        diary = Diary(read_ten_times)
        account = account_with(diary, seed=seed)
        account.rates["L2"] = 1.0
        account.functions.accept(STATE, "{}")
        account.pass_time(20)
        account.rates.clear()
        account.pass_time(400)
        late = account.told("returned too late")
        again = diary.moments()[1]
        assert len(diary.began) == 2
        assert diary.ended == 2
        assert len(late) == 1
        overlaps += late[0][0] > again
    assert overlaps > 3


def test_two_versions_may_handle_one_event_at_once_and_only_one_is_answered_for() -> None:
    diary = Diary(fail)
    account = account_with(diary)
    account.rates["L7"] = 1.0
    account.functions.accept(STATE, "{}")
    account.pass_time(20)

    assert len(diary.began) == 2
    assert len(diary.requests()) == 1
    assert diary.flows[0] is not diary.flows[1]
    account.rates.clear()
    account.pass_time(600)
    assert len(diary.began) == 4
    assert len(account.functions.failed.letters) == 1


def test_a_cold_start_may_take_longer_than_a_notice_is_ahead() -> None:
    diary = Diary()
    account = account_with(diary)
    account.rates["L4"] = 1.0
    account.functions.accept(NOTICE, "{}")
    account.pass_time(120)

    assert diary.began == []
    account.pass_time(70)
    assert len(diary.began) == 1


def test_an_account_at_its_concurrency_begins_later_what_it_cannot_begin_now() -> None:
    diary = Diary(lambda wiring, _: wiring.clock.sleep(5))
    account = account_with(diary, concurrency_max=3)
    for _ in range(9):
        account.functions.accept(STATE, "{}")
    for _ in range(200):
        account.pass_time(1)
        assert account.functions.running <= 3

    assert diary.ended == 9


def test_a_shortage_refuses_queues_or_gives_up() -> None:
    outcomes = set()
    for seed in range(12):
        diary = Diary()
        account = account_with(diary, seed=seed)
        account.rates["L3"] = 1.0
        accepted = account.functions.accept(STATE, "{}")
        account.rates.clear()
        account.pass_time(4)
        began_soon = len(diary.began)
        account.pass_time(3_000)
        outcomes.add((accepted, began_soon, len(diary.began), len(account.functions.failed.letters)))

    assert outcomes == {(False, 0, 0, 0), (True, 0, 1, 0), (True, 0, 0, 1)}


def test_a_dead_letter_may_be_sent_again_hours_later() -> None:
    diary = Diary(fail)
    account = account_with(diary)
    account.rates["L5"] = 1.0
    account.functions.accept(CONTROLLER, '{"event": 1}')
    account.pass_time(50)
    assert len(account.functions.failed.letters) == 1
    account.rates.clear()
    account.pass_time(11 * 3600)

    assert [event for _, _, event in diary.began] == [{"event": 1}] * 2
    assert len(diary.requests()) == 2, "it is a new invocation"


def test_a_broken_invariant_and_a_bug_are_kept_for_the_checkers_and_failures_of_aws_are_not() -> None:
    def act(_wiring: Any, number: int) -> None:
        raise (AssertionError("tokens rise"), KeyError("bug"), AwsUnavailableError("away"))[number - 1]

    account = account_with(Diary(act))
    account.functions.accept(STATE, "{}")
    account.pass_time(600)

    assert [(found.service, str(found.error)) for found in account.functions.invariant_errors] == [
        (STATE, "tokens rise")
    ]
    assert [type(found.error) for found in account.functions.surprises] == [KeyError]


def test_a_frozen_function_is_killed_at_its_timeout() -> None:
    diary = Diary(read_ten_times)
    account = account_with(diary)
    account.calls.by_number = {2: CallFault.PAUSED_AFTER}
    account.functions.accept(STATE, "{}")
    account.pass_time(60)

    [(killed_at, _)] = account.told("retry in 60 s", "timed out")
    assert killed_at - diary.moments()[0] == pytest.approx(30)


def test_new_processes_are_prepared_before_they_run() -> None:
    seen: list[str] = []
    diary = Diary(lambda wiring, _: seen.append(f"{wiring.clock.now():%Y-%m-%d}"))
    account = account_with(diary, prepare=lambda process: setattr(process, "skew_us", 86_400 * MICROSECONDS))
    account.functions.accept(STATE, "{}")
    account.pass_time(10)

    assert seen == ["2026-03-30"]


def test_the_same_seed_tells_the_same_story() -> None:
    digests = set()
    for _ in range(2):
        account = account_with(Diary(read_ten_times), seed=5)
        account.rates.update({"L1": 0.2, "L2": 0.2, "L3": 0.1, "L4": 0.2, "L5": 0.5, "L7": 0.2, "L8": 0.2})
        for _ in range(30):
            account.functions.accept(STATE, "{}")
            account.pass_time(7)
        account.pass_time(10_000)
        digests.add(account.trace.digest())

    assert len(digests) == 1


def test_a_warning_told_twice_by_the_real_handler_marks_the_workers_and_writes_one_stop_file() -> None:
    account = Account()
    store = store_of(account)
    run = store.create_run(a_run(created_at=0))
    event = account.warning()
    host = replace(a_session().host, instance_id=event["detail"]["instance-id"])
    session = store.open_session(a_session(run=run, host=host, until=to_epoch_ms(EPOCH) + HOUR, started_at=0))
    account.rates["E1"] = 1.0
    account.bus.publish(event)
    account.pass_time(100)
    account.pass_time(300)
    stored = store.get_session(key_of(session))

    assert stored is not None
    assert stored.stop is not None
    assert account.functions.environments.telemetry.metrics["StopFilesWritten"] == 1
    assert len(account.told("delivered to spot_interruption")) == 2


def test_the_real_controller_tends_the_runs_of_the_table() -> None:
    account = Account()
    account.bus.start_schedules()
    store_of(account).create_run(a_run(created_at=0))
    account.pass_time(300)

    assert account.functions.environments.telemetry.metrics["ControllerHeartbeat"] == pytest.approx(5, abs=1)
    assert account.functions.surprises == account.functions.invariant_errors == []
    assert any('"runs": 1' in entry.detail for entry in account.trace)
    assert all(run_from_item(item).run_id == "2026-11-22" for item in account.table.items())
