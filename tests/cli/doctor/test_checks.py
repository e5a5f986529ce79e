"""Every check passes where all is well, and says what mends it where something is broken."""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from botocore import xform_name
from botocore.exceptions import EndpointConnectionError, NoCredentialsError, ProfileNotFound

from spotproof import contract
from spotproof.retries import Retrier, RetryPolicy
from spotproof_cli.doctor.examination import CHECKS, Finding, examine, is_healthy
from spotproof_cli.doctor.quotas import kind_of_type
from spotproof_cli.doctor.stacks import CDK, DEPLOY, for_deployment
from spotproof_cli.doctor.subject import Subject
from spotproof_cli.doctor.verdict import Level
from stacks.instance_types import DEFAULT_TYPES, GPU_TYPES, GRAVITON_TYPES
from tests.cli.doctor.healthy import ALARMS, ANSWERS, FUNCTION, Account, FrozenClock, error, lifecycle, model

FAIL, WARN, SKIP, OK = Level.FAIL, Level.WARN, Level.SKIP, Level.OK


def findings_of(account: Account) -> list[Finding]:
    """All checks, the slow one too."""
    clock = FrozenClock()
    retrier = Retrier(clock=clock, rng=random.Random(0), policy=RetryPolicy(patience_s=5))
    subject = Subject(clients=account.clients(), prefix="Spotproof", clock=clock, retrier=retrier)
    return list(examine(subject, CHECKS))


def said_by(account: Account, check: str) -> list[tuple[Level, str, str]]:
    found = [each.verdict for each in findings_of(account) if each.check == check]
    return [(verdict.level, verdict.text, verdict.fix) for verdict in found]


@dataclass(frozen=True, kw_only=True)
class Broken:
    """One way in which a deployment is not well."""

    check: str
    level: Level
    harm: Callable[[Account], Any]
    text: str
    fix: str

    def __str__(self) -> str:
        return f"{self.check}: {self.text}"


def broken(check: str, level: Level, harm: Callable[[Account], Any], text: str, fix: str) -> Broken:
    return Broken(check=check, level=level, harm=harm, text=text, fix=fix)


def answers(key: str, answer: Any) -> Callable[[Account], None]:
    """Harm that makes an operation answer, or raise, something else."""

    def harm(account: Account) -> None:
        assert key in account.answers
        account.answers[key] = answer

    return harm


def edit(key: str, *path: Any, to: Any) -> Callable[[Account], None]:
    """Harm that changes one value within an answer."""

    def harm(account: Account) -> None:
        place = account.answers[key]
        for part in path[:-1]:
            place = place[part]
        assert path[-1] in place or isinstance(place, list)
        place[path[-1]] = to

    return harm


def remove(key: str, *path: Any) -> Callable[[Account], None]:
    """Harm that takes one value out of an answer."""

    def harm(account: Account) -> None:
        place = account.answers[key]
        for part in path[:-1]:
            place = place[part]
        del place[path[-1]]

    return harm


def no_region(account: Account) -> None:
    account.region = None


def said_at(date: str) -> Callable[[Account], None]:
    return edit("sts.get_caller_identity", "ResponseMetadata", to={"HTTPHeaders": {"date": date}})


def status_of(suffix: str, status: str, reason: str = "") -> Callable[[Account], None]:
    def harm(account: Account) -> None:
        account.stacks[f"Spotproof-{suffix}"] |= {"StackStatus": status, "StackStatusReason": reason}

    return harm


def without_stack(suffix: str) -> Callable[[Account], None]:
    def harm(account: Account) -> None:
        del account.stacks[f"Spotproof-{suffix}"]

    return harm


def without_output(suffix: str, name: str) -> Callable[[Account], None]:
    def harm(account: Account) -> None:
        stack = account.stacks[f"Spotproof-{suffix}"]
        stack["Outputs"] = [each for each in stack["Outputs"] if each["OutputKey"] != name]

    return harm


