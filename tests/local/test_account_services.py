"""What the account adds to the emulator's services: delivery, schedules, permissions, metrics, reads, lifecycle."""

import json
import uuid
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from localcloud.errors import UsageError
from tests.local.account import TestAccount, eventually

SLEEP = "import time; print('up', flush=True); time.sleep(600)"


def _put(small: TestAccount, source: str) -> None:
    answer = small.client("events").put_events(
        Entries=[{"Source": source, "DetailType": "A Test", "Detail": json.dumps({"n": 1})}]
    )
    assert answer["FailedEntryCount"] == 0


def _receive(small: TestAccount, queue: str) -> dict[str, Any]:
    sqs = small.client("sqs")

    def receive() -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = sqs.receive_message(
            QueueUrl=small.outputs[queue], MessageAttributeNames=["All"], WaitTimeSeconds=1
        ).get("Messages", [])
        return messages

    message = eventually(receive, f"a message in {queue}")[0]
    sqs.delete_message(QueueUrl=small.outputs[queue], ReceiptHandle=message["ReceiptHandle"])
    return dict(message)


def test_a_function_that_fails_is_tried_three_times_and_then_given_up(small: TestAccount) -> None:
    since = small.last_event()

    _put(small, "test.failing")
    message = _receive(small, "FunctionDlq")

    failures = small.admin.events(since=since, kind="lambda.failed")
    assert len(failures) == 3
    assert "asked to fail" in failures[0]["error"]
    assert "test.failing" in message["Body"]


def test_a_deployed_function_is_initialized_before_its_first_event(small_account: TestAccount) -> None:
    name = small_account.client("lambda").list_functions()["Functions"][0]["FunctionName"]

    started = small_account.admin.wait_for_event("lambda.initialized")

    assert started["function"] == name


def test_events_beyond_the_functions_concurrency_wait_and_none_is_lost(small: TestAccount) -> None:
    functions = small.client("lambda")
    name = functions.list_functions()["Functions"][0]["FunctionName"]
    rule, since = f"burst-{uuid.uuid4().hex[:8]}", small.last_event()
    detail_type = f"Burst {uuid.uuid4().hex[:8]}"
    events = small.client("events")
    arn = events.put_rule(Name=rule, EventPattern=json.dumps({"detail-type": [detail_type]}))["RuleArn"]
    permission = {"Action": "lambda:InvokeFunction", "Principal": "events.amazonaws.com", "SourceArn": arn}
    functions.add_permission(FunctionName=name, StatementId=rule, **permission)
    function = functions.get_function(FunctionName=name)["Configuration"]["FunctionArn"]
    events.put_targets(Rule=rule, Targets=[{"Id": "1", "Arn": function}])
    functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)

    events.put_events(Entries=[{"Source": "test", "DetailType": detail_type, "Detail": "{}"}] * 10)
    seen = eventually(
        lambda: found if len(found := small.seen_events(detail_type)) == 10 else [], "ten events", timeout_s=40
    )
    functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=5)
    events.remove_targets(Rule=rule, Ids=["1"])
    events.delete_rule(Name=rule)

    assert len({one["id"] for one in seen}) == 10
    failed = small.admin.events(since=since, kind="lambda.failed")
    assert [one for one in failed if one["detail_type"] == detail_type] == []


def test_a_rule_without_permission_on_its_function_dead_letters_the_event(small: TestAccount) -> None:
    since = small.last_event()

    _put(small, "test.forbidden")
    message = _receive(small, "RuleDlq")
    event = json.loads(message["Body"])

    assert message["MessageAttributes"]["ERROR_CODE"]["StringValue"] == "NO_PERMISSIONS"
    assert event["source"] == "test.forbidden"
    assert [one for one in small.admin.events(since=since, kind="lambda") if one.get("event") == event["id"]] == []


def test_nobody_may_publish_events_of_aws_services(small: TestAccount) -> None:
    entry = {"Source": "aws.ec2", "DetailType": "EC2 Spot Instance Interruption Warning", "Detail": "{}"}

    answer = small.client("events").put_events(Entries=[entry])

    assert answer["Entries"][0]["ErrorCode"] == "NotAuthorizedForSourceException"


def test_a_schedule_fires_on_request(small: TestAccount) -> None:
    fired = small.admin.fire_schedule("EveryDay")

    assert fired == [small.outputs["EveryDay"]]
    eventually(lambda: small.seen_events("Scheduled Event"), "the scheduled event")
    with pytest.raises(UsageError, match="no scheduled rule"):
        small.admin.fire_schedule("Never")


def test_schedules_run_by_the_accelerated_clock(small: TestAccount) -> None:
    events = small.client("events")
    name, since = f"fast-{uuid.uuid4().hex[:8]}", small.last_event()
    function = small.client("lambda").list_functions()["Functions"][0]["FunctionArn"]
    events.put_rule(Name=name, ScheduleExpression="rate(1 minute)")
    events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": function}])

    first = small.admin.wait_for_event("delivery", since=since, where=lambda entry: entry["rule"] == name)
    second = small.admin.wait_for_event("delivery", since=first["seq"], where=lambda entry: entry["rule"] == name)
    events.remove_targets(Rule=name, Ids=["1"])
    events.delete_rule(Name=name)

    assert 0.4 <= second["t"] - first["t"] <= 2.5  # a minute at 60 times the speed, looked at twice a second


