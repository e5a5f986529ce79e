"""Why a worker waits: every kind, told apart, in words that say what to do."""

from dataclasses import replace

import pytest

from spotproof.capacity.waiting import STARTING_S, WaitingKind, explain_waiting
from spotproof.capacity.waiting_facts import AheadFacts, EnvironmentFacts, InstanceSize, QueueFacts, WaitingFacts

LARGE = InstanceSize(name="m5.large", vcpus=2, memory_mib=8192)
BIG = InstanceSize(name="r5.xlarge", vcpus=4, memory_mib=32768)
SPOT = EnvironmentFacts(
    name="SpotEnv", state="ENABLED", status="VALID", status_reason="ComputeEnvironment Healthy", is_spot=True,
    vcpus_max=256, vcpus_desired=0, sizes=(LARGE, BIG),
)  # fmt: skip
ON_DEMAND = replace(SPOT, name="OnDemandEnv", is_spot=False)
LIMITS = {"MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT": 600, "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE": 600}
QUEUE = QueueFacts(name="spot-queue", state="ENABLED", status="VALID", environments=(SPOT,), cancel_after_s=LIMITS)
WORKER = WaitingFacts(
    job_id="job-1", run_id="run-1", workers=4, status="RUNNABLE", reason="", waited_s=30.0, vcpus=1, memory_mib=2048,
    queue=QUEUE,
)  # fmt: skip

NO_SPOT = "Could not launch Spot Instances. InsufficientInstanceCapacity - There is no Spot capacity available that matches your request. Launching EC2 instance failed."
SPOT_QUOTA = "Max spot instance count exceeded. Launching EC2 instance failed."
VCPU_QUOTA = (
    "You have requested more vCPU capacity than your current vCPU limit of 5 allows for the instance bucket that the "
    "specified instance type belongs to. Launching EC2 instance failed."
)
UNSUPPORTED = (
    "Your requested instance type (m5.large) is not supported in your requested Availability Zone (us-east-1e)."
)
CAPACITY = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested for instance type [m5.large]"
TOO_BIG = "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job resource requirement is higher than that can be met by the CE(s)."
MAX_VCPUS = "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE - CE(s) associated with the job queue cannot meet the CPU requirement of the job."
ROLE = "MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS – Batch service role has a permission issue."
TYPES = "MISCONFIGURATION:EC2_INSTANCE_CONFIGURATION_UNSUPPORTED - Your compute environment associated with this job queue has an unsupported instance type configuration."
INVALID = "ACTION_REQUIRED - CE(s) associated with the job queue are invalid."
UNDETERMINED = "UNDETERMINED - Batch job is blocked, root cause is undetermined."


def in_environments(*environments: EnvironmentFacts, **changes: object) -> WaitingFacts:
    return replace(WORKER, queue=replace(QUEUE, environments=environments), **changes)  # type: ignore[arg-type]


def invalid(because: str = "CLIENT_ERROR - Not authorized to perform sts:AssumeRole") -> EnvironmentFacts:
    return replace(SPOT, status="INVALID", status_reason=because)


