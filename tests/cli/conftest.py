"""A deployment in moto, and a way to call the command on it."""

import dataclasses
import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner, Result
from moto import mock_aws

from spotproof import contract
from spotproof.clients import Clients
from spotproof.clock import Clock, to_epoch_ms
from spotproof.leases.in_memory import InMemoryLeaseStore
from spotproof.leases.model import Host, Run, RunId, RunOptions, RunState, Session, SessionId, SessionState
from spotproof.leases.store import LeaseStore
from spotproof.retries import Retrier
from spotproof.worker.planning import RunRequest
from spotproof_cli.deployment import Deployment, find_deployment
from spotproof_cli.main import main
from spotproof_cli.services import Services
from spotproof_cli.target import Target
from tests.cli.fake_batch import FakeBatch
from tests.cli.fake_ec2 import FakeEC2
from tests.cli.fake_logs import FakeLogs
from tests.cli.fake_scaling import FakeScaling
from tests.fakes.clock import FakeClock
from tests.fakes.ids import CountingIds

REGION = "eu-central-1"
STATE_OUTPUTS = {
    contract.OUTPUT_TABLE: "table",
    contract.OUTPUT_WORK_BUCKET: "work-bucket",
    contract.OUTPUT_DATA_BUCKET: "data-bucket",
}
COMPUTE_OUTPUTS = {
    contract.OUTPUT_SPOT_QUEUE: "spot-queue",
    contract.OUTPUT_ON_DEMAND_QUEUE: "on-demand-queue",
    contract.OUTPUT_LOG_GROUP: "/spotproof/workers",
    contract.OUTPUT_JOB_DEFINITIONS: "spotproof-flight-delays,spotproof-other",
}


class FakeStacks:
    """CloudFormation as far as outputs go; moto's needs packages that nothing else here does."""

    def __init__(self) -> None:
        self.outputs: dict[str, Mapping[str, str]] = {}

    def describe_stacks(self, *, StackName: str) -> dict[str, Any]:  # noqa: N803 - CloudFormation's name
        if StackName not in self.outputs:
            message = f"Stack with id {StackName} does not exist"
            raise ClientError({"Error": {"Code": "ValidationError", "Message": message}}, "DescribeStacks")
        listed = [{"OutputKey": key, "OutputValue": value} for key, value in self.outputs[StackName].items()]
        return {"Stacks": [{"StackName": StackName, "Outputs": listed}]}


class ScriptedClock(FakeClock):
    """A clock on which things happen while somebody sleeps."""

    def __init__(self) -> None:
        super().__init__()
        self.planned: list[tuple[float, Callable[[], object]]] = []

    def after(self, seconds: float, happen: Callable[[], object]) -> None:
        """Call `happen` when `seconds` have passed."""
        self.planned.append((self.monotonic() + seconds, happen))
        self.planned.sort(key=lambda each: each[0])

    def advance(self, seconds: float) -> None:
        end = self.monotonic() + seconds
        while self.planned and self.planned[0][0] <= end:
            moment, happen = self.planned.pop(0)
            super().advance(max(0.0, moment - self.monotonic()))
            happen()
        super().advance(end - self.monotonic())


def planned_run(run_id: str, *, clock: Clock, shards: int = 4, stripes: int = 2, **changes: Any) -> Run:
    """A run as the worker that planned it puts it."""
    fields: dict[str, Any] = {
        "run_id": RunId(run_id),
        "state": RunState.RUNNING,
        "job": "flight-delays",
        "plan_key": contract.plan_key(run_id, "q" * 64),
        "plan_sha256": "p" * 64,
        "input_uri": "s3://data-bucket/in/",
        "output_uri": f"s3://data-bucket/output/{run_id}/",
        "shards": shards,
        "stripes": stripes,
        "session_buckets": 1,
        "options": RunOptions(),
        "closed": frozenset(),
        "created_at": to_epoch_ms(clock.now()),
    }
    fields |= changes
    request = RunRequest(
        **{name: fields[name] for name in ("run_id", "job", "input_uri", "output_uri", "options")},
        shard_by=contract.AUTO,
        queue="",
        job_definition="",
    )
    return Run(parameters_sha256=request.parameters_sha256, **fields)