ROLE_PROGRAM = """
import json, os, urllib.request
with urllib.request.urlopen(os.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"]) as response:
    print("credentials", response.read().decode(), flush=True)
import time; time.sleep(600)
"""


def _as_job(small: TestAccount, service: str) -> Any:
    """A client with the credentials that a job's container is given."""
    job_id = small.submit(ROLE_PROGRAM)
    small.wait_for_line(job_id, "credentials")
    held = json.loads(small.lines(job_id)[0].removeprefix("credentials "))
    return boto3.client(
        service,  # type: ignore[call-overload]
        endpoint_url=small.running.endpoint,
        region_name=small.running.region,
        aws_access_key_id=held["AccessKeyId"],
        aws_secret_access_key=held["SecretAccessKey"],
        aws_session_token=held["Token"],
        config=Config(retries={"total_max_attempts": 1}),
    )


def test_a_job_may_do_what_its_role_allows_and_nothing_else(small: TestAccount) -> None:
    s3 = _as_job(small, "s3")

    s3.put_object(Bucket=small.outputs["Bucket"], Key="from-the-job", Body=b"yes")

    with pytest.raises(ClientError, match="AccessDenied"):
        s3.delete_object(Bucket=small.outputs["Bucket"], Key="from-the-job")


def test_requests_and_write_units_are_counted_by_role(small: TestAccount) -> None:
    dynamodb = _as_job(small, "dynamodb")
    small.admin.usage(reset=True)
    table = small.client("dynamodb").list_tables()["TableNames"][0]

    answer = dynamodb.put_item(TableName=table, Item={"pk": {"S": "a"}, "sk": {"S": "b"}, "filler": {"S": "x" * 1500}})

    usage = small.admin.usage()
    assert usage[small.outputs["JobRole"]]["requests"] == {"dynamodb:PutItem": 1}
    assert usage[small.outputs["JobRole"]]["write_units"] == 2.0
    assert "ConsumedCapacity" not in answer


def test_a_line_in_embedded_metric_format_becomes_a_metric(small: TestAccount) -> None:
    namespace = f"Test{uuid.uuid4().hex[:6]}"
    line = {
        "_aws": {
            "Timestamp": 1,
            "CloudWatchMetrics": [
                {"Namespace": namespace, "Dimensions": [["Queue"]], "Metrics": [{"Name": "Shards", "Unit": "Count"}]}
            ],
        },
        "Queue": "spot",
        "Shards": [1, 2],
    }
    small.wait(small.submit(f"print({json.dumps(json.dumps(line))})"))

    cloudwatch = small.client("cloudwatch")
    metrics = eventually(lambda: cloudwatch.list_metrics(Namespace=namespace)["Metrics"], "the metric")

    assert metrics[0]["MetricName"] == "Shards"
    assert metrics[0]["Dimensions"] == [{"Name": "Queue", "Value": "spot"}]


def test_describe_calls_lead_from_an_instance_to_the_jobs_on_it(small: TestAccount) -> None:
    job_id = small.submit(SLEEP)
    small.wait_for_line(job_id, "up")
    host = small.host_of(job_id)

    batch, ecs, ec2 = small.client("batch"), small.client("ecs"), small.client("ec2")
    clusters = [one["ecsClusterArn"] for one in batch.describe_compute_environments()["computeEnvironments"]]
    query = f"ec2InstanceId == {host}"
    found = {arn: ecs.list_container_instances(cluster=arn, filter=query) for arn in clusters}
    cluster, arn = next(
        (arn, answer["containerInstanceArns"][0]) for arn, answer in found.items() if answer["containerInstanceArns"]
    )
    tasks = ecs.list_tasks(cluster=cluster, containerInstance=arn)["taskArns"]
    described = ecs.describe_tasks(cluster=cluster, tasks=tasks)["tasks"][0]
    instance = ec2.describe_instances(InstanceIds=[host])["Reservations"][0]["Instances"][0]

    variables = {one["name"]: one["value"] for one in described["overrides"]["containerOverrides"][0]["environment"]}
    assert variables["AWS_BATCH_JOB_ID"] == job_id
    assert instance["InstanceLifecycle"] == "spot"
    assert {"Key": "Lifecycle", "Value": "spot"} in instance["Tags"]


def test_spot_prices_have_a_history_below_on_demand(small: TestAccount) -> None:
    history = small.client("ec2").describe_spot_price_history(
        InstanceTypes=["m5.large"], ProductDescriptions=["Linux/UNIX"]
    )["SpotPriceHistory"]

    assert {one["AvailabilityZone"] for one in history} == {"us-east-1a", "us-east-1b", "us-east-1c"}
    assert all(0 < float(one["SpotPrice"]) < 0.096 for one in history)


def test_lifecycle_rules_remove_what_they_name_once_it_is_old_enough(small: TestAccount) -> None:
    s3, bucket = small.client("s3"), small.outputs["Bucket"]
    for key, tagging in (("checkpoints/a", "state=done"), ("checkpoints/b", "state=live"), ("other/c", "state=done")):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x", Tagging=tagging)
    s3.create_multipart_upload(Bucket=bucket, Key="parts")

    early = small.admin.advance(days=0.9)
    late = small.admin.advance(days=3)

    assert [one["key"] for one in early] == []
    assert {(one["key"], one["what"]) for one in late} == {
        ("checkpoints/a", "object"),
        ("parts", "multipart upload"),
    }
