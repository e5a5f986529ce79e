"""Spot warnings, rebalance recommendations and instance ends, from recorded payloads to table and bucket."""

import itertools
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from lambdas import instance_state_change, rebalance_recommendation, spot_interruption, wiring
from spotproof import contract, events
from spotproof.errors import AwsUnavailableError, ConfigurationError, LeaseLostError
from spotproof.leases.model import CapacityClass, SessionState, ShardState, StopKind
from tests.fakes.leases import NOON, a_session, an_output
from tests.lambdas.conftest import INSTANCE, OTHER_INSTANCE, Account, LambdaContext

Metrics = Callable[[], dict[str, float]]
WARNING = "ec2_spot_interruption_warning.docs"
REBALANCE = "ec2_rebalance_recommendation.docs"
TERMINATED = "ec2_instance_state_change.terminated.docs"
DEADLINE = NOON + 120_000


def warn(account: Account, **changes: Any) -> Any:
    return spot_interruption.handler(account.event(WARNING, **changes), account.context)


def recommend(account: Account, **changes: Any) -> Any:
    return rebalance_recommendation.handler(account.event(REBALANCE, **changes), account.context)


def end(account: Account, name: str = TERMINATED, *, instance_id: str = INSTANCE, **changes: Any) -> Any:
    event = account.event(name, resources=[], **changes)
    event["detail"]["instance-id"] = instance_id
    return instance_state_change.handler(event, account.context)


def test_a_warning_writes_the_stop_file_and_drains_what_the_host_holds(account: Account, metrics: Metrics) -> None:
    first, second = account.worker("a"), account.worker("b")
    bystander = account.worker("c", instance_id=OTHER_INSTANCE)
    account.lease(first, 0)
    account.lease(bystander, 1)

    answer = warn(account)

    assert answer == {"sessions": 2, "drained": 1}
    stop = account.stop_file()
    assert stop is not None
    assert (stop["kind"], stop["deadline"][:19]) == ("notice", "2026-11-22T12:02:00")
    for session in (first, second):
        marked = account.session(session).stop
        assert marked is not None
        assert (marked.kind, marked.deadline) == (StopKind.NOTICE, DEADLINE)
    shard = account.store.get_shard(account.run, 0)
    assert shard is not None
    assert (shard.state, shard.reclaim_at) == (ShardState.LEASED, DEADLINE)
    assert account.session(bystander).stop is None
    emitted = metrics()
    assert emitted[events.METRIC_INTERRUPTION_WARNINGS] == 1
    assert emitted[events.METRIC_STOP_FILES_WRITTEN] == 1
    assert emitted[events.METRIC_STOP_FILE_LATENCY_MS] >= 0


def test_the_latency_of_the_stop_file_counts_from_the_event(account: Account, metrics: Metrics) -> None:
    account.worker()
    event = account.event(WARNING)
    account.clock.advance(1.5)

    spot_interruption.handler(event, account.context)

    assert metrics()[events.METRIC_STOP_FILE_LATENCY_MS] == 1500


def test_a_drained_shard_is_claimable_at_the_reclaim_time_and_not_before(account: Account) -> None:
    account.lease(account.worker(), 0)
    warn(account)

    account.clock.advance(119)
    assert account.store.candidates(account.run, CapacityClass.SPOT, limit=5) == []
    account.clock.advance(2)
    assert [c.index for c in account.store.candidates(account.run, CapacityClass.SPOT, limit=5)] == [0]


def test_the_same_warning_again_changes_nothing(account: Account, metrics: Metrics) -> None:
    account.lease(account.worker(), 0)
    warn(account)
    metrics()
    before = account.items(), account.stop_file()
    account.clock.advance(30)

    event = account.event(WARNING) | {"time": "2026-11-22T12:00:00Z"}
    spot_interruption.handler(event, account.context)

    assert (account.items(), account.stop_file()) == before
    assert events.METRIC_STOP_FILE_LATENCY_MS not in metrics()


def test_a_host_that_is_not_ours_costs_a_look_and_leaves_no_trace(account: Account, metrics: Metrics) -> None:
    account.worker(instance_id=OTHER_INSTANCE)
    before = account.items()

    for answer in (warn(account), recommend(account), end(account)):
        assert answer == {"ignored": 1}

    assert account.items() == before
    assert account.stop_file() is None
    assert metrics()[events.METRIC_INSTANCES_TERMINATED] == 0


