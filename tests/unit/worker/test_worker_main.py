"""The worker's entry point, whole, against the AWS APIs in memory: what it does and with which exit code it ends."""

import json
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from batch_jobs.worker_main import exit_code_of, main, parse_arguments, request_of, run_assembly
from spotproof import contract
from spotproof.checkpoints.obstore_s3 import ObstoreObjectStore
from spotproof.checkpoints.s3 import S3ObjectStore
from spotproof.checkpoints.store import ObjectStore
from spotproof.clients import Clients
from spotproof.clock import SystemClock
from spotproof.errors import (
    AwsAccessError,
    AwsIdentityError,
    AwsUnavailableError,
    ConfigurationError,
    InputChangedError,
    RunConflictError,
    RunNotFoundError,
    SpotproofError,
)
from spotproof.ids import SystemIds
from spotproof.interruptions.imds import InstanceMetadata
from spotproof.interruptions.sigterm import SigtermSource
from spotproof.leases.dynamodb import DynamoDBLeaseStore
from spotproof.leases.model import RunId, RunOptions
from spotproof.retries import Retrier
from spotproof.settings import WorkerSettings
from spotproof.worker.assembly import WorkerAssembly
from spotproof.worker.planning import RunJoiner, RunRequest
from tests.fakes.clock import FakeClock
from tests.fakes.gauge import FixedGauge
from tests.fakes.imds import ScriptedTransport
from tests.fakes.spawner import HeldSpawner
from tests.fakes.table import create_table
from tests.unit.worker import word_count

