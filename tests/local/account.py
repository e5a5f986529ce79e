"""A local account as tests use it."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.config import Config

from localcloud.client import LocalCloud
from localcloud.settings import ROOT_SECRET
from localcloud.state_dir import Running, StateDir


@dataclass(frozen=True, kw_only=True)
class TestAccount:
    """A running account, its admin client and the outputs of what is deployed in it."""

    __test__ = False

    state: StateDir
    running: Running
    outputs: dict[str, str] = field(default_factory=dict)

    @property
    def admin(self) -> LocalCloud:
        return LocalCloud(self.running.endpoint)

    def client(self, service: str) -> Any:
        """A boto3 client of the account's root."""
        return boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=self.running.endpoint,
            region_name=self.running.region,
            aws_access_key_id=self.running.account,
            aws_secret_access_key=ROOT_SECRET,
            config=Config(retries={"total_max_attempts": 2}, connect_timeout=5, read_timeout=30),
        )

    def submit(self, program: str, *arguments: str, queue: str = "SpotQueue", **more: Any) -> str:
        """Submit a job that runs `program` with Python; returns its id."""
        overrides = {"command": ["python3", "-c", program, *arguments], **more.pop("containerOverrides", {})}
        submitted = self.client("batch").submit_job(
            jobName=more.pop("jobName", "test"),
            jobQueue=self.outputs[queue],
            jobDefinition=self.outputs["Definition"],
            containerOverrides=overrides,
            **more,
        )
        return str(submitted["jobId"])

    def describe(self, job_id: str) -> dict[str, Any]:
        described: dict[str, Any] = self.client("batch").describe_jobs(jobs=[job_id])["jobs"][0]
        return described

    def wait(self, job_id: str, *statuses: str, timeout_s: float = 40.0) -> dict[str, Any]:
        """Wait until the job has one of the statuses (default: ended); returns its description."""
        wanted = statuses or ("SUCCEEDED", "FAILED")
        self.admin.wait_until(
            lambda state: any(job.id == job_id and job.status in wanted for job in state.jobs),
            timeout_s=timeout_s,
            what=f"job {job_id} in {wanted}",
        )
        return self.describe(job_id)

    def lines(self, job_id: str) -> list[str]:
        """Output of all attempts of a job."""
        return [line for attempt in self.admin.job_log(job_id) for line in attempt["lines"]]

    def wait_for_line(self, job_id: str, text: str, *, timeout_s: float = 20.0) -> None:
        """Wait until a line of the job's output contains `text`."""
        eventually(
            lambda: any(text in line for line in self.lines(job_id)), f"{text!r} in the log", timeout_s=timeout_s
        )

    def host_of(self, job_id: str) -> str:
        """The instance a job runs on."""
        return next(job.instance for job in self.admin.state().jobs if job.id == job_id and job.instance)

    def empty_fleet(self) -> None:
        """Terminate every instance, and wait until none is left."""
        running = [one.id for one in self.admin.state().instances if one.state in ("pending", "running")]
        if running:
            self.client("ec2").terminate_instances(InstanceIds=running)
        self.admin.wait_until(
            lambda state: all(one.state == "terminated" for one in state.instances), what="an empty fleet"
        )

    def last_event(self) -> int:
        """Sequence number to pass as `since` for what happens from now on."""
        entries = self.admin.events(limit=1_000_000)
        return entries[-1]["seq"] if entries else 0

    def seen_events(self, detail_type: str) -> list[dict[str, Any]]:
        """Events of this type that reached the small assembly's function."""
        s3 = self.client("s3")
        prefix = f"seen/{detail_type.replace(' ', '-')}/"
        keys = [
            one["Key"] for one in s3.list_objects_v2(Bucket=self.outputs["Bucket"], Prefix=prefix).get("Contents", [])
        ]
        return [json.load(s3.get_object(Bucket=self.outputs["Bucket"], Key=key)["Body"]) for key in keys]


def eventually(condition: Callable[[], Any], what: str, *, timeout_s: float = 20.0) -> Any:
    """The first true value of `condition`, asked again and again until the time is over."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {timeout_s:g} s"
        time.sleep(0.05)
    return value
