"""Workers that wait on the local account: made to wait for every reason, and told why within two minutes."""

import json
import random
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from spotproof.capacity.waiting import Explanation, WaitingKind, explain_waiting
from spotproof.capacity.waiting_reader import WaitingReader
from spotproof.clock import SystemClock
from spotproof.errors import AwsAccessError
from spotproof.retries import Retrier
from tests.local.account import TestAccount

SCALE = 60  # of the small account
SOON_S = 120.0  # of the account's time
SLEEP = "import time; print('up', flush=True); time.sleep(600)"
HUGE = {"resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "9999999"}]}
MISFITS = ("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT", "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE")
Prepare = Callable[[TestAccount], None]


@pytest.fixture(scope="module")
def reader(small_account: TestAccount) -> WaitingReader:
    return reading_as(small_account.client)


@pytest.fixture
def empty(small: TestAccount) -> TestAccount:
    """The small account without any instance."""
    small.empty_fleet()
    return small


def with_role(account: TestAccount, allowed: dict[str, list[str]]) -> Callable[[str], Any]:
    """Clients of a role that may do these actions, each on these resources."""
    iam, name = account.client("iam"), f"reader-{uuid.uuid4().hex[:8]}"
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    statements = [{"Effect": "Allow", "Action": action, "Resource": on} for action, on in allowed.items()]
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=json.dumps({"Statement": statements}))
    keys = account.client("sts").assume_role(RoleArn=role, RoleSessionName="reader")["Credentials"]
    session = boto3.Session(
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
        region_name=account.running.region,
    )
    return lambda service: session.client(service, endpoint_url=account.running.endpoint)  # type: ignore[call-overload]


def reading_as(clients: Callable[[str], Any]) -> WaitingReader:
    clock = SystemClock()
    return WaitingReader(
        batch=clients("batch"),
        ec2=clients("ec2"),
        scaling=clients("autoscaling"),
        retrier=Retrier(clock=clock, rng=random.Random(1)),
        clock=clock,
    )


def environment(account: TestAccount, queue: str = "SpotQueue") -> str:
    """The name of the queue's compute environment."""
    queues = account.client("batch").describe_job_queues(jobQueues=[account.outputs[queue]])["jobQueues"]
    return str(queues[0]["computeEnvironmentOrder"][0]["computeEnvironment"]).rpartition("/")[2]


@contextmanager
def at_most(account: TestAccount, vcpus: int) -> Iterator[None]:
    """With another maximum of the Spot environment."""
    batch, name = account.client("batch"), environment(account)
    batch.update_compute_environment(computeEnvironment=name, computeResources={"maxvCpus": vcpus})
    try:
        yield
    finally:
        batch.update_compute_environment(computeEnvironment=name, computeResources={"maxvCpus": 16})


def explained(
    account: TestAccount, reader: WaitingReader, job_id: str, wanted: WaitingKind, *, queue: str = "SpotQueue"
) -> Explanation:
    """The explanation of the job, once it is of this kind; no reading for it began later than SOON_S after its start."""
    submitted_s = account.describe(job_id)["createdAt"] / 1000
    while True:
        since_s = (time.time() - submitted_s) * SCALE
        found = {facts.job_id: explain_waiting(facts) for facts in reader.in_queue(account.outputs[queue])}
        if job_id in found and found[job_id].kind is wanted:
            return found[job_id]
        assert since_s < SOON_S, f"after {since_s:.0f} s of the account: {found.get(job_id)}"


def no_capacity(account: TestAccount) -> None:
    account.admin.market(capacity={"*": 0})


def spot_quota(account: TestAccount) -> None:
    account.admin.quota(vcpus={"spot": 1})


def spot_quota_and_no_capacity(account: TestAccount) -> None:
    spot_quota(account)
    no_capacity(account)


def made(condition: str) -> Prepare:
    return lambda account: _afflict(account, condition)


def _afflict(account: TestAccount, condition: str) -> None:
    account.admin.environment(environment(account), condition)


