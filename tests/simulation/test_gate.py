"""Claims about the gate: every call is a point of switching, meets the fault decided for it, and is seen."""

import io
import random
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, EndpointConnectionError, ReadTimeoutError

from simulation.faults.book import FaultBook
from simulation.faults.calls import BASIC, SPELLS, Call, CallFault, error_of
from simulation.faults.drawn import DrawnFaults, can_strike
from simulation.faults.spells import LONGEST_S
from simulation.gate import LATE_S, PAUSE_S, READ_TIMEOUT_S, SLOW_S, Gate, GatedClients
from simulation.kernel.process import KILLED, Process
from simulation.kernel.scheduler import MICROSECONDS, Scheduler, microseconds
from simulation.kernel.trace import Trace
from spotproof import contract
from spotproof.errors import AwsAccessError
from spotproof.retries import as_aws_error, is_transient

REFUSED = ClientError({"Error": {"Code": "ConditionalCheckFailedException", "Message": "no"}}, "put_item")


class Store:
    """A service with one operation each way; counts what took effect."""

    def __init__(self) -> None:
        self.effects: list[Any] = []
        self.refuses = False

    def put_item(self, **given: Any) -> dict[str, Any]:
        self.effects.append(given.get("Item"))
        if self.refuses:
            raise REFUSED
        return {"answer": len(self.effects)}

    def put_object(self, **given: Any) -> dict[str, Any]:
        body = given["Body"]
        self.effects.append(body.read() if hasattr(body, "read") else body)
        return {"answer": len(self.effects)}


class Plan:
    """The faults of calls 1, 2, ..."""

    def __init__(self, *faults: CallFault | None) -> None:
        self.faults = list(faults)

    def at_call(self, _call: Call) -> CallFault | None:
        return self.faults.pop(0) if self.faults else None


class Witness:
    """Sees calls and their answers."""

    def __init__(self) -> None:
        self.called: list[str] = []
        self.answered: list[str] = []

    def calling(self, call: Call) -> None:
        self.called.append(call.site)

    def answered_call(self, call: Call) -> None:
        self.answered.append(call.site)


class Rig:
    """One process that calls one store."""

    def __init__(self, *faults: CallFault | None) -> None:
        self.scheduler = Scheduler()
        self.trace = Trace()
        self.store = Store()
        self.gate = Gate(scheduler=self.scheduler, trace=self.trace, rng=random.Random(1), faults=Plan(*faults))
        self.witness = Witness()
        self.gate.observers.append(self.witness)
        self.outcome: list[Any] = []
        self.at_s = 0.0
        self.process = Process(self.scheduler, name="w", kind="worker", rng=random.Random(2), on_exit=lambda _: None)
        services = dict.fromkeys(("dynamodb", "s3", "events", "batch", "ec2", "autoscaling"), self.store)
        self.clients = GatedClients(self.gate, self.process, services)

    def call(self, act: Callable[[], Any] | None = None) -> Any:
        """What the process got: an answer, an exception, or nothing if it did not live to see it."""
        act = act or (lambda: self.clients.dynamodb.put_item(Item={"pk": {"S": "R#1"}, "sk": {"S": contract.RUN_SK}}))

        def main() -> int:
            try:
                self.outcome.append(act())
            except (ClientError, EndpointConnectionError, ConnectTimeoutError, ReadTimeoutError) as error:
                self.outcome.append(error)
            self.at_s = self.scheduler.now / MICROSECONDS
            return 0

        self.process.start(main)
        self.scheduler.run(until=microseconds(3600), done=lambda: False)
        return self.outcome[0] if self.outcome else None


def test_without_a_fault_the_answer_comes_after_some_milliseconds() -> None:
    rig = Rig()

    assert rig.call() == {"answer": 1}
    assert 0.004 <= rig.at_s <= 0.1
    assert rig.witness.called == rig.witness.answered == ["worker dynamodb.put_item run"]


def test_what_the_service_refuses_reaches_the_caller_and_is_no_answer() -> None:
    rig = Rig()
    rig.store.refuses = True

    assert rig.call() is REFUSED
    assert rig.witness.answered == []


@pytest.mark.parametrize("fault", sorted(fault for fault in CallFault if fault.prevents))
def test_a_fault_that_prevents_leaves_no_effect(fault: CallFault) -> None:
    rig = Rig(fault)

    answer = rig.call()

    assert rig.store.effects == []
    assert answer is None if fault is CallFault.KILLED_BEFORE else isinstance(answer, Exception)


