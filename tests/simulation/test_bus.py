"""Claims about the simulated bus: what reaches which function, how often, and what ends as a dead letter."""

import itertools
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from botocore.session import Session
from botocore.stub import Stubber

from lambdas.run_events import RunEvents
from simulation.cloud.aws_event import ACCOUNT, REGION
from simulation.cloud.forgeries import broken
from simulation.kernel.scheduler import MICROSECONDS
from spotproof import contract, events
from spotproof.errors import AwsUnavailableError
from spotproof.interruptions.eventbridge import run_finished_detail
from spotproof.retries import Retrier
from tests.fakes.clock import FakeClock
from tests.simulation.account_rig import QUEUE_ARN, Account, scripted

EVENTS = Path(__file__).parents[1] / "events"
PAYLOADS = {path.name: json.loads(path.read_text()) for path in EVENTS.glob("*.json") if path.name != "MANIFEST.json"}
NOTICE, STATE, JOB = "spot_interruption", "instance_state_change", "job_state_change"


class Inbox:
    """A handler that keeps what it gets."""

    def __init__(self) -> None:
        self.got: list[tuple[str, float, Any]] = []  # service, when, event
        self.account = Account(functions=scripted(self.handle))

    def handle(self, wiring: Any, _flow: Any, _telemetry: Any, event: Any, context: Any) -> dict[str, Any]:
        self.got.append((context.function_name, wiring.clock.monotonic(), event))
        return {}

    def contents(self) -> list[Any]:
        return [event for _, _, event in self.got]


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.mark.parametrize(
    ("payload", "function"),
    [
        ("ec2_spot_interruption_warning.docs.json", "Test-SpotInterruption"),
        ("ec2_rebalance_recommendation.docs.json", "Test-RebalanceRecommendation"),
        ("ec2_instance_state_change.shutting-down.docs.json", "Test-InstanceStateChange"),
        ("ec2_instance_state_change.terminated.docs.json", "Test-InstanceStateChange"),
        ("ec2_instance_state_change.stopping.docs.json", "Test-InstanceStateChange"),
        ("ec2_instance_state_change.stopped.docs.json", "Test-InstanceStateChange"),
    ],
)
def test_a_real_event_reaches_its_function_unchanged(inbox: Inbox, payload: str, function: str) -> None:
    inbox.account.bus.publish(PAYLOADS[payload])
    inbox.account.pass_time(10)

    assert [(name, event) for name, _, event in inbox.got] == [(function, PAYLOADS[payload])]


@pytest.mark.parametrize(
    "payload",
    [
        "ec2_instance_state_change.running.docs.json",
        "ec2_instance_state_change.pending.docs.json",
        "batch_job_state_change.runnable.docs.json",
        "batch_job_state_change.array_child_succeeded_after_reclaim.synth.json",
        "batch_job_queue_blocked.docs.json",
        "ecs_task_state_change.1.docs.json",
    ],
)
def test_events_that_no_rule_names_reach_nobody(inbox: Inbox, payload: str) -> None:
    inbox.account.bus.publish(PAYLOADS[payload])
    inbox.account.pass_time(10)

    assert inbox.got == []


def test_only_failed_jobs_of_our_queues_are_let_through(inbox: Inbox) -> None:
    failed = PAYLOADS["batch_job_state_change.failed_app_error.synth.json"]
    ours = failed | {"detail": failed["detail"] | {"jobQueue": QUEUE_ARN}}
    inbox.account.bus.publish(failed)
    inbox.account.bus.publish(ours)
    inbox.account.pass_time(10)

    assert inbox.contents() == [ours]


# --- at least once ---------------------------------------------------------------------------------------------


def test_every_event_arrives_once_while_nothing_strikes(inbox: Inbox) -> None:
    sent = [inbox.account.warning(id=str(number)) for number in range(50)]
    for event in sent:
        inbox.account.bus.publish(event)
    inbox.account.pass_time(30)

    assert sorted(inbox.contents(), key=lambda event: int(event["id"])) == sent


