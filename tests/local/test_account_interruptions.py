"""Losing instances of the local account: announced, unannounced, and not at all."""

import json
import os
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from localcloud.errors import UsageError
from tests.local.account import TestAccount, eventually

SLEEP = "import time; print('up', flush=True); time.sleep(600)"
WARNING = "EC2 Spot Instance Interruption Warning"

# Asks instance metadata the way a worker does, and prints what it was told.
WATCHER = """
import json, os, sys, time, urllib.error, urllib.request
base = os.environ["AWS_EC2_METADATA_SERVICE_ENDPOINT"]
def call(path, method="GET", **headers):
    request = urllib.request.Request(f"{base}/latest/{path}", method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=2) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""
    except OSError as error:
        return 0, type(error).__name__
ttl = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
token = call("api/token", "PUT", **ttl)[1]
authorized = {"X-aws-ec2-metadata-token": token}
print("without token", call("meta-data/instance-id")[0], flush=True)
print("lifecycle", *call("meta-data/instance-life-cycle", **authorized), flush=True)
print("before", call("meta-data/spot/instance-action", **authorized)[0], flush=True)
seen = set()
while True:
    for path in ("spot/instance-action", "events/recommendations/rebalance"):
        status, body = call("meta-data/" + path, **authorized)
        if (path, status) not in seen and status != 404:
            seen.add((path, status))
            print("told", json.dumps([path, status, body, time.time()]), flush=True)
    time.sleep(0.1)
"""


def _told(small: TestAccount, job_id: str, path: str) -> tuple[int, str, float]:
    """Status, body and moment of the first answer other than 404 that the watcher got for `path`."""

    def found() -> list[tuple[int, str, float]]:
        lines = [json.loads(line.removeprefix("told ")) for line in small.lines(job_id) if line.startswith("told ")]
        return [(status, body, at) for seen, status, body, at in lines if seen == path]

    return eventually(found, f"{path} in metadata")[0]  # type: ignore[no-any-return]


def test_an_interruption_is_recommended_noticed_and_carried_out_when_it_said(small: TestAccount) -> None:
    job_id = small.submit(WATCHER)
    small.wait_for_line(job_id, "before 404")
    host, since = small.host_of(job_id), small.last_event()

    small.admin.interrupt(host)
    _, rebalance, _ = _told(small, job_id, "events/recommendations/rebalance")
    _, notice, told_at = _told(small, job_id, "spot/instance-action")
    killed = small.admin.wait_for_event("instance.killed", since=since, where=lambda entry: entry["instance"] == host)

    due = datetime.fromisoformat(json.loads(notice)["time"]).timestamp()
    assert json.loads(notice)["action"] == "terminate"
    assert "noticeTime" in json.loads(rebalance)
    assert told_at < killed["t"]
    assert 0 <= killed["t"] - due < 1.5  # metadata writes whole seconds
    assert killed["jobs"] == [job_id]


def test_a_lost_host_leaves_an_attempt_without_exit_code_and_the_job_goes_on_elsewhere(small: TestAccount) -> None:
    job_id = small.submit(SLEEP)
    small.wait_for_line(job_id, "up")
    host = small.host_of(job_id)

    small.admin.kill(host)
    eventually(lambda: small.describe(job_id)["attempts"], "the first attempt's end")
    job = small.wait(job_id, "RUNNING")

    assert "exitCode" not in job["attempts"][0]["container"]
    assert job["attempts"][0]["statusReason"] == f"Host EC2 (instance {host}) terminated."
    assert small.host_of(job_id) != host


def test_a_kill_is_instant_and_announced_to_nobody(small: TestAccount) -> None:
    job_id = small.submit(WATCHER)
    small.wait_for_line(job_id, "before 404")
    state = small.admin.state()
    host = next(one for one in state.running() if job_id in one.jobs)
    since = small.last_event()

    small.admin.kill(host.id)

    eventually(lambda: not Path(f"/proc/{host.pids[0]}/cmdline").exists(), "the process's end", timeout_s=5)
    small.admin.wait_for_event("instance.terminated", since=since)
    kinds = {entry["kind"] for entry in small.admin.events(since=since)}
    assert not kinds & {"instance.notice", "instance.rebalance"}
    assert not any(line.startswith("told") for line in small.lines(job_id))