JOB, MODULE = "word-count", "tests.unit.worker.word_count"
ENV = {
    contract.ENV_TABLE: "shards",
    contract.ENV_WORK_BUCKET: "work",
    contract.ENV_DATA_BUCKET: "data",
    "AWS_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_BATCH_JOB_ID": "11111111-2222-3333-4444-555555555555",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:9",  # nobody listens: a blocked IMDS
    contract.ENV_TRANSPORT: "boto3",  # the only one that moto answers
}
OPTIONS = "ttl_s=6,poll_s=0.1"
# A worker without a page of memory left, whose background threads are at work.
STARVED = """
import resource, sys, threading
from spotproof.process import leave
from spotproof.concurrency import ThreadSpawner
def watch():
    while True: threading.Event().wait(0.001)
for number in range(3): ThreadSpawner().spawn(watch, name=str(number))
sys.stdout.write("said")
resource.setrlimit(resource.RLIMIT_AS, (2**20, resource.RLIM_INFINITY))
leave(75)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit of address space is Linux's")
def test_a_worker_without_memory_leaves_with_its_own_exit_code() -> None:
    done = subprocess.run([sys.executable, "-c", STARVED], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (contract.EXIT_INTERRUPTED, "said"), done.stderr


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Iterator[None]:
    for name, value in ENV.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def s3() -> Iterator[Any]:
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        for bucket in ("work", "data"):
            client.create_bucket(Bucket=bucket)
        create_table(boto3.client("dynamodb", region_name="us-east-1"), "shards")
        client.put_object(Bucket="data", Key="in/a.txt", Body=b"spot\nproof\nspot\n")
        client.put_object(Bucket="data", Key="in/b.txt", Body=b"proof\n")
        yield client


def arguments(*, job: str = JOB, module: str = MODULE, **parameters: str) -> list[str]:
    chosen = {"run": "nightly", "input": "s3://data/in/", "shard_by": "objects", "options": OPTIONS, **parameters}
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in chosen.items()]
    return ["--job", job, "--module", module, *flags]


def work(**chosen: str) -> int:
    return main(arguments(**chosen))


def logged(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]


def test_one_worker_does_a_whole_run_and_leaves_when_nothing_is_left(
    s3: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert work() == contract.EXIT_DONE

    outputs = s3.list_objects_v2(Bucket="data", Prefix="output/nightly/")["Contents"]
    assert [output["Key"] for output in outputs] == [
        "output/nightly/part-00000000.json",
        "output/nightly/part-00000001.json",
    ]
    body = s3.get_object(Bucket="data", Key=outputs[0]["Key"])["Body"].read()
    assert json.loads(body) == {"proof": 1, "spot": 2}
    logged_lines = logged(capsys)
    events = [line["event"] for line in logged_lines]
    assert events.count("shard_committed") == 2
    assert events[-1] == "worker_finished"
    assert {line["run_id"] for line in logged_lines} == {"nightly"}


@pytest.mark.parametrize(("environment", "workers"), [({}, 1), ({"AWS_BATCH_JOB_ARRAY_SIZE": "40"}, 40)])
def test_a_run_remembers_how_many_workers_were_submitted(environment: dict[str, str], workers: int) -> None:
    settings = WorkerSettings.from_env(ENV | environment)

    assert request_of(parse_arguments(arguments()), settings).workers == workers


def test_a_second_worker_of_a_finished_run_changes_nothing(s3: Any) -> None:
    work()
    before = s3.list_objects_v2(Bucket="data", Prefix="output/")["Contents"]

    assert work() == contract.EXIT_DONE
    assert s3.list_objects_v2(Bucket="data", Prefix="output/")["Contents"] == before


def test_a_worker_that_starts_on_a_paused_run_leaves_at_once(s3: Any, capsys: pytest.CaptureFixture[str]) -> None:
    settings = WorkerSettings.from_env(ENV)
    retrier = Retrier(clock=SystemClock(), rng=random.Random(1))
    store = DynamoDBLeaseStore(Clients(settings.aws).dynamodb, settings.table, SystemClock(), retrier)
    request = request_of(parse_arguments(arguments()), settings)
    RunJoiner(store=store, s3=s3, retrier=retrier, clock=SystemClock(), work_bucket=settings.work_bucket).join(request)
    store.pause_run(request.run_id, reason="it has cost 5.00 USD")

    assert work() == contract.EXIT_DONE

    run = store.get_run(request.run_id)
    assert run is not None
    assert list(store.sessions(run)) == []
    assert logged(capsys)[-1]["reason"] == "run is PAUSED"


def test_a_blocked_imds_is_reported_and_the_work_goes_on(s3: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert work() == contract.EXIT_DONE

    assert "watcher_degraded" in [line["event"] for line in logged(capsys)]


@pytest.mark.parametrize(
    ("parameters", "exit_code", "said"),
    [
        ({"input": "auto"}, contract.EXIT_INPUT, "input=s3://"),
        ({"input": "s3://data/empty/"}, contract.EXIT_INPUT, "s3://data/empty/"),
        ({"input": "data/in"}, contract.EXIT_INPUT, "data/in"),
        ({"input": "s3://no-such-bucket-here/in/"}, contract.EXIT_INPUT, "no-such-bucket-here"),
        ({"output": "elsewhere"}, contract.EXIT_INPUT, "elsewhere"),
        ({"run": "a/b"}, contract.EXIT_INPUT, "a/b"),
        ({"options": "ttl_s=soon"}, contract.EXIT_INPUT, "ttl_s"),
        ({"shard_by": "magic"}, contract.EXIT_CONFIGURATION, "magic"),
        ({"job": "unknown-job"}, contract.EXIT_CONFIGURATION, "word-count"),
        ({"module": "no.such.module"}, contract.EXIT_CONFIGURATION, "no.such.module"),
    ],
)
def test_a_wrong_parameter_is_one_clear_line_and_its_own_exit_code(
    s3: Any, capsys: pytest.CaptureFixture[str], parameters: dict[str, str], exit_code: int, said: str
) -> None:
    assert work(**parameters) == exit_code

    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert "Traceback" not in error


@pytest.mark.parametrize("name", [contract.ENV_TABLE, contract.ENV_WORK_BUCKET, contract.ENV_DATA_BUCKET])
def test_a_missing_variable_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.delenv(name)

    assert work() == contract.EXIT_CONFIGURATION
    assert name in capsys.readouterr().err


def test_missing_arguments_are_a_configuration_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--job", JOB]) == contract.EXIT_CONFIGURATION
    assert "--module" in capsys.readouterr().err


def test_a_table_that_is_gone_ends_the_worker_with_advice(s3: Any, capsys: pytest.CaptureFixture[str]) -> None:
    boto3.client("dynamodb", region_name="us-east-1").delete_table(TableName="shards")

    assert work() == contract.EXIT_AWS
    assert "deployed" in capsys.readouterr().err


def test_a_plan_that_cannot_be_read_ends_the_worker_and_names_the_object(
    s3: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    work()
    (plan,) = s3.list_objects_v2(Bucket="work", Prefix="runs/nightly/")["Contents"]
    s3.put_object(Bucket="work", Key=plan["Key"], Body=b"not a plan")

    assert work() == contract.EXIT_INPUT
    assert plan["Key"] in capsys.readouterr().err


def test_submitting_the_same_run_with_other_parameters_is_a_conflict(
    s3: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    work()

    assert work(shard_by="size:1KiB") == contract.EXIT_CONFLICT
    assert "nightly" in capsys.readouterr().err


def test_an_input_that_changed_after_planning_is_quarantined_by_name(
    s3: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    word_count.before_reading.append(lambda: s3.put_object(Bucket="data", Key="in/b.txt", Body=b"other words\n"))

    assert work() == contract.EXIT_DONE

    quarantined = [line for line in logged(capsys) if line["event"] == "shard_quarantined"]
    assert ["s3://data/in/b.txt" in line["error"] for line in quarantined] == [True]


@pytest.mark.parametrize(
    ("transport", "store"), [("", ObstoreObjectStore), ("obstore", ObstoreObjectStore), ("boto3", S3ObjectStore)]
)
def test_the_environment_chooses_what_carries_checkpoints(
    monkeypatch: pytest.MonkeyPatch, transport: str, store: type[ObjectStore]
) -> None:
    buckets: list[ObjectStore] = []

    def run(assembly: WorkerAssembly) -> int:
        buckets.append(assembly.objects)
        return contract.EXIT_DONE

    monkeypatch.setattr(WorkerAssembly, "run", run)
    monkeypatch.setenv(contract.ENV_TRANSPORT, transport)

    assert work() == contract.EXIT_DONE

    assert [type(bucket) for bucket in buckets] == [store]


def test_an_unknown_transport_is_a_configuration_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(contract.ENV_TRANSPORT, "pigeon")

    assert work() == contract.EXIT_CONFIGURATION
    assert "SPOTPROOF_TRANSPORT must be obstore or boto3, got 'pigeon'" in capsys.readouterr().err


def test_an_unknown_log_level_is_a_configuration_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(contract.ENV_LOG_LEVEL, "LOUD")

    assert work() == contract.EXIT_CONFIGURATION
    assert contract.ENV_LOG_LEVEL in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputChangedError("x"), contract.EXIT_INPUT),
        (ConfigurationError("x"), contract.EXIT_CONFIGURATION),
        (RunConflictError("x"), contract.EXIT_CONFLICT),
        (AwsAccessError("x"), contract.EXIT_AWS),
        (AwsUnavailableError("x"), contract.EXIT_INTERRUPTED),
        (AwsIdentityError("x"), contract.EXIT_INTERRUPTED),
        (RunNotFoundError("x"), contract.EXIT_INTERRUPTED),
        (SpotproofError("x"), contract.EXIT_UNEXPECTED),
    ],
)
def test_every_error_has_its_exit_code(error: SpotproofError, code: int) -> None:
    assert exit_code_of(error) == code


def assembled(*, shard_by: str = "objects", **ports: Any) -> WorkerAssembly:
    """A worker whose every port is passed in; its background work stands still."""
    settings = WorkerSettings.from_env({**ENV, "AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://never-asked.invalid"})
    clock = FakeClock(SystemClock().now())
    facts = ScriptedTransport({"instance-id": "i-0123456789abcdef0", "instance-life-cycle": "spot"})
    request = RunRequest(
        run_id=RunId("nightly"),
        job=JOB,
        input_uri="s3://data/in/",
        output_uri="s3://data/output/nightly/",
        shard_by=shard_by,
        options=RunOptions(),
        queue="",
        job_definition="",
    )
    chosen: dict[str, Any] = {
        "settings": settings,
        "request": request,
        "function": word_count.word_count,
        "clock": clock,
        "ids": SystemIds(),
        "spawner": HeldSpawner(),
        "rng": random.Random(7),
        "bound": {},
        "clients": Clients(settings.aws),
        "metadata": InstanceMetadata(transport=facts, clock=clock),
        "sigterm": SigtermSource(clock=clock, window_s=settings.stop_grace_s),
        "gauge": FixedGauge(),
    }
    return WorkerAssembly(**{**chosen, **ports})


def test_an_assembled_worker_uses_the_ports_it_was_given_and_no_others(s3: Any) -> None:
    spawner, before = HeldSpawner(), signal.getsignal(signal.SIGTERM)
    assembly = assembled(spawner=spawner)

    assert run_assembly(assembly) == contract.EXIT_DONE

    assert signal.getsignal(signal.SIGTERM) is before
    assert set(spawner.work) == {"interruption-monitor", "session-heartbeat"}
    assert assembly.bound["session_id"].startswith("i-0123456789abcdef0.")
    assert len(s3.list_objects_v2(Bucket="data", Prefix="output/nightly/")["Contents"]) == 2


def test_an_assembled_worker_obeys_the_sigterm_it_was_given(s3: Any) -> None:
    sigterm = SigtermSource(clock=FakeClock(), window_s=30)
    sigterm.on_signal(signal.SIGTERM, None)

    assert run_assembly(assembled(sigterm=sigterm)) == contract.EXIT_INTERRUPTED


def test_an_assembled_worker_that_cannot_work_ends_like_the_container(
    s3: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_assembly(assembled()) == contract.EXIT_DONE

    assert run_assembly(assembled(shard_by="size:1KiB")) == contract.EXIT_CONFLICT
    assert capsys.readouterr().err.startswith("spotproof: error: run 'nightly' exists with other parameters")