def quota_of(spot: float, on_demand: float) -> Callable[[Account], None]:
    codes = {"L-34B43A08": spot, "L-1216C47A": on_demand}
    return answers(
        "service_quotas.get_service_quota", lambda request: {"Quota": {"Value": codes[request["QuotaCode"]]}}
    )


def rules(*changed: dict[str, Any], keep: int = 4) -> Callable[[Account], None]:
    """Harm that leaves the first rules of the work bucket, and adds some."""

    def answer(request: Any) -> dict[str, Any]:
        found = lifecycle(request)["Rules"]
        return {"Rules": [*found[-keep:], *changed] if request["Bucket"] == "work-bucket" else found}

    return answers("s3.get_bucket_lifecycle_configuration", answer)


def drifted(account: Account) -> None:
    done = "cloudformation.describe_stack_drift_detection_status"
    in_sync = ANSWERS[done]
    queue = {
        "LogicalResourceId": "SpotQueue",
        "ResourceType": "AWS::Batch::JobQueue",
        "StackResourceDriftStatus": "MODIFIED",
    }
    fixed = {"StackId": "x", "Timestamp": account.stacks["Spotproof-State"]["CreationTime"]}

    def status(request: Any) -> dict[str, Any]:
        ours = request["StackDriftDetectionId"].endswith("-Compute")
        return {**in_sync(request), "StackDriftStatus": "DRIFTED" if ours else "IN_SYNC"}

    account.answers[done] = status
    account.answers["cloudformation.describe_stack_resource_drifts"] = {"StackResourceDrifts": [{**queue, **fixed}]}


def graphics(account: Account) -> None:
    """A GPU environment, in an account that may run none."""
    environments = account.answers["batch.describe_compute_environments"]["computeEnvironments"]
    environments[0]["computeResources"]["instanceTypes"] = ["g5.xlarge"]
    account.answers["service_quotas.get_service_quota"] = lambda request: {
        "Quota": {"Value": 0.0 if request["QuotaCode"] == "L-3819A6DF" else 1000.0}
    }


def never_changed_quota(account: Account) -> None:
    account.answers["service_quotas.get_service_quota"] = error("NoSuchResourceException")
    account.answers["service_quotas.get_aws_default_service_quota"] = {"Quota": {"Value": 5.0}}


METADATA = ("LaunchTemplateVersions", 0, "LaunchTemplateData", "MetadataOptions")
TEMPLATES = "ec2.describe_launch_template_versions"
ENVIRONMENTS = "batch.describe_compute_environments"
FIRST = ("computeEnvironments", 0)

