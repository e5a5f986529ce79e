"""Batch jobs on the local account: real processes under the rules of AWS Batch."""

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.executor import CONTAINER_NICENESS
from localcloud.images import HOST_VERSION
from tests.local.account import TestAccount, eventually

SLEEP = "import time; print('up', flush=True); time.sleep(600)"
EVENTS = Path(__file__).parent.parent / "events"


def test_a_job_runs_with_its_variables_and_nothing_of_this_machine(small: TestAccount) -> None:
    program = "import os, json; print(json.dumps(dict(os.environ)))"

    job = small.wait(small.submit(program, containerOverrides={"environment": [{"name": "MINE", "value": "yes"}]}))

    small.wait_for_line(job["jobId"], "MINE")
    seen = json.loads(small.lines(job["jobId"])[0])
    assert job["status"] == "SUCCEEDED"
    assert seen["MINE"] == "yes"
    assert seen["BUCKET"] == small.outputs["Bucket"]
    assert seen["AWS_BATCH_JOB_ID"] == job["jobId"]
    assert seen["AWS_BATCH_JOB_ATTEMPT"] == "1"
    assert seen["AWS_ENDPOINT_URL"] == small.running.endpoint
    assert not {name for name in seen if name.startswith(("VIRTUAL_ENV", "PYTHONPATH", "PYTEST", "AWS_ACCESS_KEY"))}


def test_containers_give_way_to_the_account_itself(small: TestAccount) -> None:
    program = "import os, time; time.sleep(0.5); print('niceness', os.nice(0), flush=True)"

    job_id = small.submit(program)
    small.wait(job_id)

    small.wait_for_line(job_id, f"niceness {CONTAINER_NICENESS}")


def test_parameters_replace_references_in_the_command(small: TestAccount) -> None:
    job_id = small.submit("import sys; print(sys.argv[1:])", "Ref::text", "Ref::other", parameters={"text": "given"})

    small.wait(job_id)

    small.wait_for_line(job_id, "['given', 'Ref::other']")


def test_an_array_runs_every_child_once_and_its_parent_sums_them_up(small: TestAccount) -> None:
    program = "import os, sys; sys.exit(1 if os.environ['AWS_BATCH_JOB_ARRAY_INDEX'] == '2' else 0)"

    parent = small.wait(small.submit(program, arrayProperties={"size": 4}))

    summary = parent["arrayProperties"]["statusSummary"]
    children = small.client("batch").list_jobs(arrayJobId=parent["jobId"], jobStatus="FAILED")["jobSummaryList"]
    assert parent["status"] == "FAILED"
    assert (summary["SUCCEEDED"], summary["FAILED"]) == (3, 1)
    assert [child["arrayProperties"]["index"] for child in children] == [2]


def test_an_exit_code_with_a_retry_rule_is_retried_and_the_attempts_are_kept(small: TestAccount) -> None:
    job = small.wait(small.submit("import os, sys; sys.exit(75 if os.environ['AWS_BATCH_JOB_ATTEMPT'] < '3' else 0)"))

    assert job["status"] == "SUCCEEDED"
    assert [attempt["container"]["exitCode"] for attempt in job["attempts"]] == [75, 75, 0]


def test_an_exit_code_without_a_rule_ends_the_job(small: TestAccount) -> None:
    job = small.wait(small.submit("raise SystemExit(9)"))

    assert (job["status"], len(job["attempts"])) == ("FAILED", 1)


def test_terminating_a_job_sends_sigterm_and_keeps_the_reason(small: TestAccount) -> None:
    job_id = small.submit(SLEEP)
    small.wait_for_line(job_id, "up")

    small.client("batch").terminate_job(jobId=job_id, reason="an operator's wish")
    job = small.wait(job_id)

    assert (job["status"], job["statusReason"]) == ("FAILED", "an operator's wish")
    assert job["attempts"][0]["container"]["exitCode"] == 128 + signal.SIGTERM
    assert job["isTerminated"] is True


def test_a_job_that_ignores_sigterm_is_killed_after_the_grace(small: TestAccount) -> None:
    stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    job_id = small.submit(stubborn)
    small.wait_for_line(job_id, "up")

    small.client("batch").terminate_job(jobId=job_id, reason="now")

    assert small.wait(job_id)["attempts"][0]["container"]["exitCode"] == 128 + signal.SIGKILL


def test_a_timeout_ends_the_job_without_a_retry(small: TestAccount) -> None:
    job = small.wait(small.submit(SLEEP, timeout={"attemptDurationSeconds": 60}))

    assert (job["status"], len(job["attempts"])) == ("FAILED", 1)
    assert job["statusReason"] == "Job attempt duration exceeded timeout"


def test_a_job_over_its_memory_is_killed_as_out_of_memory(small: TestAccount) -> None:
    job = small.wait(small.submit("data = bytearray(900 * 1024 * 1024); import time; time.sleep(600)"))

    container = job["attempts"][0]["container"]
    assert container["exitCode"] == 137
    assert container["reason"] == "OutOfMemoryError: Container killed due to memory usage"