@pytest.mark.parametrize(
    ("prepare", "kind", "says", "advises"),
    [
        (no_capacity, WaitingKind.NO_CAPACITY, "There is no Spot capacity available", "stay queued"),
        (spot_quota, WaitingKind.QUOTA, "Max spot instance count exceeded", "L-34B43A08"),
        (spot_quota_and_no_capacity, WaitingKind.QUOTA, "quota of Spot vCPUs", "L-34B43A08"),
        (made("invalid"), WaitingKind.INVALID, "sts:AssumeRole", "Compute environments"),
        (made("disabled"), WaitingKind.DISABLED, "disabled", "--state ENABLED"),
        (made("unsupported"), WaitingKind.MISCONFIGURED, "unsupported instance type", "launch template"),
        (made("service-role"), WaitingKind.MISCONFIGURED, "permission issue", "AWSBatchServiceRole"),
        (made("undetermined"), WaitingKind.UNEXPLAINED, "UNDETERMINED", "join the cluster"),
    ],
    ids=["no-capacity", "quota", "quota-first", "invalid", "disabled", "unsupported", "service-role", "undetermined"],
)
def test_a_waiting_worker_is_explained_within_two_minutes_and_starts_when_the_reason_is_gone(
    empty: TestAccount, reader: WaitingReader, prepare: Prepare, kind: WaitingKind, says: str, advises: str
) -> None:
    prepare(empty)
    job_id = empty.submit("print('at last')")

    explanation = explained(empty, reader, job_id, kind)
    empty.admin.market(reset=True)
    empty.admin.quota(reset=True)
    empty.admin.environment(environment(empty), "well")

    assert says in explanation.text
    assert advises in explanation.advice
    assert empty.wait(job_id)["status"] == "SUCCEEDED"


def test_a_worker_that_starts_as_it_should_needs_nothing(empty: TestAccount, reader: WaitingReader) -> None:
    job_id = empty.submit(SLEEP)

    assert "nothing to do" in explained(empty, reader, job_id, WaitingKind.STARTING).advice


def test_a_used_up_on_demand_quota_is_told_in_ec2s_words(empty: TestAccount, reader: WaitingReader) -> None:
    empty.admin.quota(vcpus={"on-demand": 0})
    job_id = empty.submit("pass", queue="OnDemandQueue")

    explanation = explained(empty, reader, job_id, WaitingKind.QUOTA, queue="OnDemandQueue")

    assert "your current vCPU limit of 0" in explanation.text
    assert "L-1216C47A" in explanation.advice


def test_a_job_too_big_for_every_type_is_told_what_the_largest_gives(empty: TestAccount, reader: WaitingReader) -> None:
    job_id = empty.submit("pass", containerOverrides=HUGE)

    assert "9999999 MiB; of the queue's instance types" in explained(empty, reader, job_id, WaitingKind.TOO_BIG).text


def test_a_job_above_the_maximum_is_told_which_setting_allows_it(empty: TestAccount, reader: WaitingReader) -> None:
    with at_most(empty, 1):
        two = {"resourceRequirements": [{"type": "VCPU", "value": "2"}, {"type": "MEMORY", "value": "64"}]}
        job_id = empty.submit("pass", containerOverrides=two)

        explanation = explained(empty, reader, job_id, WaitingKind.MISCONFIGURED)

    assert "spot_vcpus_max" in explanation.advice


def test_a_worker_that_waits_for_room_is_told_so(empty: TestAccount, reader: WaitingReader) -> None:
    with at_most(empty, 2):
        parent = empty.submit(SLEEP, arrayProperties={"size": 3})
        empty.admin.wait_until(
            lambda state: sum(job.status == "RUNNING" and job.size is None for job in state.jobs) == 2,
            what="two running workers",
        )

        explanation = explained(empty, reader, parent, WaitingKind.FULL)

    assert "2 of the 2 vCPUs" in explanation.text


def test_a_misfit_is_cancelled_after_its_limit_and_missing_capacity_never(
    empty: TestAccount, reader: WaitingReader
) -> None:
    batch = empty.client("batch")
    limits = [{"state": "RUNNABLE", "action": "CANCEL", "maxTimeSeconds": 600, "reason": reason} for reason in MISFITS]
    queues = [empty.outputs["SpotQueue"], empty.outputs["OnDemandQueue"]]
    for queue in queues:
        batch.update_job_queue(jobQueue=queue, jobStateTimeLimitActions=limits)
    no_capacity(empty)
    patient = empty.submit("print('at last')")
    misfit = empty.submit("pass", queue="OnDemandQueue", containerOverrides=HUGE)

    promise = explained(empty, reader, misfit, WaitingKind.TOO_BIG, queue="OnDemandQueue").advice
    cancelled = empty.wait(misfit)
    waits = empty.describe(patient)
    for queue in queues:
        batch.update_job_queue(jobQueue=queue, jobStateTimeLimitActions=[])

    assert "The queue cancels the job after 10 min" in promise
    assert cancelled["statusReason"] == f"Canceled by JobStateTimeLimit action due to reason: {MISFITS[0]}"
    assert (cancelled["stoppedAt"] - waits["createdAt"]) / 1000 * SCALE >= 600
    assert waits["status"] == "RUNNABLE"
    assert explained_later(reader, empty, patient).kind is WaitingKind.NO_CAPACITY


