"""What is read about waiting workers: the right facts, in few requests, from AWS that need not tell everything."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from spotproof.capacity.waiting import WaitingKind, explain_waiting
from spotproof.capacity.waiting_facts import AheadFacts, InstanceSize, WaitingFacts
from spotproof.capacity.waiting_reader import JOBS_MAX, WaitingReader
from spotproof.errors import AwsAccessError, AwsError
from spotproof.retries import Retrier
from tests.fakes.clock import FakeClock
from tests.unit.capacity.queue_double import FakeAws

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
CAPACITY = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested"
QUOTA = "Max spot instance count exceeded. Launching EC2 instance failed."


@pytest.fixture
def aws() -> FakeAws:
    fake = FakeAws()
    fake.add_environment("SpotEnv")
    fake.add_queue("spot", "SpotEnv")
    return fake


def reader(aws: FakeAws) -> WaitingReader:
    clock = FakeClock(NOON)
    retrier = Retrier(clock=clock, rng=random.Random(1))
    return WaitingReader(batch=cast(Any, aws), ec2=cast(Any, aws), scaling=aws, retrier=retrier, clock=clock)


def only(found: tuple[WaitingFacts, ...]) -> WaitingFacts:
    (facts,) = found
    return facts


def ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def test_a_queue_where_nobody_waits_costs_one_request(aws: FakeAws) -> None:
    assert reader(aws).in_queue("spot") == ()
    assert dict(aws.calls) == {"GetJobQueueSnapshot": 1}


def test_a_waiting_worker_is_found_with_its_size_and_its_run(aws: FakeAws) -> None:
    aws.add_job("job-1", createdAt=ms(NOON - timedelta(seconds=90)), statusReason=CAPACITY)

    facts = only(reader(aws).in_queue("spot"))

    assert (facts.job_id, facts.run_id, facts.workers, facts.status) == ("job-1", "run-1", 1, "RUNNABLE")
    assert (facts.vcpus, facts.memory_mib, facts.waited_s, facts.reason) == (1, 2048, 90.0, CAPACITY)
    assert facts.ahead is None


def test_a_retried_worker_waits_since_its_last_attempt_ended(aws: FakeAws) -> None:
    attempts = [{"stoppedAt": ms(NOON - timedelta(seconds=50))}, {"stoppedAt": ms(NOON - timedelta(seconds=20))}]
    aws.add_job("job-1", createdAt=ms(NOON - timedelta(hours=3)), attempts=attempts)

    assert only(reader(aws).in_queue("spot")).waited_s == 20.0


def test_workers_of_an_array_are_one_entry_with_the_reason_of_their_foremost(aws: FakeAws) -> None:
    aws.add_array("job-1", waiting=7, running=2, in_front=3, statusReason=CAPACITY)

    facts = only(reader(aws).in_queue("spot"))

    assert (facts.job_id, facts.workers, facts.status, facts.reason) == ("job-1", 7, "RUNNABLE", CAPACITY)
    assert facts.ahead is None


def test_the_reason_of_the_foremost_worker_counts_for_none_is_given_to_the_others(aws: FakeAws) -> None:
    aws.add_array("job-1", waiting=3, in_front=3)
    aws.jobs["job-1:0"]["statusReason"] = CAPACITY

    assert only(reader(aws).in_queue("spot")).reason == CAPACITY


def test_a_run_without_a_name_is_called_after_its_job(aws: FakeAws) -> None:
    aws.add_job("job-1", parameters={"run": "auto"})

    assert only(reader(aws).in_queue("spot")).run_id == "job-1"


def test_who_is_ahead_is_told_to_all_behind(aws: FakeAws) -> None:
    aws.add_job("job-0", statusReason="MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - too big")
    aws.add_array("job-1", waiting=2, in_front=2)

    head, behind = reader(aws).in_queue("spot")

    assert head.ahead is None
    assert behind.ahead == AheadFacts(job_id="job-0", reason="MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - too big")


def test_everything_is_read_in_six_requests_and_in_five_the_next_time(aws: FakeAws) -> None:
    for number in range(20):
        aws.add_array(f"job-{number}", waiting=5, in_front=5)
    once = reader(aws)

    assert len(once.in_queue("spot")) == 20
    assert sum(aws.calls.values()) == 6
    once.in_queue("spot")
    assert sum(aws.calls.values()) == 11


def test_no_more_jobs_are_explained_than_one_request_describes(aws: FakeAws) -> None:
    for number in range(100):
        aws.add_array(f"job-{number}", waiting=1, in_front=1)

    assert len(reader(aws).in_queue("spot")) == JOBS_MAX
    assert aws.calls["DescribeJobs"] == 1


def test_a_job_that_ended_between_two_requests_is_left_out(aws: FakeAws) -> None:
    aws.add_job("job-1")
    aws.add_job("job-2")
    aws.jobs["job-1"]["status"] = "SUCCEEDED"

    assert [facts.job_id for facts in reader(aws).in_queue("spot")] == ["job-2"]


def test_jobs_are_explained_in_the_queues_they_wait_in(aws: FakeAws) -> None:
    aws.add_environment("OnDemandEnv", computeResources={"type": "EC2"})
    aws.add_queue("on-demand", "OnDemandEnv")
    aws.add_job("job-1")
    aws.add_job("job-2", queue="on-demand", in_front=False)
    aws.add_job("job-3", status="RUNNING", in_front=False)

    found = {
        facts.job_id: facts.queue.environments[0].name for facts in reader(aws).of_jobs(["job-1", "job-2", "job-3"])
    }

    assert found == {"job-1": "SpotEnv", "job-2": "OnDemandEnv"}


def test_jobs_that_all_run_cost_one_request(aws: FakeAws) -> None:
    aws.add_job("job-1", status="RUNNING", in_front=False)

    assert reader(aws).of_jobs(["job-1"]) == ()
    assert sum(aws.calls.values()) == 1


def test_workers_in_different_states_are_different_entries(aws: FakeAws) -> None:
    aws.add_array("job-1", waiting=2, in_front=2, statusReason=CAPACITY)
    aws.jobs["job-1"]["arrayProperties"]["statusSummary"]["STARTING"] = 3

    found = {facts.status: (facts.workers, facts.reason) for facts in reader(aws).of_jobs(["job-1"])}

    assert found == {"RUNNABLE": (2, CAPACITY), "STARTING": (3, "")}


def test_an_array_whose_workers_are_not_in_front_has_the_head_before_it(aws: FakeAws) -> None:
    aws.add_job("job-0", statusReason=CAPACITY)
    aws.add_array("job-1", waiting=4, in_front=0)

    facts = only(reader(aws).of_jobs(["job-1"]))

    assert (facts.workers, facts.reason, facts.ahead) == (4, "", AheadFacts(job_id="job-0", reason=CAPACITY))


def test_environments_are_told_in_the_order_in_which_they_are_tried(aws: FakeAws) -> None:
    aws.add_environment("First", state="DISABLED")
    aws.add_queue("both", "First", "SpotEnv", jobStateTimeLimitActions=[
        {"reason": "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT", "state": "RUNNABLE", "maxTimeSeconds": 600, "action": "CANCEL"}
    ])  # fmt: skip
    aws.add_job("job-1", queue="both")

    queue = only(reader(aws).of_jobs(["job-1"])).queue

    assert [(each.name, each.is_usable) for each in queue.environments] == [("First", False), ("SpotEnv", True)]
    assert queue.cancel_after_s == {"MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT": 600}


@pytest.mark.parametrize(
    ("types", "sizes"),
    [
        (["m5.large"], {"m5.large"}),
        (["m5", "c5"], {"m5.large", "m5.xlarge", "c5.large"}),
        (["m5.large", "x9.huge"], {"m5.large"}),
        (["optimal", "m5.large"], set()),
    ],
)
def test_sizes_of_types_and_families_are_looked_up_unless_batch_chooses(
    aws: FakeAws, types: list[str], sizes: set[str]
) -> None:
    aws.add_environment("SpotEnv", computeResources={"instanceTypes": types})
    aws.add_job("job-1")

    (environment,) = only(reader(aws).in_queue("spot")).queue.environments

    assert {size.name for size in environment.sizes} == sizes


def test_a_size_is_what_ec2_says(aws: FakeAws) -> None:
    aws.add_job("job-1")

    (environment,) = only(reader(aws).in_queue("spot")).queue.environments

    assert environment.sizes == (InstanceSize(name="m5.large", vcpus=2, memory_mib=8192),)
    assert environment.sizes[0].memory_offered_mib == 7955  # as Batch documents it for 8 GiB: 7985, less 32, within 2


def test_failed_launches_count_since_the_last_that_worked(aws: FakeAws) -> None:
    aws.add_job("job-1")
    aws.launched("SpotEnv-asg-1", NOON - timedelta(minutes=5), "old trouble")
    aws.launched("SpotEnv-asg-1", NOON - timedelta(minutes=4))
    aws.launched("SpotEnv-asg-1", NOON - timedelta(minutes=3), QUOTA)
    aws.launched("SpotEnv-asg-1", NOON - timedelta(minutes=2), QUOTA)
    aws.launched("SpotEnv-asg-1", NOON - timedelta(minutes=1), "under way", code="InProgress")
    aws.launched("Other-asg-1", NOON, "of somebody else")

    (environment,) = only(reader(aws).in_queue("spot")).queue.environments

    assert environment.launch_failures == (QUOTA,)


def test_a_launch_that_failed_long_ago_says_nothing(aws: FakeAws) -> None:
    aws.add_job("job-1")
    aws.launched("SpotEnv-asg-1", NOON - timedelta(minutes=16), QUOTA)

    (environment,) = only(reader(aws).in_queue("spot")).queue.environments

    assert environment.launch_failures == ()


def test_what_aws_will_not_tell_is_noted_and_the_rest_is_read(aws: FakeAws) -> None:
    aws.add_job("job-1", statusReason=CAPACITY)
    aws.refuse = {"DescribeScalingActivities": "AccessDenied", "DescribeInstanceTypes": "UnauthorizedOperation"}

    facts = only(reader(aws).in_queue("spot"))

    assert facts.reason == CAPACITY
    assert facts.queue.unread == (
        "autoscaling:DescribeScalingActivities (AccessDenied)",
        "ec2:DescribeInstanceTypes (UnauthorizedOperation)",
    )


def test_without_batch_there_is_nothing_to_explain(aws: FakeAws) -> None:
    aws.refuse = {"GetJobQueueSnapshot": "AccessDeniedException"}

    with pytest.raises(AwsAccessError, match="looking at the front of the queue"):
        reader(aws).in_queue("spot")


def test_a_queue_that_is_gone_is_an_error_that_says_so(aws: FakeAws) -> None:
    aws.add_job("job-1", queue="gone")

    with pytest.raises(
        AwsError, match="no job queue arn:aws:batch:us-east-1:123456789012:job-queue/gone: is the stack"
    ):
        reader(aws).of_jobs(["job-1"])


def test_jobs_of_older_definitions_name_their_size_otherwise(aws: FakeAws) -> None:
    aws.add_job("job-1", container={"vcpus": 2, "memory": 512})

    facts = only(reader(aws).in_queue("spot"))

    assert (facts.vcpus, facts.memory_mib) == (2, 512)


def test_fargate_spot_is_spot_without_types_and_nobody_is_too_big_for_it(aws: FakeAws) -> None:
    aws.add_environment("SpotEnv", computeResources={"type": "FARGATE_SPOT", "instanceTypes": []})
    aws.add_job("job-1", createdAt=ms(NOON - timedelta(seconds=900)))

    facts = only(reader(aws).in_queue("spot"))

    (environment,) = facts.queue.environments
    assert (environment.is_spot, environment.sizes) == (True, ())
    assert "DescribeInstanceTypes" not in aws.calls
    assert explain_waiting(facts).kind is not WaitingKind.TOO_BIG