def test_an_image_of_another_python_cannot_be_pulled(small: TestAccount) -> None:
    batch = small.client("batch")
    other = "3.12" if HOST_VERSION != "3.12" else "3.13"
    definition = batch.register_job_definition(
        jobDefinitionName="other-python",
        type="container",
        containerProperties={
            "image": f"python:{other}-slim",
            "command": ["true"],
            "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "64"}],
        },
    )["jobDefinitionArn"]

    job_id = batch.submit_job(jobName="other", jobQueue=small.outputs["SpotQueue"], jobDefinition=definition)["jobId"]
    job = small.wait(job_id)

    assert job["status"] == "FAILED"
    assert job["attempts"][0]["container"]["reason"].startswith("CannotPullContainerError:")
    assert f"needs Python {other}" in job["attempts"][0]["container"]["reason"]


def test_what_a_job_leaves_running_ends_with_it(small: TestAccount) -> None:
    program = "import subprocess; print(subprocess.Popen(['sleep', '600']).pid, flush=True)"

    job_id = small.submit(program)
    small.wait(job_id)
    eventually(lambda: small.lines(job_id), "the child's pid in the log")
    child = int(small.lines(job_id)[0])

    eventually(lambda: not Path(f"/proc/{child}/cmdline").exists(), "the child's end")


def test_dependents_wait_and_fail_with_what_they_depend_on(small: TestAccount) -> None:
    first = small.submit("raise SystemExit(1)")
    second = small.submit("print('never')", dependsOn=[{"jobId": first}])

    job = small.wait(second)

    assert (job["status"], job["statusReason"], job["attempts"]) == ("FAILED", "Dependent Job failed", [])


def test_a_job_that_depends_on_one_that_failed_before_fails_at_once(small: TestAccount) -> None:
    first = small.submit("raise SystemExit(1)")
    small.wait(first)

    second = small.submit("print('never')", dependsOn=[{"jobId": first}])

    assert small.describe(second)["status"] == "FAILED"


def test_a_job_starts_after_the_ones_it_depends_on_have_succeeded(small: TestAccount) -> None:
    array = small.submit("pass", arrayProperties={"size": 2})
    second = small.submit("pass", dependsOn=[{"jobId": array}])

    assert small.wait(second)["status"] == "SUCCEEDED"
    assert small.describe(second)["startedAt"] >= small.describe(array)["stoppedAt"]


def test_children_of_a_sequential_array_run_one_after_the_other(small: TestAccount) -> None:
    job_id = small.submit("print('ran')", arrayProperties={"size": 3}, dependsOn=[{"type": "SEQUENTIAL"}])

    assert small.wait(job_id)["status"] == "SUCCEEDED"

    children = [small.describe(f"{job_id}:{index}") for index in range(3)]
    assert children[0]["stoppedAt"] <= children[1]["startedAt"] <= children[1]["stoppedAt"] <= children[2]["startedAt"]


def test_a_cancelled_job_never_starts(small: TestAccount) -> None:
    small.empty_fleet()
    small.admin.market(capacity={"*": 0})
    job_id = small.submit("print('never')")
    small.wait(job_id, "RUNNABLE")

    small.client("batch").cancel_job(jobId=job_id, reason="changed my mind")

    job = small.describe(job_id)
    assert (job["status"], job["statusReason"], job["isCancelled"]) == ("FAILED", "changed my mind", True)


def test_a_queue_without_capacity_says_so_and_goes_on_when_there_is_some(small: TestAccount) -> None:
    small.empty_fleet()
    small.admin.market(capacity={"*": 0})
    since = small.last_event()

    job_id = small.submit("print('at last')")
    blocked = small.admin.wait_for_event("queue.blocked", since=since)
    reason = small.describe(job_id)["statusReason"]
    small.admin.market(reset=True)

    assert blocked["job"] == job_id
    assert reason.startswith("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill")
    assert small.wait(job_id)["status"] == "SUCCEEDED"


def test_a_queue_with_two_environments_falls_back_to_on_demand(small: TestAccount) -> None:
    small.empty_fleet()
    small.admin.market(capacity={"*": 0})

    job_id = small.submit(SLEEP, queue="MixedQueue")
    small.wait(job_id, "RUNNING")

    host = next(one for one in small.admin.state().running() if one.id == small.host_of(job_id))
    assert (host.lifecycle, host.price_usd) == ("on-demand", host.on_demand_usd)


def test_unknown_parameters_and_missing_objects_are_refused(small: TestAccount) -> None:
    batch = small.client("batch")

    with pytest.raises(ClientError, match="Object does not exist: nowhere"):
        batch.submit_job(jobName="x", jobQueue="nowhere", jobDefinition=small.outputs["Definition"])
    with pytest.raises(ClientError, match="must be 2 to 10000, got 1"):
        small.submit("pass", arrayProperties={"size": 1})
    with pytest.raises(ClientError, match="between 1 and 10, got 11"):
        small.submit("pass", retryStrategy={"attempts": 11})
    with pytest.raises(ClientError, match="exactly one of"):
        batch.list_jobs()


