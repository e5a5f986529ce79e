"""Ends of Spot hosts are noted for the breaker of their pool, once EC2 says that it took them back."""

from datetime import timedelta
from typing import Any

import pytest

from lambdas import instance_state_change, spot_interruption, wiring
from spotproof import contract, events
from spotproof.capacity.breaker import BreakerState, PoolRecord, judge_pool
from spotproof.capacity.pool_records import PoolRecords
from spotproof.capacity.records import Records
from spotproof.clock import to_epoch_ms
from spotproof.errors import AwsUnavailableError
from spotproof.leases.model import Ledger, SessionState
from tests.lambdas.conftest import INSTANCE, Account
from tests.lambdas.ec2_world import BY_A_PERSON, Ec2World

POOL = "m6i.large/us-east-1a"
WARNING = "ec2_spot_interruption_warning.docs"
TERMINATED = "ec2_instance_state_change.terminated.docs"


def pools(account: Account) -> PoolRecords:
    return PoolRecords(Records(dynamodb=account.dynamodb, table_name="table", retrier=wiring.wire().retrier))


def about(account: Account, name: str, instance_id: str) -> dict[str, Any]:
    event = account.event(name, resources=[])
    event["detail"] |= {"instance-id": instance_id}
    return event


def warn(account: Account, instance_id: str = INSTANCE) -> None:
    spot_interruption.handler(about(account, WARNING, instance_id), account.context)


def end(account: Account, instance_id: str = INSTANCE) -> None:
    instance_state_change.handler(about(account, TERMINATED, instance_id), account.context)


def record(account: Account) -> PoolRecord:
    return pools(account).read(POOL)


def test_a_host_that_ec2_took_back_counts_once(account: Account, ec2: Ec2World) -> None:
    account.lease(account.worker(), 0)
    ec2.end(INSTANCE)

    end(account)
    account.clock.advance(120)
    end(account)

    assert [each.instance_id for each in record(account).interruptions] == [INSTANCE]


def test_a_notice_alone_which_anybody_could_forge_counts_for_nothing(account: Account, ec2: Ec2World) -> None:
    account.lease(account.worker(), 0)
    ec2.run(INSTANCE)

    warn(account)

    assert account.stop_file() is not None
    assert pools(account).all() == {}


def test_a_worker_that_left_in_time_does_not_hide_that_its_host_was_taken(account: Account, ec2: Ec2World) -> None:
    worker = account.worker()
    warn(account)
    account.store.end_session(worker, ledger=Ledger())
    ec2.end(INSTANCE)

    end(account)

    assert len(record(account).interruptions) == 1


def test_what_ec2_shows_late_is_noted_with_the_next_event_of_the_same_end(account: Account, ec2: Ec2World) -> None:
    account.lease(account.worker(), 0)
    ec2.run(INSTANCE)
    end(account)
    assert pools(account).all() == {}
    ec2.end(INSTANCE)

    end(account)

    assert len(record(account).interruptions) == 1


@pytest.mark.parametrize("ended", ["runs", "by a person", "on demand", "unknown"])
def test_an_end_that_ec2_does_not_confirm_requeues_and_opens_nothing(
    account: Account, ec2: Ec2World, ended: str
) -> None:
    for number in range(4):
        host = f"i-{number:017x}"
        account.worker(f"w{number}", instance_id=host)
        match ended:
            case "runs":
                ec2.run(host)
            case "by a person":
                ec2.end(host, reason=BY_A_PERSON)
            case "on demand":
                ec2.end(host, spot=False)
    session = account.worker()
    account.lease(session, 0)

    for number in range(4):
        end(account, f"i-{number:017x}")
    answer = instance_state_change.handler(about(account, TERMINATED, INSTANCE), account.context)

    assert answer == {"sessions": 1, "requeued": 1}
    assert pools(account).all() == {}


def test_a_burst_opens_the_pool_and_says_so_once(
    account: Account, ec2: Ec2World, caplog: pytest.LogCaptureFixture
) -> None:
    hosts = [f"i-{number:017x}" for number in range(4)]
    for number, host in enumerate(hosts):
        account.worker(f"w{number}", instance_id=host)
        ec2.end(host)

    for host in hosts:
        end(account, host)
        account.clock.advance(1)

    now_ms = to_epoch_ms(account.clock.now())
    verdict = judge_pool(record(account), wiring.wire().settings.breaker, now_ms=now_ms)
    assert verdict.state is BreakerState.OPEN
    said = [vars(each) for each in caplog.records if each.msg == events.POOL_OPENED]
    assert [each["pool"] for each in said][:1] == [POOL]


def test_an_end_of_tomorrow_is_noted_as_of_now(account: Account, ec2: Ec2World) -> None:
    account.worker()
    ec2.end(INSTANCE)
    now = account.clock.now()
    event = about(account, TERMINATED, INSTANCE) | {"time": (now + timedelta(hours=20)).isoformat()}

    instance_state_change.handler(event, account.context)

    assert [each.at for each in record(account).interruptions] == [to_epoch_ms(now)]


@pytest.mark.parametrize("host", [{"lifecycle": "on-demand"}, {"lifecycle": ""}, {"zone": ""}])
def test_a_host_that_is_in_no_known_spot_pool_is_not_noted(
    account: Account, ec2: Ec2World, host: dict[str, Any]
) -> None:
    account.lease(account.worker(**host), 0)
    ec2.end(INSTANCE)

    end(account)

    assert pools(account).all() == {}
    assert not ec2.calls


def test_an_idle_host_that_batch_gives_back_is_no_interruption(account: Account, ec2: Ec2World) -> None:
    worker = account.worker()
    account.store.end_session(worker, ledger=Ledger())
    ec2.end(INSTANCE, reason=BY_A_PERSON)

    end(account)

    assert pools(account).all() == {}


def test_a_host_of_nobody_we_know_is_not_asked_about(account: Account, ec2: Ec2World) -> None:
    end(account, "i-0000000000000dead")

    assert not ec2.calls


@pytest.mark.parametrize("down", ["ec2", "table"])
def test_a_note_that_fails_stops_no_requeue(
    account: Account, ec2: Ec2World, monkeypatch: pytest.MonkeyPatch, down: str
) -> None:
    session = account.worker()
    account.lease(session, 0)
    ec2.end(INSTANCE)

    def refuse(*_: object, **__: object) -> None:
        raise AwsUnavailableError("table down")

    if down == "table":
        monkeypatch.setattr(PoolRecords, "note_interruption", refuse)
    else:
        ec2.refuse = "UnauthorizedOperation"

    answer = instance_state_change.handler(about(account, TERMINATED, INSTANCE), account.context)

    assert answer == {"sessions": 1, "requeued": 1}
    assert pools(account).all() == {}


def test_a_damaged_record_of_the_pool_is_told_and_stops_no_requeue(
    account: Account, ec2: Ec2World, caplog: pytest.LogCaptureFixture
) -> None:
    session = account.worker()
    account.lease(session, 0)
    ec2.end(INSTANCE)
    account.dynamodb.put_item(TableName="table", Item={"pk": {"S": contract.POOLS_PK}, "sk": {"S": POOL}})

    end(account)

    assert account.session(session).state is SessionState.DEAD
    [said] = [vars(each) for each in caplog.records if each.msg == events.CONTROLLER_FAILED]
    assert f"the item of '{POOL}' is damaged" in said["error"]