BROKEN = [
    broken("region", FAIL, no_region, "no AWS region", "--region"),
    broken("credentials", FAIL, answers("sts.get_caller_identity", error("ExpiredToken")), "ExpiredToken", "log in again"),
    broken("credentials", FAIL, answers("sts.get_caller_identity", error("SomethingElse")), "SomethingElse", "log in"),
    broken("credentials", FAIL, answers("sts.get_caller_identity", NoCredentialsError()), "credentials", "AWS_PROFILE"),
    broken("credentials", FAIL, answers("sts.get_caller_identity", ProfileNotFound(profile="x")), "(x)", "--profile"),
    broken("clock", FAIL, said_at("Sun, 22 Nov 2026 12:04:00 GMT"), "240 s behind", "NTP"),
    broken("clock", WARN, said_at("Sun, 22 Nov 2026 11:59:50 GMT"), "10 s ahead of", "NTP"),
    broken("clock", WARN, remove("sts.get_caller_identity", "ResponseMetadata"), "did not say", "network"),
    broken("bootstrap", FAIL, answers("ssm.get_parameter", error("ParameterNotFound")), "not bootstrapped",
           "bootstrap aws://123456789012/eu-central-1"),
    broken("bootstrap", FAIL, edit("ssm.get_parameter", "Parameter", "Value", to="5"), "version 5, the stacks need 6", "bootstrap"),
    broken("stacks", FAIL, Account.undeploy, "no stack Spotproof-…", "deploy --all"),
    broken("stacks", FAIL, without_stack(contract.STACK_EVENTS), "no stack Spotproof-Events", "deploy --all"),
    broken("stacks", FAIL, status_of("Compute", "ROLLBACK_COMPLETE", "no zone"), "ROLLBACK_COMPLETE: no zone", "stack-events"),
    broken("stacks", FAIL, status_of("State", "DELETE_FAILED", "not empty"), "not empty", "destroy Spotproof-State"),
    broken("stacks", FAIL, status_of("State", "UPDATE_ROLLBACK_FAILED"), "ROLLBACK_FAILED", "rollback Spotproof-State"),
    broken("stacks", FAIL, status_of("Compute", "REVIEW_IN_PROGRESS"), "REVIEW_IN_PROGRESS", "deploy"),
    broken("stacks", WARN, status_of("Compute", "UPDATE_ROLLBACK_COMPLETE"), "last update failed", "stack-events"),
    broken("stacks", WARN, status_of("Compute", "UPDATE_IN_PROGRESS"), "UPDATE_IN_PROGRESS", "wait"),
    broken("version", WARN, without_output("Compute", contract.OUTPUT_VERSION), "version unknown: Spotproof-Compute", "deploy"),
    broken("spot-role", FAIL, answers("iam.get_role", error("NoSuchEntity")), "no role AWSServiceRoleForEC2Spot",
           "create-service-linked-role --aws-service-name spot.amazonaws.com"),
    broken("zones", FAIL, answers("ec2.describe_subnets", error("InvalidSubnetID.NotFound")), "a subnet", "deploy"),
    broken("zones", FAIL, edit("ec2.describe_availability_zones", "AvailabilityZones", to=[]), "no compute environment", "deploy"),
    broken("zones", WARN, edit("ec2.describe_subnets", "Subnets", 1, to={"AvailabilityZone": "eu-central-1a"}),
           "all instances start in eu-central-1a", "zones=3"),
    broken("zones", WARN, edit("ec2.describe_availability_zones", "AvailabilityZones", 0, "State", to="impaired"),
           "eu-central-1a is not available", "health"),
    broken("lambda-concurrency", FAIL, edit("lambda_.get_account_settings", "AccountLimit", to={"UnreservedConcurrentExecutions": 1}),
           "1 concurrent executions for 1", "L-B99A9384"),
    broken("lambda-concurrency", WARN, edit("lambda_.get_account_settings", "AccountLimit", to={"UnreservedConcurrentExecutions": 10}),
           "10 concurrent", "L-B99A9384"),
    broken("spot-quota", FAIL, quota_of(5, 64), "5 vCPUs of standard Spot instances, as in a new account; 256 are wanted",
           "ask for 256 at https://eu-central-1.console.aws.amazon.com/servicequotas/home/services/ec2/quotas/L-34B43A08"),
    broken("spot-quota", WARN, quota_of(200, 64), "fewer than the 256", "smaller spot_vcpus_max"),
    broken("spot-quota", FAIL, graphics, "0 vCPUs of G and VT Spot", "L-3819A6DF"),
    broken("spot-quota", FAIL, graphics, "256 are wanted", "smaller gpu_spot_vcpus_max"),
    broken("spot-quota", FAIL, never_changed_quota, "5 vCPUs", "L-34B43A08"),
    broken("spot-quota", WARN, edit(ENVIRONMENTS, *FIRST, "computeResources", "instanceTypes", to=["u-6tb1.metal"]),
           "does not know the quota of u-6tb1.metal", "Service Quotas"),
    broken("on-demand-quota", FAIL, quota_of(256, 5), "5 vCPUs of standard on-demand", "L-1216C47A"),
    broken("on-demand-quota", WARN, quota_of(256, 32), "fewer than the 64", "smaller on_demand_vcpus_max"),
    broken("table", FAIL, answers("dynamodb.describe_table", error("ResourceNotFoundException")), "table is gone", "restore"),
    broken("table", FAIL, edit("dynamodb.describe_table", "Table", "TableStatus", to="INACCESSIBLE_ENCRYPTION_CREDENTIALS"),
           "INACCESSIBLE", "console"),
    broken("table", FAIL, remove("dynamodb.describe_table", "Table", "GlobalSecondaryIndexes", 0), "no index claimable", "deploy"),
    broken("table", WARN, edit("dynamodb.describe_table", "Table", "GlobalSecondaryIndexes", 0, "IndexStatus", to="CREATING"),
           "claimable is CREATING", "wait"),
    broken("recovery", FAIL, remove("dynamodb.describe_continuous_backups", "ContinuousBackupsDescription",
           "PointInTimeRecoveryDescription"), "can't be restored", "PointInTimeRecoveryEnabled=true"),
    broken("recovery", FAIL, answers("dynamodb.describe_continuous_backups", error("TableNotFoundException")), "gone", "`table`"),
    broken("buckets", FAIL, answers("s3.head_bucket", error("404")), "work-bucket is gone", "lost"),
    broken("buckets", FAIL, answers("s3.get_public_access_block", error("NoSuchPublicAccessBlockConfiguration")),
           "does not block public access", "put-public-access-block --bucket work-bucket"),
    broken("buckets", FAIL, edit("s3.get_public_access_block", "PublicAccessBlockConfiguration", "BlockPublicPolicy", to=False),
           "does not block public access", "put-public-access-block"),
    broken("buckets", WARN, remove("s3.get_bucket_versioning", "Status"), "data-bucket keeps no older", "Status=Enabled"),
    broken("lifecycle", WARN, answers("s3.get_bucket_lifecycle_configuration", error("NoSuchLifecycleConfiguration")),
           "abandoned uploads in work-bucket", "deploy"),
    broken("lifecycle", WARN, rules(keep=3), "old checkpoints pile up", "deploy"),
    broken("lifecycle", FAIL, rules({"ID": "mine", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 7}}),
           "'mine' of work-bucket deletes what runs still need", "remove the rule"),
    broken("lifecycle", FAIL, rules({"ID": "old", "Status": "Enabled", "Prefix": "checkpoints/r", "Expiration": {"Days": 7}}),
           "'old'", "remove the rule"),
    broken("keys", FAIL, edit("kms.describe_key", "KeyMetadata", "KeyState", to="Disabled"), "is Disabled", "enable-key"),
    broken("keys", FAIL, edit("kms.describe_key", "KeyMetadata", "KeyState", to="PendingDeletion"), "about to be deleted",
           "cancel-key-deletion"),
    broken("reach", FAIL, answers("dynamodb.get_item", error("AccessDeniedException")), "table can't be read", "dynamodb:GetItem"),
    broken("reach", FAIL, answers("s3.list_objects_v2", error("AccessDenied")), "bucket can't be read", "s3:ListBucket"),
    broken("reach", FAIL, answers("s3.list_objects_v2", EndpointConnectionError(endpoint_url="x")), "unavailable", "network"),
    broken("reach", FAIL, answers("dynamodb.get_item", error("ValidationException")), "ValidationException", "dynamodb:GetItem"),
    broken("queues", FAIL, edit("batch.describe_job_queues", "jobQueues", 0, "state", to="DISABLED"), "SpotQueue is DISABLED",
           "update-job-queue --job-queue SpotQueue --state ENABLED"),
    broken("queues", FAIL, edit("batch.describe_job_queues", "jobQueues", 1, "status", to="INVALID"), "OnDemandQueue is INVALID",
           "compute environments"),
    broken("queues", FAIL, remove("batch.describe_job_queues", "jobQueues", 0), "SpotQueue is gone", "deploy"),
    broken("environments", FAIL, edit(ENVIRONMENTS, *FIRST, "state", to="DISABLED"), "SPOT-Env is DISABLED",
           "--compute-environment SPOT-Env --state ENABLED"),
    broken("environments", FAIL, edit(ENVIRONMENTS, *FIRST, "status", to="INVALID"), "SPOT-Env is INVALID", "mend that"),
    broken("environments", FAIL, edit(ENVIRONMENTS, *FIRST, "computeResources", "maxvCpus", to=0), "may start no vCPU", "maxvCpus"),
    broken("environments", FAIL, remove(ENVIRONMENTS, *FIRST), "SPOT-Env is gone", "deploy"),
    broken("job-definitions", FAIL, edit("batch.describe_job_definitions", "jobDefinitions", to=[]),
           "no revision of the job definition spotproof-b", "deploy"),
    broken("job-definitions", FAIL, without_output("Compute", contract.OUTPUT_JOB_DEFINITIONS), "no output JobDefinitionNames",
           "deploy"),
    broken("hosts", FAIL, edit(TEMPLATES, *METADATA, "HttpTokens", to="optional"), "without a token", "deploy"),
    broken("hosts", FAIL, edit(TEMPLATES, *METADATA, "HttpPutResponseHopLimit", to=1), "over 1 hop", "deploy"),
    broken("hosts", FAIL, edit(TEMPLATES, *METADATA, "HttpEndpoint", to="disabled"), "no metadata service", "deploy"),
    broken("hosts", FAIL, answers(TEMPLATES, error("InvalidLaunchTemplateId.NotFound")), "is gone", "deploy"),
    broken("hosts", WARN, edit(TEMPLATES, "LaunchTemplateVersions", 0, "VersionNumber", to=4), "version 3 of its", "deploy"),
    broken("hosts", WARN, edit(ENVIRONMENTS, *FIRST, "computeResources", "launchTemplate", "version", to="$Default"),
           "looks up once only", "deploy"),
    broken("rules", FAIL, edit("events.describe_rule", "State", to="DISABLED"), "is disabled", "enable-rule --name Spotproof"),
    broken("rules", FAIL, answers("events.describe_rule", error("ResourceNotFoundException")), "is gone", "deploy"),
    broken("rules", FAIL, answers("events.list_targets_by_rule", {}), "has no target", "deploy"),
    broken("rules", WARN, remove("events.list_targets_by_rule", "Targets", 0, "DeadLetterConfig"), "is lost", "deploy"),
    broken("functions", FAIL, answers("lambda_.get_function", error("ResourceNotFoundException")), f"{FUNCTION} is gone", "deploy"),
    broken("functions", FAIL, edit("lambda_.get_function", "Configuration", to={"State": "Failed", "StateReason": "no role"}),
           "can't run: no role", "deploy"),
    broken("functions", FAIL, answers("lambda_.get_function", {"Concurrency": {"ReservedConcurrentExecutions": 0},
           "Configuration": {"State": "Active"}}), "switched off", "delete-function-concurrency"),
    broken("function-errors", WARN, edit("logs.filter_log_events", "events", 0, "message", to='{"level":"ERROR","x":1}'),
           "ERROR", "aws logs tail controller-logs"),
    broken("function-errors", WARN, edit("logs.filter_log_events", "events", 0, "message", to="x Task timed out after 55 s"),
           "timed out after", "docs/operating.md"),
    broken("dead-letters", FAIL, edit("sqs.get_queue_attributes", "Attributes", "ApproximateNumberOfMessages", to="3"),
           "3 events were given up (Spotproof-Events-FailedEvents)", "receive-message"),
    broken("dead-letters", FAIL, answers("sqs.get_queue_attributes", error("AWS.SimpleQueueService.NonExistentQueue")), "gone",
           "deploy"),
    broken("alarms", FAIL, edit("cloudwatch.describe_alarms", "MetricAlarms", 0, to={"AlarmName": ALARMS[0], "StateValue": "ALARM",
           "StateReason": "3 datapoints"}), "ControllerFails: 3 datapoints", "docs/operating.md#controllerfails"),
    broken("alarms", FAIL, edit("cloudwatch.describe_alarms", "CompositeAlarms", to=[]), "Spotproof-Attention is gone", "deploy"),
    broken("alarm-mail", WARN, edit("sns.list_subscriptions_by_topic", "Subscriptions", 0, "SubscriptionArn",
           to="PendingConfirmation"), "ann@example.com has not confirmed", "link"),
    broken("alarm-mail", FAIL, answers("sns.list_subscriptions_by_topic", error("NotFound")), "nobody hears", "deploy"),
    broken("drift", FAIL, drifted, "SpotQueue (AWS::Batch::JobQueue) was modified by hand", "undo it"),
    broken("drift", WARN, answers("cloudformation.describe_stack_drift_detection_status", lambda request: {
           "StackId": "x", "StackDriftDetectionId": "x", "DetectionStatus": "DETECTION_FAILED",
           "DetectionStatusReason": "throttled", "Timestamp": FrozenClock().now()}), "throttled", "later"),
]  # fmt: skip


