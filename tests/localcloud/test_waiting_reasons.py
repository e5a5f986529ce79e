"""What makes jobs of the local account wait: quotas, faults of environments, and the words for it."""

import json
from typing import Any

import pytest

from localcloud.batch.afflictions import INVALID_REASON, afflict, condition_of
from localcloud.batch.blocked import FAULTS, Refusal, judge_blocked, launch_failure
from localcloud.batch.store import ComputeEnvironment
from localcloud.clock import Clock
from localcloud.errors import UsageError
from localcloud.instance import Lifecycle
from localcloud.launches import Launches, group_of
from localcloud.quotas import Quotas
from localcloud.repairs.batch_authorization import subject_of

PLACE: dict[str, Any] = {"account": "000000000000", "region": "us-east-1"}


class SteppedClock(Clock):
    """A clock of the account that stands still until it is moved."""

    def __init__(self) -> None:
        super().__init__(scale=10, warning_floor_s=1, stop_grace_floor_s=1)
        self.at = 1000.0

    def now(self) -> float:
        return self.at


def an_environment(name: str = "Spot") -> ComputeEnvironment:
    document = {"state": "ENABLED", "status": "VALID", "statusReason": "ComputeEnvironment Healthy", "uuid": "u-1"}
    return ComputeEnvironment(name=name, cluster="c", document=document, **PLACE)


def test_a_quota_allows_up_to_its_last_processor() -> None:
    quotas = Quotas()
    quotas.set(Lifecycle.SPOT, 4)

    assert quotas.allows(Lifecycle.SPOT, used=2, more=2)
    assert not quotas.allows(Lifecycle.SPOT, used=3, more=2)
    assert quotas.allows(Lifecycle.ON_DEMAND, used=1000, more=1000)


def test_quotas_are_described_and_lifted() -> None:
    quotas = Quotas()
    quotas.set(Lifecycle.ON_DEMAND, 0)
    before = quotas.describe()

    quotas.reset()

    assert before == {"spot": None, "on-demand": 0}
    assert quotas.describe() == {"spot": None, "on-demand": None}


def test_a_negative_quota_is_refused() -> None:
    with pytest.raises(UsageError, match="0 vCPUs or more, got -1"):
        Quotas().set(Lifecycle.SPOT, -1)


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        (Refusal.CAPACITY, "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"),
        (Refusal.QUOTA, "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"),
        (Refusal.TOO_SMALL, "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE"),
        (Refusal.NO_TYPE, "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"),
        (Refusal.UNSUPPORTED, "MISCONFIGURATION:EC2_INSTANCE_CONFIGURATION_UNSUPPORTED"),
        (Refusal.SERVICE_ROLE, "MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS"),
        (Refusal.INVALID, "ACTION_REQUIRED"),
        (Refusal.UNDETERMINED, "UNDETERMINED"),
    ],
)
def test_every_lasting_refusal_blocks_with_the_words_of_batch(refusal: Refusal, reason: str) -> None:
    blocked = judge_blocked([(refusal, ["m5.large"])])

    assert blocked is not None
    assert blocked.reason == reason
    assert blocked.text.startswith(f"{reason} - ")


@pytest.mark.parametrize("refusal", list(Refusal))
def test_only_a_job_that_never_fits_holds_up_who_is_behind_it(refusal: Refusal) -> None:
    blocked = judge_blocked([(refusal, ["m5.large"])])

    assert (blocked is not None and blocked.is_misfit) is (refusal in (Refusal.TOO_SMALL, Refusal.NO_TYPE))


@pytest.mark.parametrize("refusal", [Refusal.BUSY, Refusal.OFF])
def test_what_passes_by_itself_blocks_nothing(refusal: Refusal) -> None:
    assert judge_blocked([(refusal, ["m5.large"])]) is None


@pytest.mark.parametrize(
    ("refusal", "spot", "says"),
    [
        (Refusal.QUOTA, True, "Max spot instance count exceeded. Launching EC2 instance failed."),
        (Refusal.QUOTA, False, "current vCPU limit of 5 allows"),
        (Refusal.CAPACITY, True, "There is no Spot capacity available"),
        (
            Refusal.CAPACITY,
            False,
            "do not have sufficient m5.large capacity in the Availability Zone you requested (z)",
        ),
        (Refusal.UNSUPPORTED, True, "(m5.large) is not supported in your requested Availability Zone (z)"),
    ],
)
def test_a_launch_that_fails_tells_why_in_ec2s_words(refusal: Refusal, spot: bool, says: str) -> None:
    said = launch_failure(refusal, spot=spot, type_name="m5.large", zone="z", quota=5)

    assert says in said
    assert said.endswith("Launching EC2 instance failed.")