@pytest.mark.parametrize("hours", [1, 24, 13 * 24])
def test_a_replay_from_a_dead_letter_queue_is_a_no_op(account: Account, hours: int) -> None:
    account.lease(account.worker(), 0)  # e.g. warned, but never interrupted
    stale = [account.event(WARNING), account.event(REBALANCE)]
    before = account.items()
    account.clock.advance(hours * 3600)

    assert spot_interruption.handler(stale[0], account.context) == {"ignored": 1}
    assert rebalance_recommendation.handler(stale[1], account.context) == {"ignored": 1}

    assert account.items() == before
    assert account.stop_file() is None


def test_a_recommendation_hints_for_twenty_minutes_and_takes_nothing(account: Account, metrics: Metrics) -> None:
    session = account.worker()
    account.lease(session, 0)

    assert recommend(account) == {"sessions": 1}

    hinted = account.session(session)
    assert (hinted.hint_until, hinted.stop, hinted.state) == (NOON + 1_200_000, None, SessionState.ALIVE)
    shard = account.store.get_shard(account.run, 0)
    assert shard is not None
    assert (shard.state, shard.reclaim_at, shard.fencing_token) == (ShardState.LEASED, None, 1)
    stop = account.stop_file()
    assert stop is not None
    assert (stop["kind"], stop["deadline"], stop["expires_at"][:19]) == ("rebalance", None, "2026-11-22T12:20:00")
    assert metrics()[events.METRIC_REBALANCE_RECOMMENDATIONS] == 1


@pytest.mark.parametrize("state", ["shutting-down", "terminated", "stopping", "stopped"])
def test_a_host_that_ends_gives_back_what_it_held_at_once(account: Account, state: str, metrics: Metrics) -> None:
    session = account.worker()
    lease = account.lease(session, 0)

    assert end(account, f"ec2_instance_state_change.{state}.docs") == {"sessions": 1, "requeued": 1}

    shard = account.store.get_shard(account.run, 0)
    assert shard is not None
    assert (shard.state, shard.fencing_token, shard.interruptions, shard.losses) == (ShardState.READY, 2, 1, 0)
    assert account.session(session).state is SessionState.DEAD
    emitted = metrics()
    assert (emitted[events.METRIC_SHARDS_REQUEUED], emitted[events.METRIC_SHARDS_QUARANTINED]) == (1, 0)
    with pytest.raises(LeaseLostError):  # "shutting-down" leaves it half a minute to try
        account.store.commit(lease, an_output(lease))


@pytest.mark.parametrize("state", ["pending", "running"])
def test_a_host_that_starts_is_none_of_our_business(account: Account, state: str) -> None:
    session = account.worker()

    assert end(account, f"ec2_instance_state_change.{state}.docs") == {"ignored": 1}
    assert account.session(session).state is SessionState.ALIVE


def test_both_events_of_one_end_count_one_interruption_and_one_instance(account: Account, metrics: Metrics) -> None:
    account.lease(account.worker(), 0)

    end(account, "ec2_instance_state_change.shutting-down.docs")
    assert metrics()[events.METRIC_INSTANCES_TERMINATED] == 0
    before = account.items()
    end(account)

    assert account.items() == before
    emitted = metrics()
    assert (emitted[events.METRIC_INSTANCES_TERMINATED], emitted[events.METRIC_SHARDS_REQUEUED]) == (1, 0)


def test_an_old_stopped_event_takes_nothing_from_the_hosts_new_workers(account: Account) -> None:
    stale = account.event("ec2_instance_state_change.stopped.docs", resources=[])
    stale["detail"]["instance-id"] = INSTANCE
    account.clock.advance(3600)
    session = account.worker()
    account.lease(session, 0)

    assert instance_state_change.handler(stale, account.context) == {"ignored": 1}
    assert account.session(session).state is SessionState.ALIVE


@pytest.mark.parametrize("order", list(itertools.permutations(("warn", "recommend", "end"))))
def test_whatever_the_order_of_events_the_shard_is_free_and_interrupted_once(
    account: Account, order: tuple[str, ...]
) -> None:
    account.lease(account.worker(), 0)
    flows: dict[str, Callable[[Account], Any]] = {"warn": warn, "recommend": recommend, "end": end}

    for name in (*order, *order):
        flows[name](account)

    shard = account.store.get_shard(account.run, 0)
    assert shard is not None
    assert (shard.state, shard.fencing_token, shard.interruptions) == (ShardState.READY, 2, 1)
    stop = account.stop_file()
    assert stop is not None
    assert stop["kind"] == "notice"