def test_where_all_is_well_every_check_says_so_once() -> None:
    findings = findings_of(Account())

    assert [(each.check, each.verdict.level, each.verdict.fix) for each in findings] == [
        (check.name, OK, "") for check in CHECKS
    ]
    assert is_healthy(findings)


@pytest.mark.parametrize("case", BROKEN, ids=str)
def test_what_is_broken_is_found_with_what_mends_it(case: Broken) -> None:
    account = Account()
    case.harm(account)

    said = said_by(account, case.check)

    assert any(level is case.level and case.text in text and case.fix in fix for level, text, fix in said), said
    assert is_healthy(findings_of(account)) == (case.level is WARN), said


def test_every_check_is_broken_by_a_test() -> None:
    assert {case.check for case in BROKEN} == {check.name for check in CHECKS}


@pytest.mark.parametrize(
    ("fix", "of_another"),
    [
        (f"mend that, then {DEPLOY}", f"mend that, then {DEPLOY} -c prefix=Other"),
        (f"{DEPLOY}, or wait", f"{DEPLOY} -c prefix=Other, or wait"),
        (f"{CDK} destroy Other-State", f"{CDK} destroy Other-State -c prefix=Other"),
        (f"{CDK} bootstrap aws://1/x", f"{CDK} bootstrap aws://1/x"),
    ],
)
def test_a_fix_is_about_the_deployment_that_was_looked_at(fix: str, of_another: str) -> None:
    assert for_deployment(fix, "Other") == of_another
    assert for_deployment(fix, contract.DEFAULT_STACK_PREFIX) == fix