CASES = {
    "just submitted": (replace(WORKER, status="SUBMITTED"), WaitingKind.STARTING, "has not queued it yet", "nothing"),
    "waits for another job": (replace(WORKER, status="PENDING"), WaitingKind.STARTING, "depends on", "nothing"),
    "on a host already": (replace(WORKER, status="STARTING"), WaitingKind.STARTING, "a host was found", "nothing"),
    "a young job": (WORKER, WaitingKind.STARTING, "Batch is starting instances", "nothing"),
    "a young job behind one of which nothing is said": (
        replace(WORKER, ahead=AheadFacts(job_id="job-0", reason="")), WaitingKind.STARTING, "starting", "nothing",
    ),
    "an environment under way": (
        in_environments(replace(SPOT, status="CREATING")), WaitingKind.STARTING, "SpotEnv is CREATING", "nothing",
    ),
    "an environment being updated works": (
        in_environments(replace(SPOT, status="UPDATING")), WaitingKind.STARTING, "starting instances", "nothing",
    ),
    "Batch says capacity": (
        replace(WORKER, reason=CAPACITY), WaitingKind.NO_CAPACITY, "no Spot capacity", "fallback_after_s",
    ),
    "only EC2 says capacity": (
        in_environments(replace(SPOT, launch_failures=(NO_SPOT,))), WaitingKind.NO_CAPACITY, NO_SPOT, "stay queued",
    ),
    "no on-demand capacity": (
        in_environments(
            replace(ON_DEMAND, launch_failures=("We currently do not have sufficient m5.large capacity",))
        ), WaitingKind.NO_CAPACITY, "no on-demand capacity", "larger choice of types",
    ),
    "the job ahead has no capacity either": (
        replace(WORKER, ahead=AheadFacts(job_id="job-0", reason=CAPACITY)), WaitingKind.NO_CAPACITY, "Spot", "queued",
    ),
    "a retried worker": (
        replace(WORKER, reason="Host EC2 (instance i-0a) terminated.", ahead=AheadFacts(job_id="job-0", reason=CAPACITY)),
        WaitingKind.NO_CAPACITY, "no Spot capacity", "queued",
    ),
    "Batch says too big": (
        in_environments(replace(SPOT, sizes=()), reason=TOO_BIG), WaitingKind.TOO_BIG,
        "1 vCPU and 2048 MiB, more than any", "stacks/jobs.py",
    ),
    "too much memory": (
        replace(WORKER, memory_mib=32768), WaitingKind.TOO_BIG,
        "32768 MiB; of the queue's instance types the largest, r5.xlarge, gives 4 vCPU and about 31916 MiB",
        "The queue cancels the job after 10 min",
    ),
    "too many processors": (replace(WORKER, vcpus=8), WaitingKind.TOO_BIG, "gives 4 vCPU", "instance_types"),
    "each has too little of one": (
        in_environments(
            replace(SPOT, sizes=(replace(BIG, name="c5.xlarge", memory_mib=8192), replace(LARGE, memory_mib=32768))),
            vcpus=4, memory_mib=16384,
        ), WaitingKind.TOO_BIG, "none gives more than 4 vCPU (c5.xlarge) or about 31916 MiB (m5.large)", "submit again",
    ),
    "Batch says above the maximum": (
        replace(WORKER, reason=MAX_VCPUS), WaitingKind.MISCONFIGURED, "SpotEnv may run 256", "spot_vcpus_max",
    ),
    "above the maximum": (
        in_environments(replace(SPOT, vcpus_max=2), vcpus=4), WaitingKind.MISCONFIGURED,
        "a worker asks for 4 vCPU; SpotEnv may run 2 in all", "of at least 4",
    ),
    "a used-up Spot quota": (
        in_environments(replace(SPOT, launch_failures=(SPOT_QUOTA,))), WaitingKind.QUOTA,
        "quota of Spot vCPUs", "--quota-code L-34B43A08 --desired-value 256",
    ),
    "a used-up quota that Batch calls capacity": (
        in_environments(replace(SPOT, launch_failures=(NO_SPOT, SPOT_QUOTA)), reason=CAPACITY), WaitingKind.QUOTA,
        SPOT_QUOTA, "Service Quotas console",
    ),
    "a used-up on-demand quota": (
        in_environments(replace(ON_DEMAND, launch_failures=(VCPU_QUOTA,))), WaitingKind.QUOTA,
        "vCPU limit of 5", "--quota-code L-1216C47A",
    ),
    "a quota in the environment's own words": (
        in_environments(replace(SPOT, status_reason="INTERNAL_ERROR - VcpuLimitExceeded")), WaitingKind.QUOTA,
        "VcpuLimitExceeded", "L-34B43A08",
    ),
    "an invalid environment": (
        in_environments(invalid()), WaitingKind.INVALID, "SpotEnv is INVALID: CLIENT_ERROR - Not authorized",
        "Batch console > Compute environments > SpotEnv",
    ),
    "an invalid environment, as the job says": (
        in_environments(invalid(""), reason=INVALID), WaitingKind.INVALID, "Batch gives no reason", "role",
    ),
    "a disabled environment": (
        in_environments(replace(SPOT, state="DISABLED")), WaitingKind.DISABLED, "compute environment SpotEnv is disabled",
        "aws batch update-compute-environment --compute-environment SpotEnv --state ENABLED",
    ),
    "two disabled environments": (
        in_environments(replace(SPOT, state="DISABLED"), replace(ON_DEMAND, state="DISABLED")), WaitingKind.DISABLED,
        "the compute environments SpotEnv, OnDemandEnv are disabled", "--compute-environment OnDemandEnv",
    ),
    "one invalid, one disabled": (
        in_environments(replace(SPOT, state="DISABLED"), replace(invalid(), name="Other")), WaitingKind.INVALID,
        "Other is INVALID", "Other",
    ),
    "disabled and invalid": (
        in_environments(replace(invalid(), state="DISABLED")), WaitingKind.DISABLED, "disabled", "--state ENABLED",
    ),
    "the other environment still works": (
        in_environments(replace(SPOT, state="DISABLED"), ON_DEMAND), WaitingKind.STARTING, "starting", "nothing",
    ),
    "a service role without permission": (
        replace(WORKER, reason=ROLE), WaitingKind.MISCONFIGURED, "permission issue", "AWSBatchServiceRole",
    ),
    "types that the region lacks": (
        replace(WORKER, reason=TYPES), WaitingKind.MISCONFIGURED, "unsupported instance type", "launch template",
    ),
    "Batch wants something done": (
        replace(WORKER, reason=INVALID), WaitingKind.MISCONFIGURED, "ACTION_REQUIRED", "does not cancel such a job",
    ),
    "EC2 refuses": (
        in_environments(replace(SPOT, launch_failures=(UNSUPPORTED,))), WaitingKind.MISCONFIGURED, UNSUPPORTED,
        "EC2 console > Auto Scaling groups",
    ),
    "one environment lacks capacity, the other is refused": (
        in_environments(
            replace(SPOT, launch_failures=(NO_SPOT,)), replace(ON_DEMAND, launch_failures=(UNSUPPORTED,))
        ), WaitingKind.MISCONFIGURED, "for OnDemandEnv", "OnDemandEnv",
    ),
    "one environment lacks capacity, the other has none to complain of": (
        in_environments(replace(SPOT, launch_failures=(NO_SPOT,)), ON_DEMAND), WaitingKind.STARTING, "starting", "nothing",
    ),
    "a full environment": (
        in_environments(replace(SPOT, vcpus_max=8, vcpus_desired=8)), WaitingKind.FULL, "8 of the 8 vCPUs",
        "spot_vcpus_max",
    ),
    "a full on-demand environment": (
        in_environments(replace(ON_DEMAND, vcpus_max=8, vcpus_desired=8)), WaitingKind.FULL, "OnDemandEnv",
        "on_demand_vcpus_max",
    ),
    "another job ahead is too big": (
        replace(WORKER, ahead=AheadFacts(job_id="job-0", reason=TOO_BIG)), WaitingKind.BEHIND, "job-0 is ahead",
        "terminate-job --job-id job-0 --reason stuck. The queue cancels the job after 10 min",
    ),
    "behind a job that fits nowhere, and capacity was short before": (
        in_environments(
            replace(SPOT, launch_failures=(NO_SPOT,), vcpus_max=8, vcpus_desired=8),
            ahead=AheadFacts(job_id="job-0", reason=MAX_VCPUS),
        ), WaitingKind.BEHIND, "job-0", "terminate-job",
    ),
    "behind a retried worker": (
        replace(WORKER, ahead=AheadFacts(job_id="job-0", reason="Host EC2 (instance i-0a) terminated.")),
        WaitingKind.STARTING, "starting", "nothing",
    ),
    "blocked for no known reason": (
        in_environments(replace(SPOT, vcpus_max=8, vcpus_desired=8), reason=UNDETERMINED), WaitingKind.UNEXPLAINED,
        "does not know why", "join the cluster",
    ),
    "long silence": (
        replace(WORKER, waited_s=STARTING_S), WaitingKind.UNEXPLAINED, "no worker has started for 10 min", "ECS console",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("facts", "kind", "says", "advises"), CASES.values(), ids=CASES.keys())
def test_waiting_is_explained(facts: WaitingFacts, kind: WaitingKind, says: str, advises: str) -> None:
    explanation = explain_waiting(facts)

    assert explanation.kind is kind
    assert says in explanation.text
    assert advises in explanation.advice


def test_every_kind_has_a_case() -> None:
    assert {kind for _, kind, _, _ in CASES.values()} == set(WaitingKind)


@pytest.mark.parametrize("kind", WaitingKind)
def test_what_does_not_pass_by_itself_needs_a_person(kind: WaitingKind) -> None:
    explanations = [explain_waiting(facts) for facts, of_kind, _, _ in CASES.values() if of_kind is kind]

    passes = kind in (WaitingKind.STARTING, WaitingKind.NO_CAPACITY, WaitingKind.FULL, WaitingKind.BEHIND)
    assert {each.needs_person for each in explanations} == {not passes}
    assert {"nothing to do" in each.advice for each in explanations} == {passes and kind is not WaitingKind.BEHIND}


def test_what_could_not_be_read_is_said_where_nothing_is_known() -> None:
    queue = replace(QUEUE, unread=("autoscaling:DescribeScalingActivities (AccessDenied)",))

    explanation = explain_waiting(replace(WORKER, queue=queue, waited_s=3600.0))

    assert "autoscaling:DescribeScalingActivities (AccessDenied)" in explanation.advice


def test_types_of_unknown_size_are_never_called_too_small() -> None:
    facts = in_environments(replace(SPOT, sizes=()), memory_mib=10**9)

    assert explain_waiting(facts).kind is WaitingKind.STARTING


def test_the_job_at_the_head_is_not_behind_itself() -> None:
    assert explain_waiting(replace(WORKER, ahead=None)).kind is WaitingKind.STARTING


@pytest.mark.parametrize("facts", [case[0] for case in CASES.values()], ids=CASES.keys())
def test_an_explanation_is_one_line_of_plain_words(facts: WaitingFacts) -> None:
    explanation = explain_waiting(facts)

    for text in (explanation.text, explanation.advice):
        assert text == text.strip()
        assert "\n" not in text
        assert "()" not in text
        assert "None" not in text