def explained_later(reader: WaitingReader, account: TestAccount, job_id: str) -> Explanation:
    (facts,) = reader.of_jobs([job_id])
    assert facts.queue.name == account.outputs["SpotQueue"].rpartition("/")[2]
    return explain_waiting(facts)


def test_a_worker_behind_a_job_that_fits_nowhere_is_told_which_one_and_starts_when_it_is_gone(
    empty: TestAccount, reader: WaitingReader
) -> None:
    head = empty.submit("pass", containerOverrides=HUGE)
    job_id = empty.submit("print('at last')")

    explanation = explained(empty, reader, job_id, WaitingKind.BEHIND)
    empty.client("batch").terminate_job(jobId=head, reason="stuck")

    assert f"job {head} is ahead" in explanation.text
    assert f"terminate-job --job-id {head}" in explanation.advice
    assert empty.wait(job_id)["status"] == "SUCCEEDED"


def test_environments_show_the_processors_they_have(empty: TestAccount) -> None:
    def desired() -> Any:
        found = empty.client("batch").describe_compute_environments(computeEnvironments=[environment(empty)])
        return found["computeEnvironments"][0]["computeResources"]["desiredvCpus"]

    before = desired()
    job_id = empty.submit(SLEEP)
    empty.wait(job_id, "RUNNING")

    assert (before, desired()) == (0, 2)


def test_a_reason_that_is_no_longer_true_is_taken_back(empty: TestAccount) -> None:
    no_capacity(empty)
    job_id = empty.submit(SLEEP)
    told = empty.describe(job_id)["statusReason"]
    empty.admin.market(reset=True)

    assert told.startswith("CAPACITY:")
    assert "statusReason" not in empty.describe(job_id)


EVERYWHERE = (
    "batch:DescribeJobQueues",
    "batch:DescribeComputeEnvironments",
    "batch:DescribeJobs",
    "autoscaling:DescribeScalingActivities",
    "ec2:DescribeInstanceTypes",
)


def test_a_role_that_may_look_at_one_queue_can_explain_that_one_only(empty: TestAccount) -> None:
    queue = empty.outputs["SpotQueue"]
    allowed = {"batch:GetJobQueueSnapshot": [queue], **{action: ["*"] for action in EVERYWHERE}}
    reading = reading_as(with_role(empty, allowed))
    no_capacity(empty)
    empty.submit("pass")

    (facts,) = reading.in_queue(queue)

    assert explain_waiting(facts).kind is WaitingKind.NO_CAPACITY
    assert facts.queue.unread == ()
    with pytest.raises(AwsAccessError, match="GetJobQueueSnapshot"):
        reading.in_queue(empty.outputs["OnDemandQueue"])


def test_a_role_that_may_read_batch_only_is_told_what_it_could_not_read(empty: TestAccount) -> None:
    reading = reading_as(with_role(empty, {"batch:*": ["*"]}))
    no_capacity(empty)
    empty.submit("pass")

    (facts,) = reading.in_queue(empty.outputs["SpotQueue"])

    assert explain_waiting(facts).kind is WaitingKind.NO_CAPACITY
    assert [each.partition(" ")[0] for each in facts.queue.unread] == [
        "autoscaling:DescribeScalingActivities",
        "ec2:DescribeInstanceTypes",
    ]


def test_a_role_may_submit_to_the_queues_that_its_policy_names_and_to_no_other(small: TestAccount) -> None:
    definition = small.outputs["Definition"]
    batch = with_role(small, {"batch:SubmitJob": [small.outputs["SpotQueue"], definition]})("batch")
    job = {"jobName": "mine", "jobDefinition": definition}

    assert batch.submit_job(**job, jobQueue=small.outputs["SpotQueue"])["jobId"]
    with pytest.raises(ClientError, match="AccessDenied"):
        batch.submit_job(**job, jobQueue=small.outputs["OnDemandQueue"])