def test_a_rebalance_recommendation_alone_takes_nothing_away(small: TestAccount) -> None:
    job_id = small.submit(WATCHER)
    small.wait_for_line(job_id, "before 404")
    host = small.host_of(job_id)

    small.admin.rebalance(host)
    status, _, _ = _told(small, job_id, "events/recommendations/rebalance")
    time.sleep(2 * 1.5)  # twice the notice window: nothing may follow

    instance = next(one for one in small.admin.state().instances if one.id == host)
    assert status == 200
    assert (instance.state, instance.draining, instance.jobs) == ("running", False, [job_id])


def test_a_notice_without_reclaim_leaves_the_instance_running(small: TestAccount) -> None:
    job_id = small.submit(SLEEP)
    small.wait_for_line(job_id, "up")

    due = small.admin.notice(small.host_of(job_id), reclaim=False)
    eventually(lambda: time.time() > due + 0.5, "the announced moment")

    assert small.describe(job_id)["status"] == "RUNNING"


def test_nothing_new_is_placed_on_an_instance_that_was_given_notice(small: TestAccount) -> None:
    first = small.submit(SLEEP)
    small.wait_for_line(first, "up")
    host = small.host_of(first)
    small.admin.notice(host, reclaim=False)

    second = small.submit(SLEEP)
    small.wait(second, "RUNNING")

    assert small.host_of(second) != host


def test_a_worker_that_leaves_in_time_is_retried_by_its_exit_code(small: TestAccount) -> None:
    polite = WATCHER.replace("seen.add((path, status))", "os._exit(75)")
    job_id = small.submit(polite)
    small.wait_for_line(job_id, "before 404")

    small.admin.notice(small.host_of(job_id))
    eventually(lambda: small.describe(job_id)["attempts"], "the first attempt's end")

    assert small.describe(job_id)["attempts"][0]["container"]["exitCode"] == 75


def test_a_paused_worker_stands_still_until_it_is_resumed(small: TestAccount) -> None:
    job_id = small.submit("import time\nfor n in range(10000): print(n, flush=True); time.sleep(0.05)")
    small.wait_for_line(job_id, "3")

    process = Path(f"/proc/{small.admin.pause(job_id)[0]}/stat")
    eventually(lambda: process.read_text().rpartition(")")[2].split()[0] == "T", "the worker to stand still")
    small.admin.resume(job_id)
    count = len(small.lines(job_id))

    assert eventually(lambda: len(small.lines(job_id)) > count + 3, "more lines")


@pytest.mark.parametrize(("mode", "error"), [("refused", "RemoteDisconnected"), ("timeout", "TimeoutError")])
def test_instance_metadata_can_be_taken_away_from_one_instance(small: TestAccount, mode: str, error: str) -> None:
    job_id = small.submit(WATCHER)
    small.wait_for_line(job_id, "before 404")

    small.admin.set_metadata(small.host_of(job_id), mode)
    status, name, _ = _told(small, job_id, "spot/instance-action")
    small.admin.set_metadata(small.host_of(job_id), "ok")

    assert (status, name) == (0, error)


def test_metadata_demands_a_token_and_knows_the_lifecycle(small: TestAccount) -> None:
    job_id = small.submit(WATCHER)

    small.wait_for_line(job_id, "before 404")

    assert small.lines(job_id)[:2] == ["without token 401", "lifecycle 200 spot"]


def test_the_notice_reaches_the_function_that_a_rule_sends_it_to(small: TestAccount) -> None:
    job_id = small.submit(SLEEP)
    small.wait_for_line(job_id, "up")
    host = small.host_of(job_id)

    small.admin.notice(host)

    events = eventually(
        lambda: [one for one in small.seen_events(WARNING) if one["detail"]["instance-id"] == host], "the event"
    )
    zone = next(one.az for one in small.admin.state().instances if one.id == host)
    assert events[0]["detail"]["instance-action"] == "terminate"
    assert events[0]["resources"] == [f"arn:aws:ec2:{zone}:instance/{host}"]


