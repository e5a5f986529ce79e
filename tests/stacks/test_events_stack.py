"""The route table made real: rules, functions, queues for what failed."""

import json

import pytest

from spotproof import contract
from stacks.routes import EVENT_ROUTES, EventRoute
from tests.stacks.assembly import Assembly, Json, actions, resources_of, role_statements

FUNCTION = "AWS::Lambda::Function"
RULE = "AWS::Events::Rule"
BY_NAME = {route.name: route for route in EVENT_ROUTES}

each_route = pytest.mark.parametrize("route", EVENT_ROUTES, ids=lambda route: route.name)


def function_id(assembly: Assembly, route: EventRoute) -> str:
    (found,) = (name for name, f in assembly.resources(FUNCTION).items() if f["Properties"]["Handler"] == route.handler)
    return found


def function(assembly: Assembly, route: EventRoute) -> Json:
    properties: Json = assembly.resources(FUNCTION)[function_id(assembly, route)]["Properties"]
    return properties


def rule(assembly: Assembly, route: EventRoute) -> Json:
    target = {"Fn::GetAtt": [function_id(assembly, route), "Arn"]}
    (found,) = (each for each in assembly.properties(RULE) if each["Targets"][0]["Arn"] == target)
    return found


def statements(assembly: Assembly, route: EventRoute) -> list[Json]:
    return role_statements(assembly, f"{route.name}Role")


def test_there_is_one_function_and_one_rule_for_each_route(assembly: Assembly) -> None:
    assert len(assembly.resources(FUNCTION)) == len(assembly.resources(RULE)) == len(EVENT_ROUTES)
    assert {route.handler for route in EVENT_ROUTES} == {f["Handler"] for f in assembly.properties(FUNCTION)}


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("SpotInterruption", "ec2_spot_interruption_warning.docs.json"),
        ("RebalanceRecommendation", "ec2_rebalance_recommendation.docs.json"),
        ("InstanceStateChange", "ec2_instance_state_change.shutting-down.docs.json"),
        ("InstanceStateChange", "ec2_instance_state_change.terminated.docs.json"),
        ("InstanceStateChange", "ec2_instance_state_change.stopping.docs.json"),
        ("InstanceStateChange", "ec2_instance_state_change.stopped.docs.json"),
    ],
)
def test_the_events_that_aws_documents_match_their_rule_and_no_other(
    assembly: Assembly, payloads: dict[str, Json], name: str, payload: str
) -> None:
    matching = [route.name for route in EVENT_ROUTES if matches(rule(assembly, route), payloads[payload])]

    assert matching == [name]


@pytest.mark.parametrize("state", ["running", "pending"])
def test_instances_that_come_up_wake_nobody(assembly: Assembly, payloads: dict[str, Json], state: str) -> None:
    event = payloads[f"ec2_instance_state_change.{state}.docs.json"]

    assert not any(matches(rule(assembly, route), event) for route in EVENT_ROUTES)


def matches(found: Json, event: Json) -> bool:
    """EventBridge's rule for patterns of plain values: every named field has one of the values."""
    pattern = found.get("EventPattern")
    if pattern is None:
        return False
    detail = pattern.get("detail", {})
    return all(event[field] in pattern[field] for field in ("source", "detail-type")) and all(
        event["detail"].get(field) in values for field, values in detail.items()
    )


def test_job_events_are_those_of_our_queues_that_ended(assembly: Assembly) -> None:
    pattern = rule(assembly, BY_NAME["JobStateChange"])["EventPattern"]

    assert pattern["source"] == ["aws.batch"]
    assert pattern["detail-type"] == ["Batch Job State Change"]
    assert pattern["detail"]["status"] == ["FAILED"]
    assert len(pattern["detail"]["jobQueue"]) == 2
    assert all("JobQueueArn" in queue["Fn::ImportValue"] for queue in pattern["detail"]["jobQueue"])


def test_blocked_queues_are_ours(assembly: Assembly) -> None:
    pattern = rule(assembly, BY_NAME["QueueBlocked"])["EventPattern"]

    assert (pattern["source"], pattern["detail-type"]) == (["aws.batch"], ["Batch Job Queue Blocked"])
    assert list(pattern["detail"]) == ["jobQueue"]
    assert pattern["detail"] == {
        "jobQueue": rule(assembly, BY_NAME["JobStateChange"])["EventPattern"]["detail"]["jobQueue"]
    }