def test_no_two_checks_have_one_name() -> None:
    assert len({check.name for check in CHECKS}) == len(CHECKS)


def test_warnings_and_faults_say_what_to_do_and_nothing_else_does() -> None:
    for case in BROKEN:
        account = Account()
        case.harm(account)
        for finding in findings_of(account):
            assert bool(finding.verdict.fix) == (finding.verdict.level in (WARN, FAIL)), finding


COMMAND = re.compile(r"aws ([a-z0-9]+) ([a-z0-9-]+)((?: --[a-z-]+(?: [^-\s][^\s,;:)]*)?)+)")
API_NAMES = {"s3api": "s3"}  # of commands whose service has another name


def test_every_aws_command_in_a_fix_is_one_that_aws_has() -> None:
    commands = {match for case in BROKEN for match in COMMAND.findall(" ".join(fixes(case)))}

    for service, operation, options in commands:
        known = model(API_NAMES.get(service, service))
        names = {xform_name(name, "-"): name for name in known.operation_names}
        shape = known.operation_model(names[operation]).input_shape
        assert shape is not None
        given = re.findall(r" --([a-z-]+)", options)
        assert set(given) <= {xform_name(name, "-") for name in shape.members}, (service, operation, given)
    assert {operation for _, operation, _ in commands} >= {"enable-rule", "update-job-queue", "put-public-access-block"}