@pytest.mark.parametrize(
    ("handler", "name"),
    [
        (spot_interruption.handler, WARNING),
        (rebalance_recommendation.handler, REBALANCE),
        (instance_state_change.handler, TERMINATED),
    ],
)
@pytest.mark.parametrize(
    "forgery", [{"source": "my.app"}, {"account": "999999999999"}, {"detail": {}}, {"time": "2030-01-01T00:00:00Z"}]
)
def test_a_forged_or_malformed_event_is_counted_and_dropped(
    account: Account, metrics: Metrics, handler: Any, name: str, forgery: dict[str, Any]
) -> None:
    account.lease(account.worker(), 0)
    before = account.items()

    assert handler(account.event(name, **forgery), account.context) == {"rejected": 1}

    assert account.items() == before
    assert account.stop_file() is None
    assert metrics() == {events.METRIC_EVENTS_REJECTED: 1}


class FailingPuts:
    """S3 whose puts fail while `down`."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.down = True

    def put_object(self, **parameters: Any) -> Any:
        if self.down:
            raise EndpointConnectionError(endpoint_url="http://s3")
        return self.inner.put_object(**parameters)

    def get_object(self, **parameters: Any) -> Any:
        return self.inner.get_object(**parameters)


@pytest.mark.parametrize(("flow", "module"), [(warn, spot_interruption), (recommend, rebalance_recommendation)])
def test_with_s3_down_the_sessions_are_told_all_the_same_and_the_retry_completes(
    account: Account, flow: Callable[[Account], Any], module: Any
) -> None:
    session = account.worker()
    account.lease(session, 0)
    failing = FailingPuts(account.s3)
    module.warm().stop_files._client = failing
    started = account.clock.monotonic()

    with pytest.raises(AwsUnavailableError, match="stop file"):
        flow(account)

    assert account.clock.monotonic() - started <= wiring.PATIENCE_S + 1
    told = account.session(session)
    assert told.stop is not None or told.hint_until is not None
    failing.down = False
    flow(account)
    assert account.stop_file() is not None


def test_runs_that_have_ended_are_left_alone(account: Account) -> None:
    session = account.worker()
    account.lease(session, 0)
    account.store.cancel_run(account.run.run_id, reason="enough")
    before = account.items()

    warn(account)
    end(account)

    assert account.items() == before


def test_the_lead_of_a_notice_can_be_set_for_accelerated_accounts(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(contract.ENV_NOTICE_LEAD, "10")
    wiring.wire.cache_clear()
    spot_interruption.warm.cache_clear()
    session = account.worker()

    warn(account)

    marked = account.session(session).stop
    assert marked is not None
    assert marked.deadline == NOON + 10_000


@pytest.mark.parametrize("name", [contract.ENV_TABLE, contract.ENV_WORK_BUCKET, contract.ENV_STACK])
def test_a_missing_variable_is_one_error_that_names_it(
    account: Account, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv(name)
    wiring.wire.cache_clear()

    with pytest.raises(ConfigurationError, match=name):
        warn(account)


def test_logs_carry_our_event_names_the_librarys_included(
    account: Account, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instance_state_change.powertools.logger.handlers[0], "stream", sys.stdout)
    account.lease(account.worker(), 0)
    end(account)

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    logged = [line for line in lines if "message" in line]

    assert {line["message"] for line in logged} == {events.SHARDS_REQUEUED}
    assert any(line.get("session_id") for line in logged)  # from spotproof.leases.requeue
    [ours] = [line for line in logged if line.get("instance_id") == INSTANCE]
    assert ours["location"].startswith("handle:")  # and not the wrapper around the logger


def test_a_function_of_another_account_refuses_the_event(account: Account) -> None:
    elsewhere = LambdaContext(invoked_function_arn="arn:aws:lambda:us-east-1:999999999999:function:f")

    assert spot_interruption.handler(account.event(WARNING), elsewhere) == {"rejected": 1}


def test_a_session_without_a_shard_is_only_marked(account: Account) -> None:
    session = replace(a_session("idle", run=account.run), host=account.worker().host)
    account.store.open_session(session)

    assert warn(account) == {"sessions": 2, "drained": 0}