def test_the_breakers_settings_reach_every_function(assembly: Assembly) -> None:
    for route in EVENT_ROUTES:
        assert function(assembly, route)["Environment"]["Variables"][contract.ENV_BREAKER] == "3/600/1800"


def test_the_finalizer_hears_only_what_our_code_says(assembly: Assembly) -> None:
    assert rule(assembly, BY_NAME["RunFinished"])["EventPattern"] == {
        "source": [contract.EVENT_SOURCE],
        "detail-type": [contract.DETAIL_RUN_FINISHED],
    }


def test_the_controller_repairs_every_minute_what_lost_events_left(assembly: Assembly) -> None:
    """Trap 10: spot and rebalance events are best effort."""
    assert rule(assembly, BY_NAME["Controller"])["ScheduleExpression"] == "rate(1 minute)"


@each_route
def test_no_rule_filters_by_resource(assembly: Assembly, route: EventRoute) -> None:
    """Trap 9: resources[0] of a spot warning is no normal ARN."""
    assert "resources" not in rule(assembly, route).get("EventPattern", {})


@each_route
def test_the_rule_may_call_the_function_and_nobody_else_may(assembly: Assembly, route: EventRoute) -> None:
    arn = {"Fn::GetAtt": [function_id(assembly, route), "Arn"]}

    (permission,) = (p for p in assembly.properties("AWS::Lambda::Permission") if p["FunctionName"] == arn)
    assert permission["Principal"] == "events.amazonaws.com"
    source = permission["SourceArn"]["Fn::GetAtt"][0]
    assert assembly.resources(RULE)[source]["Properties"] == rule(assembly, route)


@each_route
def test_what_can_not_be_delivered_is_kept_and_only_the_rule_may_put_it_there(
    assembly: Assembly, route: EventRoute
) -> None:
    (target,) = rule(assembly, route)["Targets"]

    queue = target["DeadLetterConfig"]["Arn"]["Fn::GetAtt"][0]
    assert queue.startswith("Undelivered")
    assert target["RetryPolicy"] == {
        "MaximumEventAgeInSeconds": route.age_s_max,
        "MaximumRetryAttempts": route.deliveries,
    }
    allowed = [
        s
        for p in assembly.properties("AWS::SQS::QueuePolicy")
        if p["Queues"] == [{"Ref": queue}]
        for s in p["PolicyDocument"]["Statement"]
    ]
    (rule_id,) = (name for name, each in assembly.resources(RULE).items() if each["Properties"]["Targets"] == [target])
    (sender,) = (s for s in allowed if json.dumps({"Fn::GetAtt": [rule_id, "Arn"]}) in json.dumps(s))
    assert (sender["Effect"], sender["Principal"]) == ("Allow", {"Service": "events.amazonaws.com"})
    assert all("Condition" in s for s in allowed)


@each_route
def test_what_fails_to_the_end_is_kept_too(assembly: Assembly, route: EventRoute) -> None:
    """Delivered and failed is another thing than never delivered."""
    configs = assembly.properties("AWS::Lambda::EventInvokeConfig")
    (config,) = (c for c in configs if c["FunctionName"] == {"Ref": function_id(assembly, route)})

    destination = config["DestinationConfig"]["OnFailure"]["Destination"]["Fn::GetAtt"][0]
    assert destination.startswith("FailedEvents")
    assert 0 <= config["MaximumRetryAttempts"] <= 2
    assert 60 <= config["MaximumEventAgeInSeconds"] <= 21_600
    assert "sqs:SendMessage" in actions(statements(assembly, route))


def test_a_notice_is_not_delivered_after_the_instance_is_gone(assembly: Assembly) -> None:
    """Trap 11: Lambda's own retries come after one and two minutes; two minutes is all there is."""
    route = BY_NAME["SpotInterruption"]

    assert route.age_s_max == 120
    assert function(assembly, route)["Timeout"] <= 30


def test_dead_letters_stay_two_weeks_and_travel_by_tls_only(assembly: Assembly) -> None:
    queues = assembly.resources("AWS::SQS::Queue")

    assert {each["Properties"]["MessageRetentionPeriod"] for each in queues.values()} == {14 * 86_400}
    policies = {p["Queues"][0]["Ref"]: json.dumps(p) for p in assembly.properties("AWS::SQS::QueuePolicy")}
    assert set(policies) == set(queues)
    assert all('"Deny"' in text and '"aws:SecureTransport": "false"' in text for text in policies.values())