def fixes(case: Broken) -> list[str]:
    account = Account()
    case.harm(account)
    return [each.verdict.fix for each in findings_of(account)]


def test_without_credentials_only_region_and_clock_are_looked_at() -> None:
    account = Account()
    account.answers["sts.get_caller_identity"] = error("ExpiredToken", date="Sun, 22 Nov 2026 12:10:00 GMT")

    levels = {each.check: each.verdict.level for each in findings_of(account)}

    assert {name for name, level in levels.items() if level is not SKIP} == {"region", "credentials", "clock"}
    assert levels["clock"] is FAIL  # the refusal tells the time as well
    assert {operation for operation, _ in account.asked} == {"sts.get_caller_identity"}


def test_without_a_region_nothing_is_asked() -> None:
    account = Account()
    account.region = None

    levels = {each.check: each.verdict.level for each in findings_of(account)}

    assert levels.pop("region") is FAIL
    assert set(levels.values()) == {SKIP}
    assert account.asked == []


def test_before_the_first_deployment_the_account_is_looked_at_and_the_rest_skipped() -> None:
    account = Account()
    account.undeploy()

    levels = {each.check: each.verdict.level for each in findings_of(account)}

    looked_at = {name for name, level in levels.items() if level is not SKIP}
    assert looked_at == {
        "region", "credentials", "clock", "bootstrap", "stacks", "spot-role", "zones", "lambda-concurrency", "spot-quota",
        "on-demand-quota",
    }  # fmt: skip
    assert [name for name, level in levels.items() if level is FAIL] == ["stacks"]