def test_a_duplicate_is_the_very_same_event(inbox: Inbox) -> None:
    inbox.account.rates["E1"] = 1.0
    event = inbox.account.warning()
    inbox.account.bus.publish(event)
    inbox.account.pass_time(320)

    assert inbox.contents() == [event, event]


def test_a_late_event_comes_minutes_to_hours_later(inbox: Inbox) -> None:
    inbox.account.rates["E2"] = 1.0
    for _ in range(40):
        inbox.account.bus.publish(inbox.account.warning())
    inbox.account.pass_time(9 * 3600)
    waited = sorted(moment for _, moment, _ in inbox.got)

    assert len(waited) == 40
    assert waited[0] >= 60
    assert waited[0] < 600
    assert waited[-1] > 3600


def test_events_are_overtaken_by_later_ones(inbox: Inbox) -> None:
    inbox.account.rates["E3"] = 0.5
    for number in range(20):
        inbox.account.bus.publish(inbox.account.warning(id=str(number)))
        inbox.account.pass_time(5)
    inbox.account.pass_time(300)
    order = [int(event["id"]) for event in inbox.contents()]

    assert sorted(order) == list(range(20))
    assert order != sorted(order)


def test_a_missing_event_never_comes(inbox: Inbox) -> None:
    inbox.account.rates["E4"] = 1.0
    inbox.account.bus.publish(inbox.account.warning())
    inbox.account.pass_time(100_000)

    assert inbox.got == []
    assert inbox.account.told("lost on the way to spot_interruption")


def test_a_world_at_peace_loses_nothing(inbox: Inbox) -> None:
    inbox.account.rates.update({"E1": 1.0, "E4": 1.0, "E5": 1.0})
    inbox.account.faults.at_peace = True
    inbox.account.bus.publish(inbox.account.warning())
    inbox.account.pass_time(1000)

    assert len(inbox.got) == 1


# --- what should not be there ----------------------------------------------------------------------------------


def test_broken_events_come_besides_the_real_one_and_the_real_handlers_refuse_each() -> None:
    account = Account()
    account.rates["E5"] = 1.0
    failed = PAYLOADS["batch_job_state_change.failed_app_error.synth.json"]
    for _ in range(60):
        account.bus.publish(account.warning())
        account.bus.publish(account.warning() | {"detail-type": contract.DETAIL_REBALANCE})
        account.bus.publish(state_change(account, "terminated"))
        account.bus.publish(failed | {"detail": failed["detail"] | {"jobQueue": QUEUE_ARN}})
        account.bus.put_events(Entries=[finished("run")])
        account.pass_time(100)
    metrics = account.functions.environments.telemetry.metrics

    assert metrics[events.METRIC_EVENTS_REJECTED] == 300
    assert metrics[events.METRIC_INTERRUPTION_WARNINGS] == 60
    assert account.functions.surprises == account.functions.invariant_errors == []
    assert account.table.snapshot() == ()


def test_every_kind_of_breaking_differs_from_the_event() -> None:
    event = Account().warning()
    kinds = {json.dumps(broken(event, random.Random(seed))) for seed in range(300)}

    assert len(kinds) > 15
    assert json.dumps(event) not in kinds


def test_strangers_share_no_instance_with_us_and_pass_the_same_rules(inbox: Inbox) -> None:
    inbox.account.rates["E6"] = 1.0
    for _ in range(40):
        inbox.account.bus.publish(inbox.account.warning())
    inbox.account.pass_time(300)
    named = Counter(event["detail"]["instance-id"] for event in inbox.contents())

    assert named.pop(inbox.account.warning()["detail"]["instance-id"]) == 40
    assert set(named.values()) == {1}
    assert len(named) == 40
    assert {event["account"] for event in inbox.contents()} > {ACCOUNT}
    assert {event["region"] for event in inbox.contents()} > {REGION}