@each_route
def test_a_function_knows_everything_it_needs(assembly: Assembly, route: EventRoute) -> None:
    variables = function(assembly, route)["Environment"]["Variables"]

    for name in (contract.ENV_TABLE, contract.ENV_WORK_BUCKET, contract.ENV_DATA_BUCKET):
        assert "Fn::ImportValue" in variables[name]
    for name in (contract.ENV_SPOT_QUEUE, contract.ENV_ON_DEMAND_QUEUE):
        assert "JobQueueArn" in json.dumps(variables[name])
    assert variables["POWERTOOLS_METRICS_NAMESPACE"] == contract.METRIC_NAMESPACE
    assert variables["POWERTOOLS_SERVICE_NAME"] == route.handler.split(".")[1]
    assert variables[contract.ENV_STACK] == "Spotproof"
    # r5.large and m5.xlarge have 16 GiB, of which a container gets a little less.
    assert variables[contract.ENV_MEMORY_MAX] == str(int(16 * 1024 / 1.08))


@each_route
def test_a_function_needs_neither_layer_nor_image_nor_network(assembly: Assembly, route: EventRoute) -> None:
    properties = function(assembly, route)

    assert properties["Runtime"].startswith("python3.")
    assert not {"Layers", "VpcConfig", "ImageConfig", "PackageType"} & set(properties)


@each_route
def test_concurrency_is_reserved_only_on_request(assembly: Assembly, second: Assembly, route: EventRoute) -> None:
    """A new account may have ten concurrent executions in all, and can reserve none."""
    assert "ReservedConcurrentExecutions" not in function(assembly, route)
    assert function(second, route)["ReservedConcurrentExecutions"] == 5


def may(assembly: Assembly, action: str) -> set[str]:
    return {route.name for route in EVENT_ROUTES if action in actions(statements(assembly, route))}


@pytest.mark.parametrize(
    ("action", "routes"),
    [
        ("dynamodb:UpdateItem", set(BY_NAME)),
        ("s3:PutObject", {"SpotInterruption", "RebalanceRecommendation", "RunFinished"}),
        ("s3:DeleteObject", {"RunFinished", "Controller"}),
        ("s3:PutObjectTagging", {"RunFinished"}),
        ("batch:SubmitJob", {"JobStateChange", "QueueBlocked", "Controller"}),
        ("batch:CancelJob", {"Controller"}),
        ("batch:GetJobQueueSnapshot", {"QueueBlocked", "Controller"}),
        ("events:PutEvents", {"Controller"}),
        ("ec2:DescribeSpotPriceHistory", {"RunFinished", "JobStateChange", "Controller"}),
        ("dynamodb:DeleteItem", set()),
        ("batch:TerminateJob", set()),
    ],
)
def test_only_those_functions_may_that_must(assembly: Assembly, action: str, routes: set[str]) -> None:
    assert may(assembly, action) == routes


@pytest.mark.parametrize("name", ["SpotInterruption", "RebalanceRecommendation"])
def test_the_notice_handlers_write_stop_files_and_no_other_object(assembly: Assembly, name: str) -> None:
    written = resources_of(statements(assembly, BY_NAME[name]), "s3:PutObject")

    assert f"/{contract.CONTROL_PREFIX}*" in written
    assert written.count("/") == 2  # that one resource


def test_workers_can_be_added_to_our_queues_from_our_definitions_only(assembly: Assembly) -> None:
    resources = resources_of(statements(assembly, BY_NAME["Controller"]), "batch:SubmitJob")

    assert resources.count("JobQueueArn") == 2
    assert ":job-definition/spotproof-flight-delays" in resources
    assert ":job-definition/spotproof-flight-delays:*" in resources
    assert '"*"' not in resources


def test_the_controller_deletes_checkpoints_and_nothing_else(assembly: Assembly) -> None:
    found = statements(assembly, BY_NAME["Controller"])

    resources = resources_of(found, "s3:DeleteObject")
    assert "/checkpoints/*" in resources
    assert "staging" not in resources
    assert "Data" not in resources


def test_published_output_can_be_written_but_never_deleted(assembly: Assembly) -> None:
    found = statements(assembly, BY_NAME["RunFinished"])

    assert "Data" in resources_of(found, "s3:PutObject")
    assert "Data" not in resources_of(found, "s3:DeleteObject")