@dataclass
class World:
    """One deployed account, and the command in it."""

    clock: ScriptedClock
    batch: FakeBatch = field(default_factory=FakeBatch)
    ec2: FakeEC2 = field(default_factory=FakeEC2)
    logs: FakeLogs = field(default_factory=lambda: FakeLogs("/spotproof/workers"))
    scaling: FakeScaling = field(default_factory=FakeScaling)
    stacks: FakeStacks = field(default_factory=FakeStacks)
    ids: CountingIds = field(default_factory=CountingIds)
    env: dict[str, str] = field(default_factory=lambda: {"AWS_REGION": REGION})
    on_connect: Callable[[Clients], None] = lambda clients: None
    real_table: bool = False  # use the deployed table instead of the one in memory

    def __post_init__(self) -> None:
        retrier = Retrier(clock=self.clock, rng=random.Random(0))
        self.batch.created_at = to_epoch_ms(self.clock.now())
        self.store: LeaseStore = InMemoryLeaseStore(clock=self.clock, retrier=retrier)

    def s3(self) -> Any:
        return boto3.client("s3", region_name=REGION)

    def run(self, *arguments: str) -> Result:
        """Call the command in this process."""
        services = Services(clock=self.clock, ids=self.ids, env=self.env, connect=self._connect)
        return CliRunner().invoke(main, list(arguments), obj=services)

    def json(self, *arguments: str) -> Any:
        """Call the command with --json; its document."""
        result = self.run(*arguments, "--json")
        assert result.exit_code == 0, result.output
        document = json.loads(result.stdout)
        assert next(iter(document.items())) == ("schema", 1)
        return document

    def put_run(self, run_id: str = "run-1", *, shards: int = 4, stripes: int = 2, **changes: Any) -> Run:
        """A planned run, and its plan."""
        planned = planned_run(run_id, clock=self.clock, shards=shards, stripes=stripes, **changes)
        run = self.store.create_run(planned)
        self.s3().put_object(Bucket="work-bucket", Key=run.plan_key, Body=b"{}")
        return run

    def open_session(self, run: Run, name: str, *, instance_id: str = "i-0000000000000001") -> Session:
        """A live worker."""
        now_ms = to_epoch_ms(self.clock.now())
        session = Session(
            session_id=SessionId(name),
            run_id=run.run_id,
            bucket=0,
            host=Host(
                instance_id=instance_id,
                instance_type="m7i.large",
                zone="eu-central-1a",
                lifecycle="spot",
                batch_job_id="job-1",
            ),
            state=SessionState.ALIVE,
            until=now_ms + 90_000,
            seq=0,
            held=None,
            stop=None,
            hint_until=None,
            started_at=now_ms,
        )
        return self.store.open_session(session)

    def _connect(self, target: Target, clock: Clock) -> Deployment:
        clients = Clients(target.aws)
        vars(clients).update(batch=self.batch, cloudformation=self.stacks, ec2=self.ec2, logs=self.logs)
        vars(clients).update(autoscaling=self.scaling)
        self.on_connect(clients)
        deployment = find_deployment(clients, prefix=target.prefix, clock=clock)
        return deployment if self.real_table else dataclasses.replace(deployment, store=self.store)


@pytest.fixture
def bare_aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """An account in which nothing is deployed."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN", "SPOTPROOF_STACK", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        yield World(clock=ScriptedClock())


@pytest.fixture
def world(bare_aws: World) -> World:
    """An account with the stacks' resources and outputs."""
    for bucket in ("work-bucket", "data-bucket"):
        bare_aws.s3().create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    bare_aws.s3().put_object(Bucket="data-bucket", Key="in/a.csv", Body=b"a,b\n1,2\n")
    bare_aws.stacks.outputs = {"Spotproof-State": STATE_OUTPUTS, "Spotproof-Compute": COMPUTE_OUTPUTS}
    return bare_aws
