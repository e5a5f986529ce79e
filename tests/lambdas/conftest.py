"""An account in moto: table, bucket, one run with workers on hosts, and handlers wired to it."""

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from lambdas import (
    controller,
    finalizer,
    instance_state_change,
    job_state_change,
    queue_blocked,
    rebalance_recommendation,
    wiring,
)
from lambdas import spot_interruption as spot
from spotproof import contract
from spotproof.leases.dynamodb import DynamoDBLeaseStore
from spotproof.leases.model import Host, Lease, Run, RunId, Session, SessionKey
from spotproof.retries import Retrier
from tests.fakes.clock import FakeClock
from tests.fakes.leases import HOUR, NOON, a_run, a_session, key_of, leased
from tests.fakes.table import create_table
from tests.lambdas.batch_world import BatchWorld, QuietScaling, RecordingBus
from tests.lambdas.ec2_world import Ec2World

EVENTS = Path(__file__).parents[1] / "events"
ACCOUNT = "123456789012"
REGION = "us-east-1"
INSTANCE = "i-1234567890abcdef0"
OTHER_INSTANCE = "i-00000000000000001"
MODULES = (
    spot,
    rebalance_recommendation,
    instance_state_change,
    job_state_change,
    queue_blocked,
    controller,
    finalizer,
)
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": REGION,
    "MOTO_ACCOUNT_ID": ACCOUNT,
    contract.ENV_TABLE: "table",
    contract.ENV_WORK_BUCKET: "work",
    contract.ENV_DATA_BUCKET: "data",
    contract.ENV_STACK: "Test",
    contract.ENV_SPOT_QUEUE: "spot-queue",
    contract.ENV_ON_DEMAND_QUEUE: "on-demand-queue",
    contract.ENV_EVENT_BUS: "default",
    contract.ENV_MEMORY_MAX: "30340",
}


@dataclass
class LambdaContext:
    """What Lambda passes beside the event."""

    invoked_function_arn: str = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f"
    aws_request_id: str = "00000000-0000-0000-0000-000000000000"
    function_name: str = "f"
    memory_limit_in_mb: int = 256
    remaining_s: float = 30.0

    def get_remaining_time_in_millis(self) -> int:
        return round(self.remaining_s * 1000)


@dataclass
class Account:
    """The mocked account and what a test does in it."""

    clock: FakeClock
    store: DynamoDBLeaseStore
    s3: Any
    dynamodb: Any
    run: Run
    context: LambdaContext

    def worker(
        self, name: str = "worker-a", *, instance_id: str = INSTANCE, run: Run | None = None, **host: Any
    ) -> Session:
        facts = Host(instance_id=instance_id, instance_type="m6i.large", zone="us-east-1a", lifecycle="spot", vcpus=1.0)
        until = round(self.clock.now().timestamp() * 1000) + HOUR
        session = a_session(name, run=run or self.run, host=replace(facts, **host), until=until)
        return self.store.open_session(session)

    def lease(self, session: Session, index: int, *, seq: int = 1) -> Lease:
        return leased(self.store, self.run, session, index, seq=seq)

    def session(self, session: Session) -> Session:
        stored = self.store.get_session(key_of(session))
        assert stored is not None
        return stored

    def key(self, session: Session) -> SessionKey:
        return key_of(session)

    def stored_run(self) -> Run:
        run = self.store.get_run(RunId(self.run.run_id))
        assert run is not None
        return run

    def items(self) -> dict[tuple[str, str], Any]:
        """The whole table, for "nothing changed"."""
        found = self.dynamodb.scan(TableName="table")["Items"]
        return {(item["pk"]["S"], item["sk"]["S"]): item for item in found}

    def stop_file(self, instance_id: str = INSTANCE) -> dict[str, Any] | None:
        key = contract.stop_file_key(instance_id)
        if key not in {item["Key"] for item in self.s3.list_objects_v2(Bucket="work").get("Contents", [])}:
            return None
        content: dict[str, Any] = json.loads(self.s3.get_object(Bucket="work", Key=key)["Body"].read())
        return content

    def event(self, name: str, **changes: Any) -> dict[str, Any]:
        """A recorded event, as if it had just happened."""
        content: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
        return content | {"time": self.clock.now().isoformat(), "account": ACCOUNT} | changes


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(datetime.fromtimestamp(NOON / 1000, UTC))


@pytest.fixture
def account(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(wiring, "SystemClock", lambda: clock)
    _forget_wiring()
    with mock_aws(config={"batch": {"use_docker": False}}):
        dynamodb = boto3.client("dynamodb", region_name=REGION)
        create_table(dynamodb, "table")
        s3 = boto3.client("s3", region_name=REGION)
        for bucket in ("work", "data"):
            s3.create_bucket(Bucket=bucket)
        store = wiring.wire().store
        run = store.create_run(a_run(stripes=2))
        yield Account(clock=clock, store=store, s3=s3, dynamodb=dynamodb, run=run, context=LambdaContext())
    _forget_wiring()
    library = logging.getLogger("spotproof")
    library.handlers, library.propagate = [], True
    library.setLevel(logging.NOTSET)


@pytest.fixture
def batch(account: Account) -> BatchWorld:
    """In place of moto's Batch, whose jobs run by themselves."""
    world = BatchWorld(account.clock)
    _clients().update(batch=world, autoscaling=QuietScaling())
    return world


@pytest.fixture
def ec2(account: Account) -> Ec2World:
    """In place of moto's EC2, which takes no Spot host back."""
    world = Ec2World()
    _clients().update(ec2=world)
    return world


@pytest.fixture
def bus(account: Account) -> RecordingBus:
    recording = RecordingBus()
    _clients().update(events=recording)
    return recording


def _clients() -> dict[str, Any]:
    """The clients that the handlers share, by service; made lazily, so those put here are found instead."""
    return vars(wiring.wire().clients)


def _forget_wiring() -> None:
    wiring.wire.cache_clear()
    for module in MODULES:
        module.warm.cache_clear()


@pytest.fixture
def retrier(clock: FakeClock) -> Retrier:
    import random

    return Retrier(clock=clock, rng=random.Random(1))


@pytest.fixture
def metrics(capsys: pytest.CaptureFixture[str]) -> Callable[[], dict[str, float]]:
    """Metrics that were emitted since the last look, by name."""

    def read() -> dict[str, float]:
        found: dict[str, float] = {}
        for line in capsys.readouterr().out.splitlines():
            document = json.loads(line)
            for directive in document.get("_aws", {}).get("CloudWatchMetrics", []):
                assert directive["Namespace"] == contract.METRIC_NAMESPACE
                assert directive["Dimensions"] == [["Stack"]]
                for metric in directive["Metrics"]:
                    found[metric["Name"]] = sum(document[metric["Name"]])
        return found

    return read
