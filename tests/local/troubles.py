"""Everything that goes wrong in the watched runs, by the account's doing and never by a metric's; and how it ends."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from spotproof import contract, events
from tests.local.account import eventually
from tests.local.watched import PREFIX, Watched

UNSAVED, DAMAGED = "monitor-unsaved", "monitor-damaged"
UNSAVED_OBJECTS = f"/{contract.checkpoints_prefix(UNSAVED)}"  # the only ones that a worker was ever refused to write
SAVES_FAILED = 3  # as many as the alarm asks for


def all_troubles(watched: Watched) -> None:
    """Everything, one after the other; what takes its time goes on beside the next."""
    lose_an_event(watched)
    with a_damaged_run(watched):
        forge_an_event(watched)
        missing = submit_without_input(watched)
        refuse_saves(watched)
        freeze(watched)
        interrupt(watched)
        fail(watched)
        overspend(watched)
        watched.account.wait(missing, "FAILED", timeout_s=60)
        watched.wait_for_line("trouble", events.WORKER_CLASSIFIED, run_id="monitor-missing")
        watched.wait_for_alarms("EventsFailed", "ControllerFails")
    disable(watched)
    starve(watched)
    watched.wait_for_line("cost-by-run", events.RUN_COST, run_id="monitor-hit")
    watched.a_round()


def lose_an_event(watched: Watched) -> None:
    """EventBridge may not call a function for a while; one event meets that. Its message stays in the queue."""
    functions = watched.account.client("lambda")
    (name,) = [
        each["FunctionName"]
        for page in functions.get_paginator("list_functions").paginate()
        for each in page["Functions"]
        if each["FunctionName"].startswith(f"{PREFIX}-Events-RunFinished")
    ]
    (permission,) = json.loads(functions.get_policy(FunctionName=name)["Policy"])["Statement"]
    functions.remove_permission(FunctionName=name, StatementId=permission["Sid"])
    try:
        _say_finished(watched, "monitor-nowhere")
        watched.wait_for_alarms("EventsUndelivered")
    finally:
        (source,) = permission["Condition"]["ArnLike"].values()
        functions.add_permission(
            FunctionName=name,
            StatementId=permission["Sid"],
            Action=permission["Action"],
            Principal=permission["Principal"]["Service"],
            SourceArn=source,
        )


@contextmanager
def a_damaged_run(watched: Watched) -> Iterator[None]:
    """A row that nobody can read: the controller can't tend the run, and the finalizer fails on its event to the end."""
    table, database = watched.account.outputs[f"{PREFIX}-State.TableName"], watched.account.client("dynamodb")
    key = {
        contract.PARTITION_KEY: {"S": contract.run_pk(DAMAGED)},
        contract.SORT_KEY: {"S": contract.RUN_SK},
    }
    active = {contract.ACTIVE_INDEX.partition_key: {"S": contract.ACTIVE_RUNS}}
    database.put_item(TableName=table, Item={**key, **active})
    _say_finished(watched, DAMAGED)
    try:
        yield
    finally:
        database.delete_item(TableName=table, Key=key)


def forge_an_event(watched: Watched) -> None:
    """No run can have that name."""
    _say_finished(watched, "../../elsewhere")


def submit_without_input(watched: Watched) -> str:
    """Past the command, which would refuse it."""
    outputs = watched.account.outputs
    submitted = watched.account.client("batch").submit_job(
        jobName="monitor-missing",
        jobQueue=outputs[f"{PREFIX}-Compute.{contract.OUTPUT_SPOT_QUEUE}"],
        jobDefinition=outputs[f"{PREFIX}-Compute.{contract.OUTPUT_JOB_DEFINITIONS}"].split(",")[0],
        parameters={"run": "monitor-missing", "input": f"s3://{watched.product.data_bucket}/nothing/"},
    )
    return str(submitted["jobId"])


def refuse_saves(watched: Watched) -> None:
    """Somebody changes the workers' role: S3 refuses checkpoint after checkpoint, until the role is as it was."""
    product, iam = watched.product, watched.account.client("iam")
    (role,) = [
        each["RoleName"]
        for page in iam.get_paginator("list_roles").paginate()
        for each in page["Roles"]
        if each["RoleName"].startswith(f"{PREFIX}-Compute-JobRole")
    ]
    resource = f"arn:aws:s3:::{product.work_bucket}{UNSAVED_OBJECTS}*"
    refusal = {"Effect": "Deny", "Action": "s3:PutObject", "Resource": resource}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [refusal]})
    iam.put_role_policy(RoleName=role, PolicyName="NoSaves", PolicyDocument=policy)
    try:
        job = product.submit(UNSAVED, workers=1)
        eventually(
            lambda: sum(line["event"] == events.CHECKPOINT_FAILED for line in product.logged(job)) >= SAVES_FAILED,
            "saves that fail",
            timeout_s=60,
        )
    finally:
        iam.delete_role_policy(RoleName=role, PolicyName="NoSaves")
    product.wait_for(job, events.CHECKPOINT_SAVED)
    cancel(watched, UNSAVED)