@pytest.mark.parametrize("fault", sorted(fault for fault in CallFault if not fault.prevents))
def test_every_other_fault_lets_the_call_take_effect(fault: CallFault) -> None:
    rig = Rig(fault)

    rig.call()

    assert len(rig.store.effects) == (2 if fault is CallFault.SENT_TWICE else 1)


def test_an_error_before_and_one_after_look_the_same_to_the_caller() -> None:
    before, after = Rig(CallFault.FAILED_BEFORE).call(), Rig(CallFault.FAILED_AFTER).call()

    assert before.response == after.response
    assert is_transient(before)


def test_a_lost_answer_is_waited_for_until_the_time_out() -> None:
    rig = Rig(CallFault.TIMED_OUT_AFTER)

    assert isinstance(rig.call(), ReadTimeoutError)
    assert rig.at_s >= READ_TIMEOUT_S


@pytest.mark.parametrize("fault", [CallFault.KILLED_BEFORE, CallFault.KILLED_AFTER])
def test_a_killed_caller_hears_nothing(fault: CallFault) -> None:
    rig = Rig(fault)

    assert rig.call() is None
    assert (rig.process.exit_code, rig.process.why) == (KILLED, fault.value)


@pytest.mark.parametrize("fault", [CallFault.PAUSED_BEFORE, CallFault.PAUSED_AFTER])
def test_a_paused_caller_goes_on_much_later_as_if_nothing_had_been(fault: CallFault) -> None:
    rig = Rig(fault)

    assert rig.call() == {"answer": 1}
    assert PAUSE_S <= rig.at_s < PAUSE_S + 1


def test_a_pause_before_delays_the_effect_and_one_after_does_not() -> None:
    moments: list[float] = []
    for fault in (CallFault.PAUSED_BEFORE, CallFault.PAUSED_AFTER):
        rig = Rig(fault)
        rig.call()
        [entry] = list(rig.trace)
        moments.append(entry.moment / MICROSECONDS)

    assert moments[0] >= PAUSE_S
    assert moments[1] < 1


def test_a_late_duplicate_has_its_effect_and_nobody_hears_the_answer() -> None:
    rig = Rig(CallFault.SENT_TWICE)

    assert rig.call() == {"answer": 1}

    assert len(rig.store.effects) == 2
    assert rig.witness.answered == ["worker dynamodb.put_item run"]
    assert rig.scheduler.now <= microseconds(LATE_S + 1)


def test_a_late_duplicate_of_a_stream_carries_the_same_bytes() -> None:
    rig = Rig(CallFault.SENT_TWICE)

    rig.call(lambda: rig.clients.s3.put_object(Bucket="b", Key="k", Body=io.BytesIO(b"bytes")))

    assert rig.store.effects == [b"bytes", b"bytes"]


def test_a_dead_process_calls_nobody() -> None:
    """The finally blocks of a killed process are unwound by Python: none of their calls has an effect."""
    rig = Rig(CallFault.KILLED_BEFORE)

    def act() -> Any:
        try:
            return rig.clients.dynamodb.put_item(Item={"pk": {"S": "R#1"}, "sk": {"S": contract.RUN_SK}})
        finally:
            rig.clients.dynamodb.put_item(Item={"pk": {"S": "R#1"}, "sk": {"S": contract.RUN_SK}})

    rig.call(act)

    assert rig.store.effects == []
    assert rig.process.crash is None


def test_the_basic_faults_are_the_six_of_crash_enumeration() -> None:
    assert [fault.value.partition(" ")[2] for fault in BASIC] == [
        "failed before", "failed after", "killed before", "killed after", "paused before", "paused after",
    ]  # fmt: skip


# --- faults as the seed draws them -------------------------------------------------------------------------------


def drawn(rates: dict[str, float], seed: int = 1) -> tuple[DrawnFaults, FaultBook]:
    book = FaultBook(rates=rates, rng=random.Random(seed))
    return DrawnFaults(book, random.Random(seed)), book


def a_call(rig: Rig, service: str = "dynamodb", operation: str = "update_item", **parameters: Any) -> Call:
    return Call(number=1, process=rig.process, service=service, operation=operation, intent="", parameters=parameters)


def test_nothing_strikes_at_peace_not_even_a_spell_that_lasts() -> None:
    faults, book = drawn({CallFault.OUTAGE.value: 1.0})
    call = a_call(Rig())
    assert faults.at_call(call) is CallFault.OUTAGE

    book.at_peace = True

    assert faults.at_call(call) is None


