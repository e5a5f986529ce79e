"""Whatever is on the command line: one of the documented exit codes, never a traceback."""

import dataclasses
import io
import random
from typing import Any

from botocore.exceptions import ClientError
from click.testing import CliRunner
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from spotproof.clients import Clients
from spotproof.clock import Clock
from spotproof.concurrency import ThreadSpawner, Waiter
from spotproof.leases.in_memory import InMemoryLeaseStore
from spotproof.retries import Retrier
from spotproof_cli import exit_codes
from spotproof_cli.commands import COMMANDS
from spotproof_cli.deployment import Deployment, find_deployment
from spotproof_cli.main import main
from spotproof_cli.services import Services
from spotproof_cli.target import Target
from tests.cli.conftest import COMPUTE_OUTPUTS, STATE_OUTPUTS, FakeStacks, ScriptedClock, planned_run
from tests.cli.doctor.healthy import Account
from tests.cli.fake_batch import FakeBatch
from tests.cli.fake_ec2 import FakeEC2
from tests.cli.fake_logs import FakeLogs
from tests.cli.fake_scaling import FakeScaling
from tests.fakes.ids import CountingIds


class FakeS3:
    """Buckets with one object each."""

    def list_objects_v2(self, **_: Any) -> dict[str, Any]:
        return (
            {"Contents": [], "KeyCount": 0}
            if _["Prefix"] == "empty"
            else {"Contents": [{"Key": "in", "LastModified": NOW, "ETag": '"1"', "Size": len(CONTENT)}]}
        )

    def get_object(self, **_: Any) -> dict[str, Any]:
        if _["Key"] == "in":
            return {"Body": io.BytesIO(CONTENT), "ContentLength": len(CONTENT), "ETag": '"1"'}
        raise ClientError({"Error": {"Code": "NoSuchKey", "Message": "no such key"}}, "GetObject")


class FakeDynamoDB:
    """A table without items; runs are in memory."""

    def query(self, **_: Any) -> dict[str, Any]:
        return {"Items": []}


NOW = ScriptedClock().now()
CONTENT = b"a,b\n1,2\n"
WORDS = st.sampled_from(
    [
        *(entry.name for entry in COMMANDS), "flight-delays", "run-1", "nobody", "i-0123456789abcdef0", "s3://data-bucket/in",
        "s3://x", "--input", "--run", "--output", "--shard-by", "size:1MiB", "hash::0", "--workers", "0", "8",
        "99999999999999999999", "-1", "nan", "inf", "1e400", "--option", "-o", "ttl_s=1", "a=b,c", "=", "--queue", "spot",
        "--wait", "--timeout", "5", "--limit", "--exit-code", "--shard", "--instance", "--event", "--since", "--follow",
        "--download", "/nonexistent/\udcff", "\0", "--reason", "--count", "--no-notice", "--rebalance", "--json", "--plain",
        "--profile", "--region", "eu-central-1", "--endpoint-url", "http://[", "http://127.0.0.1:1", "--local", "--prefix",
        "--max-usd", "$5", "--deadline", "--tag", "team=a", "--shards", "--listen", "127.0.0.1:0", "--textfile", "--interval", "--once", "-q", "-v", "--no-color", "-y", "--version", "--help", "--", "", "-", "\x1b[2J", "\u202e", "é" * 400,
    ]
)  # fmt: skip


def services() -> Services:
    clock = ScriptedClock()
    retrier = Retrier(clock=clock, rng=random.Random(0))
    store = InMemoryLeaseStore(clock=clock, retrier=retrier)
    run = store.create_run(planned_run("run-1", clock=clock))
    clock.after(60, lambda: store.cancel_run(run.run_id, reason="so that waiting ends"))
    batch = FakeBatch()
    stacks = FakeStacks()
    stacks.outputs = {"Spotproof-State": STATE_OUTPUTS, "Spotproof-Compute": COMPUTE_OUTPUTS}

    def connect(target: Target, clock: Clock) -> Deployment:
        clients = Clients(target.aws)
        fakes = {
            "batch": batch,
            "cloudformation": stacks,
            "ec2": FakeEC2(),
            "logs": FakeLogs("/spotproof/workers"),
            "s3": FakeS3(),
            "dynamodb": FakeDynamoDB(),
            "autoscaling": FakeScaling(),
        }
        vars(clients).update(fakes)
        return dataclasses.replace(find_deployment(clients, prefix=target.prefix, clock=clock), store=store)

    env = {"AWS_REGION": "eu-central-1", "SPOTPROOF_LOCALCLOUD_DIR": "/nonexistent"}
    return Services(clock=clock, ids=CountingIds(), env=env, connect=connect, clients=healthy, stop_flag=told_to_stop)


def told_to_stop() -> Waiter:
    """What runs until it is told to stop does one round."""
    flag = ThreadSpawner().flag()
    flag.set()
    return flag


def healthy(_target: Target) -> Clients:
    """What `doctor` looks at."""
    return Account().clients()


STARTS = st.sampled_from(
    [
        (), ("doctor",), ("status",), ("status", "run-1"), ("status", "run-1", "--wait"), ("logs", "run-1"), ("logs", "run-1", "--follow"),
        ("results", "run-1"), ("cancel", "run-1"), ("interrupt", "run-1"),
        ("exporter", "--once"), ("plan", "flight-delays", "--input", "s3://data-bucket/in"), ("submit", "flight-delays", "--input", "s3://data-bucket/in"), ("submit", "flight-delays", "--run", "run-1", "--wait"),
    ]
)  # fmt: skip


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STARTS, st.lists(WORDS | st.text(max_size=12), max_size=7))
def test_any_arguments_end_in_a_documented_code_and_without_a_traceback(
    start: tuple[str, ...], rest: list[str]
) -> None:
    assume((*start, *rest).count("-v") < 2)  # twice asks for a traceback
    result = CliRunner().invoke(main, [*start, *rest], obj=services())

    assert isinstance(result.exception, SystemExit | None), result.exception
    assert result.exit_code in exit_codes.DOCUMENTED
    assert "error: unexpected" not in result.stderr  # `doctor` may end with 1 as well
    assert "Traceback" not in result.output
    assert not set(result.output) & {"\x1b", "\u202e"}