def test_lists_are_paged_and_filtered_as_batch_does(small: TestAccount) -> None:
    batch = small.client("batch")
    for number in range(3):
        small.wait(small.submit("pass", jobName=f"paged-{number}"))

    pages = batch.get_paginator("list_jobs").paginate(
        jobQueue=small.outputs["SpotQueue"],
        filters=[{"name": "JOB_NAME", "values": ["PAGED-*"]}],
        PaginationConfig={"PageSize": 2},
    )
    sizes = [[job["jobName"] for job in page["jobSummaryList"]] for page in pages]

    assert sizes == [["paged-0", "paged-1"], ["paged-2"]]


def test_bulk_termination_reports_what_it_did_not_find(small: TestAccount) -> None:
    job_id = small.submit(SLEEP)

    answer = small.client("batch").terminate_jobs(jobs=[job_id, "nobody"], reason="all of them")

    assert answer["successful"] == [job_id]
    assert [error["job"] for error in answer["errors"]] == ["nobody"]


def test_the_events_of_a_job_tell_its_way_to_the_end(small: TestAccount) -> None:
    program = "import os, sys; sys.exit(75 if os.environ['AWS_BATCH_JOB_ATTEMPT'] == '1' else 0)"
    job_id = small.wait(small.submit(program, jobName="watched"))["jobId"]

    def events() -> list[dict[str, Any]]:
        seen = [one for one in small.seen_events("Batch Job State Change") if one["detail"]["jobId"] == job_id]
        return seen if any(one["detail"]["status"] == "SUCCEEDED" for one in seen) and len(seen) >= 7 else []

    seen = eventually(events, "all events of the job")
    told = {(one["detail"]["status"], len(one["detail"]["attempts"])) for one in seen}
    last = next(one for one in seen if one["detail"]["status"] == "SUCCEEDED")
    assert told == {
        ("RUNNABLE", 0),
        ("STARTING", 0),
        ("RUNNING", 0),
        ("RUNNABLE", 1),
        ("STARTING", 1),
        ("RUNNING", 1),
        ("SUCCEEDED", 2),
    }
    assert last["source"] == "aws.batch"
    assert last["resources"] == [last["detail"]["jobArn"]]
    assert abs(last["detail"]["stoppedAt"] / 1000 - time.time()) < 120  # milliseconds


def test_a_snapshot_shows_the_front_of_a_queue(small: TestAccount) -> None:
    small.empty_fleet()
    small.admin.market(capacity={"*": 0})
    jobs = [small.submit("pass") for _ in range(3)]

    front = small.client("batch").get_job_queue_snapshot(jobQueue=small.outputs["SpotQueue"])["frontOfQueue"]["jobs"]

    assert [one["jobArn"].rpartition("/")[2] for one in front] == jobs


@pytest.mark.slow
def test_a_job_that_fits_nowhere_is_cancelled_by_the_time_limit_of_its_queue(small: TestAccount) -> None:
    reason = "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"
    limit = {"state": "RUNNABLE", "action": "CANCEL", "maxTimeSeconds": 600, "reason": reason}
    batch, queue = small.client("batch"), small.outputs["SpotQueue"]
    batch.update_job_queue(jobQueue=queue, jobStateTimeLimitActions=[limit])

    huge = {"resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "9999999"}]}
    job = small.wait(small.submit("pass", containerOverrides=huge))
    batch.update_job_queue(jobQueue=queue, jobStateTimeLimitActions=[])

    assert job["status"] == "FAILED"
    assert job["statusReason"] == f"Canceled by JobStateTimeLimit action due to reason: {reason}"


def test_tags_can_be_set_read_and_taken_away(small: TestAccount) -> None:
    batch, arn = small.client("batch"), small.outputs["SpotQueue"]

    batch.tag_resource(resourceArn=arn, tags={"team": "flights", "tier": "1"})
    batch.untag_resource(resourceArn=arn, tagKeys=["tier"])

    assert batch.list_tags_for_resource(resourceArn=arn)["tags"] == {"team": "flights"}


@pytest.mark.parametrize(
    "fixture",
    [
        "batch_job_state_change.array_child_succeeded_after_reclaim.synth.json",
        "batch_job_state_change.failed_oom.synth.json",
    ],
)
def test_a_described_job_has_every_field_of_a_real_event(small: TestAccount, fixture: str) -> None:
    real = json.loads((EVENTS / fixture).read_text())["detail"]

    parent = small.wait(small.submit("pass", arrayProperties={"size": 2}))
    child = small.describe(f"{parent['jobId']}:0")

    assert set(real) - {"arrayProperties"} <= set(child)
    assert set(real["attempts"][-1]) == set(child["attempts"][-1])
    assert {key for key in real["container"] if key not in ("exitCode", "reason")} <= set(child["container"])