def test_local_zones_are_none_that_the_stacks_use() -> None:
    account = Account()
    account.undeploy()
    account.answers["ec2.describe_availability_zones"]["AvailabilityZones"][2] |= {"ZoneType": "local-zone"}

    assert said_by(account, "zones") == [(FAIL, "2 in eu-central-1, the stacks use 3", "deploy with -c zones=2")]


def test_before_the_first_deployment_two_zones_and_the_first_quota_are_told() -> None:
    account = Account()
    account.undeploy()
    del account.answers["ec2.describe_availability_zones"]["AvailabilityZones"][2]
    quota_of(5, 64)(account)

    assert said_by(account, "zones") == [(FAIL, "2 in eu-central-1, the stacks use 3", "deploy with -c zones=2")]
    assert said_by(account, "spot-quota")[0][0] is FAIL


@pytest.mark.parametrize(
    ("key", "check"),
    [
        ("ssm.get_parameter", "bootstrap"),
        ("iam.get_role", "spot-role"),
        ("service_quotas.get_service_quota", "spot-quota"),
        ("cloudwatch.describe_alarms", "alarms"),
        ("s3.get_public_access_block", "buckets"),
    ],
)
def test_what_may_not_be_looked_at_is_a_warning_that_names_the_permission(key: str, check: str) -> None:
    account = Account()
    account.answers[key] = error("AccessDenied")
    actions = next(each.actions for each in CHECKS if each.name == check)

    ((level, text, fix),) = said_by(account, check)

    assert level is WARN
    assert text.startswith("could not look: ")
    assert all(action in fix for action in actions)


def test_stacks_that_may_not_be_described_are_no_fault_of_the_deployment() -> None:
    account = Account()
    account.answers["cloudformation.describe_stacks"] = error("AccessDenied")

    levels = {each.check: each.verdict.level for each in findings_of(account)}

    assert levels["stacks"] is levels["table"] is WARN
    assert is_healthy(findings_of(account))


@pytest.mark.parametrize("answer", [error("InternalError"), error("NeverHeardOf")])
def test_an_answer_that_nobody_expects_is_a_fault_and_the_others_go_on(answer: Exception) -> None:
    account = Account()
    account.answers["iam.get_role"] = answer

    findings = findings_of(account)

    assert [each.check for each in findings if each.verdict.level is FAIL] == ["spot-role"]
    assert len(findings) == len(CHECKS)