@pytest.mark.parametrize("refusal", [Refusal.SERVICE_ROLE, Refusal.UNDETERMINED, Refusal.BUSY])
def test_where_nothing_is_launched_nothing_fails(refusal: Refusal) -> None:
    assert launch_failure(refusal, spot=True, type_name="m5.large", zone="z", quota=None) == ""


def test_launches_are_told_newest_first_and_by_account() -> None:
    clock = SteppedClock()
    launches = Launches(clock=clock)
    launches.note(**PLACE, group="a", message="no")
    launches.note(**PLACE, group="a")
    launches.note(account="111111111111", region="us-east-1", group="a", message="of others")

    assert [(one.status, one.message) for one in launches.of("000000000000", "us-east-1")] == [
        ("Successful", ""),
        ("Failed", "no"),
    ]


def test_the_same_failure_counts_once_an_interval() -> None:
    clock = SteppedClock()
    launches = Launches(clock=clock)
    for second in (0.0, 3.0, 5.9, 6.1):
        clock.at = 1000.0 + second  # ten simulated seconds to a real one, and one try a simulated minute
        launches.note(**PLACE, group="a", message="no")
    launches.note(**PLACE, group="a", message="another")
    launches.note(**PLACE, group="b", message="another")

    assert [(one.group, one.message, one.at) for one in launches.of("000000000000", "us-east-1")] == [
        ("b", "another", 1006.1),
        ("a", "another", 1006.1),
        ("a", "no", 1006.1),
        ("a", "no", 1000.0),
    ]


def test_the_group_of_an_environment_is_named_after_it() -> None:
    assert group_of(an_environment("Mine")) == "Mine-asg-u-1"


@pytest.mark.parametrize("condition", ["disabled", "invalid", *FAULTS])
def test_an_environment_is_as_it_was_made_and_can_be_well_again(condition: str) -> None:
    environment = an_environment()

    afflict(environment, condition)
    made = condition_of(environment)
    afflict(environment, "well")

    assert (made, condition_of(environment)) == (condition, "well")
    assert environment.document["statusReason"] == "ComputeEnvironment Healthy"
    assert environment.fault is None


def test_an_invalid_environment_has_a_reason_of_batch_or_the_one_given() -> None:
    usual, given = an_environment(), an_environment()

    afflict(usual, "invalid")
    afflict(given, "invalid", reason="CLIENT_ERROR - the launch template is gone")

    assert usual.document["statusReason"] == INVALID_REASON
    assert given.document["statusReason"] == "CLIENT_ERROR - the launch template is gone"


def test_an_unknown_condition_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="can be disabled, invalid, well, unsupported, service-role, undetermined"):
        afflict(an_environment(), "moody")


@pytest.mark.parametrize(
    ("path", "body", "subject"),
    [
        ("/v1/submitjob", {"jobQueue": "q", "jobName": "n"}, "job-queue/q"),
        ("/v1/submitjob", {"jobQueue": "arn:aws:batch:us-east-1:1:job-queue/q"}, "job-queue/q"),
        ("/v1/getjobqueuesnapshot", {"jobQueue": "q"}, "job-queue/q"),
        ("/v1/terminatejob", {"jobId": "j:1", "reason": "r"}, "job/j:1"),
        ("/v1/canceljobs", {"jobs": ["j", "k"], "reason": "r"}, "job/j"),
        ("/v1/updatecomputeenvironment", {"computeEnvironment": "e"}, "compute-environment/e"),
    ],
)
def test_a_request_to_batch_is_about_what_it_names(path: str, body: dict[str, Any], subject: str) -> None:
    found = subject_of(path, json.dumps(body).encode(), place="us-east-1:000000000000")

    assert found == f"arn:aws:batch:us-east-1:000000000000:{subject}"


@pytest.mark.parametrize(
    ("path", "body"),
    [("/v1/listjobs", b'{"jobQueue": "q"}'), ("/v1/submitjob", b"{}"), ("/v1/submitjob", b"no json"), ("/v1/canceljobs", b'{"jobs": []}')],
)  # fmt: skip
def test_every_other_request_is_about_everything(path: str, body: bytes) -> None:
    assert subject_of(path, body, place="us-east-1:000000000000") == "*"
