"""Ways to harm a deployment that is well, and what the doctor is to say of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from spotproof_cli.doctor.verdict import Level
from tests.cli.doctor.healthy import ANSWERS, Account, error, lifecycle


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