def test_drift_waits_until_cloudformation_is_done() -> None:
    account, key = Account(), "cloudformation.describe_stack_drift_detection_status"
    done = ANSWERS[key]
    asked: list[str] = []

    def status(request: Any) -> dict[str, Any]:
        asked.append(request["StackDriftDetectionId"])
        going_on = asked.count(asked[-1]) < 3
        return {**done(request), **({"DetectionStatus": "DETECTION_IN_PROGRESS"} if going_on else {})}

    account.answers[key] = status

    assert said_by(account, "drift") == [(OK, "5 stacks are as they were deployed", "")]


def test_drift_waits_for_cloudformation_and_gives_up() -> None:
    account = Account()
    started = ANSWERS["cloudformation.describe_stack_drift_detection_status"]
    account.answers["cloudformation.describe_stack_drift_detection_status"] = lambda request: {
        **started(request),
        "DetectionStatus": "DETECTION_IN_PROGRESS",
    }

    said = said_by(account, "drift")

    assert [(level, "took too long" in text) for level, text, _ in said] == [(WARN, True)] * 5


def test_fargate_has_quotas_of_its_own_and_no_hosts() -> None:
    account = Account()
    for number, kind in enumerate(("FARGATE_SPOT", "FARGATE")):
        resources = account.answers[ENVIRONMENTS]["computeEnvironments"][number]["computeResources"]
        del resources["launchTemplate"], resources["instanceTypes"]
        resources["type"] = kind
    account.answers["service_quotas.get_service_quota"] = lambda request: {
        "Quota": {"Value": {"L-36FBB829": 6.0, "L-3032A538": 64.0}[request["QuotaCode"]]}
    }

    assert said_by(account, "spot-quota")[0][:2] == (
        FAIL,
        "6 vCPUs of Fargate Spot, as in a new account; 256 are wanted",
    )
    assert said_by(account, "spot-quota")[0][2].endswith("or deploy with a smaller fargate_spot_vcpus_max")
    assert said_by(account, "on-demand-quota") == [(OK, "64 vCPUs of Fargate on-demand, at most 64 are wanted", "")]
    assert said_by(account, "hosts") == [(OK, "no compute environment has hosts of its own", "")]


def test_a_fleet_that_fits_into_the_quota_of_a_new_account_is_well() -> None:
    account = Account()
    account.answers[ENVIRONMENTS]["computeEnvironments"][0]["computeResources"]["maxvCpus"] = 4
    quota_of(5, 64)(account)

    assert said_by(account, "spot-quota") == [(OK, "5 vCPUs of standard Spot instances, at most 4 are wanted", "")]


def test_the_newest_of_several_pages_of_errors_is_shown() -> None:
    account = Account()
    pages = [
        {"events": [{"timestamp": 2_000, "message": "ERROR second"}], "nextToken": "1"},
        {"events": [{"timestamp": 3_000, "message": "ERROR third"}, {"timestamp": 1_000, "message": "ERROR first"}]},
    ]
    account.answers["logs.filter_log_events"] = lambda request: pages[int(request.get("nextToken", 0))]

    ((_, text, _),) = said_by(account, "function-errors")

    assert text.endswith("00:00:03 UTC: ERROR third")


def test_without_keys_of_its_own_a_deployment_has_none_to_lose() -> None:
    account = Account()
    account.resources[contract.STACK_STATE] = account.resources[contract.STACK_STATE][:1]

    assert said_by(account, "keys") == [(OK, "AWS's own keys", "")]


@pytest.mark.parametrize("instance_type", [*DEFAULT_TYPES, *GRAVITON_TYPES, *GPU_TYPES])
def test_the_quota_of_every_type_that_a_deployment_starts_with_is_known(instance_type: str) -> None:
    kind = kind_of_type(instance_type)

    assert kind is not None
    assert (kind.name == "standard") == (instance_type not in GPU_TYPES)