def test_the_real_handlers_leave_strangers_alone() -> None:
    account = Account()
    account.rates["E6"] = 1.0
    failed = PAYLOADS["batch_job_state_change.failed_app_error.synth.json"]
    for _ in range(30):
        account.bus.publish(account.warning())
        account.bus.publish(state_change(account, "stopped"))
        account.bus.publish(failed | {"detail": failed["detail"] | {"jobQueue": QUEUE_ARN}})
        account.bus.put_events(Entries=[finished("run")])
        account.pass_time(30)

    assert account.functions.surprises == account.functions.invariant_errors == []
    assert account.functions.failed.letters == []
    assert account.table.snapshot() == ()


def test_new_fields_are_added_and_nothing_else_changes(inbox: Inbox) -> None:
    inbox.account.rates["E7"] = 1.0
    event = inbox.account.warning()
    inbox.account.bus.publish(event)
    inbox.account.pass_time(10)
    [got] = inbox.contents()

    assert got != event
    assert {name: got[name] for name in event if name != "detail"} | {
        "detail": {name: got["detail"][name] for name in event["detail"]}
    } == event


def test_the_real_handlers_tolerate_fields_of_tomorrow() -> None:
    account = Account()
    account.rates["E7"] = 1.0
    account.bus.publish(account.warning())
    account.bus.publish(state_change(account, "terminated"))
    account.bus.put_events(Entries=[finished("run")])
    account.pass_time(60)

    assert account.functions.environments.telemetry.metrics[events.METRIC_EVENTS_REJECTED] == 0
    assert len(account.told("returned", '"ignored": 1')) == 3


def test_a_burst_brings_as_many_warnings_of_strangers_within_a_second() -> None:
    account = Account(burst_size=200)
    account.rates["E11"] = 1.0
    account.bus.publish(account.warning())
    account.pass_time(2.5)
    delivered = [moment for moment, who in account.told("delivered to spot_interruption") if who == "bus"]

    assert len(delivered) > 150, "those of other accounts are among them"
    assert max(delivered) < 2


# --- handing over ------------------------------------------------------------------------------------------------