def test_a_duplicated_event_arrives_twice_with_one_id(small: TestAccount) -> None:
    job_id = small.submit(SLEEP)
    small.wait_for_line(job_id, "up")
    host = small.host_of(job_id)

    small.admin.chaos(WARNING, "duplicate", matching=host)
    small.admin.notice(host, reclaim=False)

    def both() -> list[str]:
        ids = [one["id"] for one in small.seen_events(WARNING) if one["detail"]["instance-id"] == host]
        return ids if len(ids) == 2 else []

    assert len(set(eventually(both, "two deliveries"))) == 1


def test_a_dropped_event_never_arrives_and_a_delayed_one_does_later(small: TestAccount) -> None:
    job_id = small.submit(SLEEP)
    small.wait_for_line(job_id, "up")
    host, since = small.host_of(job_id), small.last_event()
    small.admin.chaos(WARNING, "drop", matching=host)
    small.admin.chaos(WARNING, "delay", delay_s=0.5, matching=host)

    small.admin.notice(host, reclaim=False)
    small.admin.notice(host, reclaim=False)
    delayed = small.admin.wait_for_event("chaos.delay", since=since)
    delivered = small.admin.wait_for_event("delivery.lambda", since=since)

    deliveries = small.admin.events(since=since, kind="delivery")
    assert delivered["t"] - delayed["t"] >= 0.5
    assert [entry["event"] for entry in deliveries if entry["detail_type"] == WARNING] == [delayed["event"]]


def test_harm_to_what_does_not_run_is_refused(small: TestAccount) -> None:
    job_id = small.submit(SLEEP)
    small.wait_for_line(job_id, "up")
    host = small.host_of(job_id)
    small.admin.kill(host)

    with pytest.raises(UsageError, match=f"instance {host} is shutting-down, not running"):
        small.admin.interrupt(host)
    with pytest.raises(UsageError, match="no instance 'i-0'"):
        small.admin.kill("i-0")
    with pytest.raises(UsageError, match="nothing runs on 'nobody'"):
        small.admin.pause("nobody")


def test_terminating_an_instance_lets_its_containers_end_in_order(small: TestAccount) -> None:
    polite = "import signal, time; signal.signal(15, lambda *_: exit(75)); print('up', flush=True); time.sleep(600)"
    job_id = small.submit(polite)
    small.wait_for_line(job_id, "up")

    small.client("ec2").terminate_instances(InstanceIds=[small.host_of(job_id)])
    eventually(lambda: small.describe(job_id)["attempts"], "the first attempt's end")

    assert small.describe(job_id)["attempts"][0]["container"]["exitCode"] == 75


def test_no_process_of_a_killed_instance_survives(small: TestAccount) -> None:
    family = "import subprocess, time; [subprocess.Popen(['sleep', '600']) for _ in range(3)]; print('up', flush=True); time.sleep(600)"
    job_id = small.submit(family)
    small.wait_for_line(job_id, "up")
    group = next(one for one in small.admin.state().running() if job_id in one.jobs).pids[0]

    small.admin.kill(small.host_of(job_id))

    def is_empty() -> bool:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        return False

    assert eventually(is_empty, "an empty process group", timeout_s=30)


def test_ec2_tells_why_an_instance_is_gone(small: TestAccount) -> None:
    def gone(strike: Callable[[str], object]) -> str:
        job_id = small.submit(SLEEP)
        small.wait_for_line(job_id, "up")
        host, since = small.host_of(job_id), small.last_event()
        strike(host)
        small.admin.wait_for_event("instance.terminated", since=since, where=lambda entry: entry["instance"] == host)
        described = small.client("ec2").describe_instances(InstanceIds=[host])["Reservations"][0]["Instances"][0]
        return str(described["StateReason"]["Code"])

    ended = [
        gone(small.admin.notice),
        gone(small.admin.kill),
        gone(lambda host: small.client("ec2").terminate_instances(InstanceIds=[host])),
    ]

    assert ended == ["Server.SpotInstanceTermination", "Server.InternalError", "Client.UserInitiatedShutdown"]