def freeze(watched: Watched) -> None:
    """A worker stands still beyond its session; another one takes its shard."""
    product, admin = watched.product, watched.account.admin
    job = product.submit("monitor-frozen", workers=2)
    leased = product.wait_for(f"{job}:0", events.CHECKPOINT_SAVED)
    admin.pause(f"{job}:0")
    product.wait_for(f"{job}:1", events.SHARD_LEASED, shard=leased["shard"])
    admin.resume(f"{job}:0")
    product.wait_complete("monitor-frozen")
    product.wait_for(f"{job}:0", events.LEASE_LOST)


def interrupt(watched: Watched) -> None:
    """A worker's host is taken back, with notice; the run is complete."""
    product, s3 = watched.product, watched.account.client("s3")
    s3.copy_object(Bucket=product.data_bucket, Key="slow/0.jsonl", CopySource=f"{product.data_bucket}/in/0.jsonl")
    job = product.submit(
        "monitor-hit", workers=1, input_uri=f"s3://{product.data_bucket}/slow/", pace_s="0.004"
    )  # a shard that takes longer than is left after the notice
    product.wait_for(job, events.CHECKPOINT_SAVED)
    watched.account.admin.interrupt(watched.account.host_of(job))
    product.wait_for(job, events.SHARD_RESUMED)
    product.wait_complete("monitor-hit")


def fail(watched: Watched) -> None:
    """Flights that the job's function can't count."""
    product = watched.product
    body = json.dumps({"carrier": "AA", "origin": "EWR", "dest": "BOS", "dep_delay": "late", "arr_delay": {}}) + "\n"
    product.account.client("s3").put_object(Bucket=product.data_bucket, Key="broken/0.jsonl", Body=body.encode())
    job = product.submit(
        "monitor-broken", workers=1, input_uri=f"s3://{product.data_bucket}/broken/", failures_max="1", pace_s="0"
    )
    product.wait_for(job, events.SHARD_QUARANTINED)


def overspend(watched: Watched) -> None:
    """A run whose budget pays for seconds of its hosts, and that would need many more."""
    watched.product.submit("monitor-frugal", workers=3, pace_s="0.004", usd_max="0.0001")
    watched.wait_for_alarms("RunPaused")
    cancel(watched, "monitor-frugal")


def disable(watched: Watched) -> None:
    """Somebody switched the Spot environment off: workers wait for a person."""
    account = watched.account
    account.admin.reset_jobs()
    queue = account.outputs[f"{PREFIX}-Compute.{contract.OUTPUT_SPOT_QUEUE}"]
    (found,) = account.client("batch").describe_job_queues(jobQueues=[queue])["jobQueues"]
    account.admin.environment(_name_in(found["computeEnvironmentOrder"][0]["computeEnvironment"]), "disabled")
    watched.product.submit("monitor-disabled", workers=1, on_demand_share_max="0")
    watched.wait_for_alarms("WorkersStuck", meanwhile=watched.a_round)


def starve(watched: Watched) -> None:
    """No Spot host is to be had, and Batch says so: an on-demand worker begins the run."""
    account = watched.account
    account.admin.reset_jobs()
    account.empty_fleet()
    account.admin.market(capacity={"*": 0})
    watched.product.submit("monitor-starved", workers=1, pace_s="0", fallback_after_s="60")
    watched.wait_for_line("workers-waiting", events.QUEUE_BLOCKED, noted=True)
    watched.a_round()
    watched.wait_for_line("workers-waiting", events.WORKERS_WAITING, run_id="monitor-starved")
    watched.wait_for_line("capacity-decisions", events.CAPACITY_DECIDED, run_id="monitor-starved", action="add")
    watched.product.wait_complete("monitor-starved")


def cancel(watched: Watched, run_id: str) -> None:
    """Nobody is to go on with it once it has shown its trouble."""
    done = watched.product.command("cancel", run_id)
    assert done.returncode == 0, done.stderr


def _say_finished(watched: Watched, run_id: str) -> None:
    detail = json.dumps({"schema": 1, "run_id": run_id})
    entry: dict[str, Any] = {"Source": contract.EVENT_SOURCE, "DetailType": contract.DETAIL_RUN_FINISHED}
    done = watched.account.client("events").put_events(Entries=[{**entry, "Detail": detail}])
    assert done["FailedEntryCount"] == 0


def _name_in(arn: str) -> str:
    return arn.rpartition("/")[2]