def test_what_functions_refuse_is_tried_again_with_growing_pauses_and_then_dead_lettered(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = inbox.account
    monkeypatch.setattr(account.functions, "accept", lambda _service, _event: False)
    for state in (account.warning(), state_change(account, "terminated")):
        account.bus.publish(state)
    account.pass_time(90_000)
    refused = [moment for moment, _ in account.told("refused by spot_interruption")]
    day = [moment for moment, _ in account.told("refused by instance_state_change")]

    assert [letter.service for letter in account.bus.deliveries.undelivered.letters] == [NOTICE, STATE]
    assert refused[-1] < 125, "a notice is worth trying for two minutes"
    pauses = [after - before for before, after in itertools.pairwise(day)]
    assert max(pauses[:3]) < 10
    assert min(pauses[-10:]) >= 150
    assert max(pauses) <= 300
    assert len(day) == 185
    assert account.bus.deliveries.undelivered.letters[1].moment < 86_500 * MICROSECONDS


def test_a_refused_event_arrives_when_the_functions_are_back(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    account = inbox.account
    monkeypatch.setattr(account.functions, "accept", lambda _service, _event: False)
    event = state_change(account, "terminated")
    account.bus.publish(event)
    account.pass_time(1000)
    assert inbox.got == []
    monkeypatch.undo()
    account.pass_time(400)

    assert inbox.contents() == [event]


# --- the schedule and our own events -------------------------------------------------------------------------------


def test_the_controller_is_called_every_minute_with_a_scheduled_event(inbox: Inbox) -> None:
    inbox.account.bus.start_schedules()
    inbox.account.pass_time(600)
    moments = [moment for _, moment, _ in inbox.got]

    assert len(moments) in (9, 10)
    assert {name for name, _, _ in inbox.got} == {"Test-Controller"}
    assert all(after - before == pytest.approx(60, abs=3) for before, after in itertools.pairwise(moments))
    assert set(inbox.contents()[0]) == set(PAYLOADS["ec2_spot_interruption_warning.docs.json"])
    assert inbox.contents()[0]["detail-type"] == "Scheduled Event"


def test_ticks_are_missed_and_doubled(inbox: Inbox) -> None:
    inbox.account.rates.update({"E1": 0.2, "E4": 0.2})
    inbox.account.bus.start_schedules()
    inbox.account.pass_time(6000)
    times = Counter(event["id"] for event in inbox.contents())

    assert 60 < len(times) < 95
    assert max(times.values()) == 2


def finished(run_id: str) -> dict[str, Any]:
    return {
        "Source": contract.EVENT_SOURCE,
        "DetailType": contract.DETAIL_RUN_FINISHED,
        "Detail": run_finished_detail(run_id),
        "EventBusName": "default",
    }


def state_change(account: Account, state: str) -> dict[str, Any]:
    event = account.warning() | {"detail-type": contract.DETAIL_INSTANCE_STATE}
    return event | {"detail": {"instance-id": event["detail"]["instance-id"], "state": state}}


def test_our_own_event_reaches_the_finalizer_in_the_envelope_of_the_service(inbox: Inbox) -> None:
    answer = inbox.account.bus.put_events(Entries=[finished("run-1")])
    inbox.account.pass_time(10)

    [event] = inbox.contents()
    assert set(event) == set(PAYLOADS["ec2_spot_interruption_warning.docs.json"])
    assert event["detail"] == {"schema": 1, "run_id": "run-1"}
    assert (event["resources"], event["time"], event["id"]) == (
        [],
        "2026-03-29T00:30:00Z",
        answer["Entries"][0]["EventId"],
    )
    assert answer["FailedEntryCount"] == 0


def test_entries_fail_one_by_one_and_the_announcer_notices() -> None:
    account = Account()
    account.rates["A2 entry refused"] = 1.0
    clock = FakeClock()
    announcer = RunEvents(client=account.bus, bus="default", retrier=Retrier(clock=clock, rng=random.Random(1)))  # type: ignore[arg-type]
    with pytest.raises(AwsUnavailableError, match="InternalFailure"):
        announcer.announce_finished("run")
    answer = account.bus.put_events(Entries=[finished("a") | {"Source": "aws.ec2"}, finished("b")])

    assert answer["FailedEntryCount"] == 2
    assert account.bus.published == 0


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"Source": "aws.ec2"}, "NotAuthorizedForSourceException"),
        ({"Source": ""}, "InvalidArgument"),
        ({"Detail": "[1]"}, "MalformedDetail"),
        ({"Detail": "{"}, "MalformedDetail"),
        ({"EventBusName": "another"}, "ResourceNotFoundException"),
    ],
)
def test_a_wrong_entry_is_refused_and_its_neighbour_published(inbox: Inbox, change: dict[str, str], code: str) -> None:
    answer = inbox.account.bus.put_events(Entries=[finished("a") | change, finished("b")])
    inbox.account.pass_time(10)

    assert answer["FailedEntryCount"] == 1
    assert [entry.get("ErrorCode") for entry in answer["Entries"]] == [code, None]
    assert [event["detail"]["run_id"] for event in inbox.contents()] == ["b"]


def test_answers_have_the_form_of_the_service(inbox: Inbox) -> None:
    client: Any = Session().create_client(
        "events", region_name=REGION, aws_access_key_id="testing", aws_secret_access_key="testing"
    )
    with Stubber(client) as stub:
        for entries in ([finished("a")], [finished("a") | {"Source": "aws.ec2"}]):
            stub.add_response("put_events", inbox.account.bus.put_events(Entries=entries), {"Entries": entries})
            client.put_events(Entries=entries)
