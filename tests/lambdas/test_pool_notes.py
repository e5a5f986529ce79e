"""Notices and ends of hosts are noted for the breaker of their pool."""

from typing import Any

import pytest

from lambdas import instance_state_change, spot_interruption, wiring
from spotproof import events
from spotproof.capacity.breaker import BreakerState, PoolRecord, judge_pool
from spotproof.capacity.pool_records import PoolRecords
from spotproof.capacity.records import Records
from spotproof.clock import to_epoch_ms
from spotproof.errors import AwsUnavailableError
from spotproof.leases.model import Ledger
from tests.lambdas.conftest import INSTANCE, Account

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


def test_a_host_whose_notice_and_end_are_both_reported_counts_once(account: Account) -> None:
    account.lease(account.worker(), 0)

    warn(account)
    account.clock.advance(120)
    end(account)

    assert [each.instance_id for each in record(account).interruptions] == [INSTANCE]


def test_a_host_that_goes_without_a_notice_counts_too(account: Account) -> None:
    account.lease(account.worker(), 0)

    end(account)

    assert len(record(account).interruptions) == 1


def test_a_burst_opens_the_pool_and_says_so_once(account: Account, caplog: pytest.LogCaptureFixture) -> None:
    hosts = [f"i-{number:017x}" for number in range(4)]
    for number, host in enumerate(hosts):
        account.worker(f"w{number}", instance_id=host)

    for host in hosts:
        warn(account, host)
        account.clock.advance(1)

    now_ms = to_epoch_ms(account.clock.now())
    verdict = judge_pool(record(account), wiring.wire().settings.breaker, now_ms=now_ms)
    assert verdict.state is BreakerState.OPEN
    said = [vars(each) for each in caplog.records if each.msg == events.POOL_OPENED]
    assert [each["pool"] for each in said][:1] == [POOL]


@pytest.mark.parametrize("host", [{"lifecycle": "on-demand"}, {"lifecycle": ""}, {"zone": ""}])
def test_a_host_that_is_in_no_known_spot_pool_is_not_noted(account: Account, host: dict[str, Any]) -> None:
    account.lease(account.worker(**host), 0)

    end(account)

    assert pools(account).all() == {}


def test_an_idle_host_that_batch_gives_back_is_no_interruption(account: Account) -> None:
    worker = account.worker()
    account.store.end_session(worker, ledger=Ledger())

    end(account)

    assert pools(account).all() == {}


def test_a_note_that_fails_stops_no_draining(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    session = account.worker()
    account.lease(session, 0)

    def down(*_: object, **__: object) -> None:
        raise AwsUnavailableError("table down")

    monkeypatch.setattr(PoolRecords, "note_interruption", down)
    warn(account)

    assert account.session(session).stop is not None
    assert account.stop_file() is not None