def test_an_outage_meets_every_call_of_its_service_and_no_other_service() -> None:
    faults, _ = drawn({CallFault.OUTAGE.value: 0.0})
    rig = Rig()
    faults._spells.begin(CallFault.OUTAGE, a_call(rig), 0.5)

    assert faults.at_call(a_call(rig, operation="query")) is CallFault.OUTAGE
    assert faults.at_call(a_call(rig, service="batch", operation="list_jobs")) is None


def test_expired_credentials_are_one_process_s() -> None:
    faults, _ = drawn({})
    rig, other = Rig(), Rig()
    other.process.name = "another"
    faults._spells.begin(CallFault.EXPIRED, a_call(rig), 0.5)

    assert faults.at_call(a_call(rig, service="s3", Bucket="b", Key="k")) is CallFault.EXPIRED
    assert faults.at_call(a_call(other)) is None


def test_a_denied_prefix_is_denied_to_everybody_and_others_are_not() -> None:
    faults, _ = drawn({})
    rig, other = Rig(), Rig()
    other.process.name = "another"
    faults._spells.begin(CallFault.DENIED, a_call(rig, service="s3", Bucket="b", Key="staging/1/x"), 0.5)

    assert faults.at_call(a_call(other, service="s3", Bucket="b", Key="staging/2")) is CallFault.DENIED
    assert faults.at_call(a_call(other, service="s3", Bucket="b", Prefix="staging/")) is CallFault.DENIED
    assert faults.at_call(a_call(other, service="s3", Bucket="b", Key="checkpoints/1")) is None
    assert faults.at_call(a_call(other)) is None


def test_a_spell_ends_by_itself() -> None:
    faults, _ = drawn({})
    rig = Rig()
    faults._spells.begin(CallFault.OUTAGE, a_call(rig), 1.0)
    rig.scheduler.after(LONGEST_S + 1, lambda: None)
    rig.scheduler.run(until=microseconds(3600), done=lambda: False)

    assert faults.at_call(a_call(rig)) is None


def test_spells_are_refusals_that_the_product_knows_and_outages_pass() -> None:
    for service in ("dynamodb", "s3", "batch", "events"):
        for fault in SPELLS - {CallFault.OUTAGE, CallFault.SLOW}:
            error = error_of(fault, a_call(Rig(), service=service))
            assert isinstance(as_aws_error(error, doing="a test"), AwsAccessError), (service, fault)
        assert is_transient(error_of(CallFault.OUTAGE, a_call(Rig(), service=service)))


def test_a_slow_store_answers_within_the_time_that_is_waited_for() -> None:
    rig = Rig(CallFault.SLOW)

    assert rig.call() == {"answer": 1}
    assert SLOW_S[0] < rig.at_s < SLOW_S[1] + 0.1 < READ_TIMEOUT_S


def test_what_strikes_is_counted_with_its_site() -> None:
    faults, book = drawn({CallFault.FAILED_BEFORE.value: 1.0})

    assert faults.at_call(a_call(Rig())) is CallFault.FAILED_BEFORE

    assert book.struck == {("A2 failed before", "worker dynamodb.update_item"): 1}


def test_the_first_call_at_a_site_fails_more_often() -> None:
    first, later = 0, 0
    for seed in range(400):
        faults, _ = drawn({CallFault.THROTTLED.value: 0.1}, seed)
        first += faults.at_call(a_call(Rig())) is not None
        later += faults.at_call(a_call(Rig())) is not None

    assert 130 <= first <= 190
    assert 20 <= later <= 60


@pytest.mark.parametrize(
    ("fault", "site", "can"),
    [
        (CallFault.SLOW_DOWN, "worker s3.get_object plan", True),
        (CallFault.SLOW_DOWN, "worker dynamodb.query partition", False),
        (CallFault.THROTTLED, "worker s3.get_object plan", False),
        (CallFault.SENT_TWICE, "worker s3.get_object plan", False),
        (CallFault.SENT_TWICE, "worker s3.put_object plan", True),
        (CallFault.SENT_TWICE, "controller dynamodb.transact_write_items", False),
        (CallFault.DENIED, "finalizer s3.delete_objects staging", False),
        (CallFault.DENIED, "finalizer s3.put_object _SUCCESS", True),
    ],
)
def test_where_a_fault_makes_sense(fault: CallFault, site: str, can: bool) -> None:
    assert can_strike(fault, site) is can
