"""The functions outside Lambda: on what is passed to them and nothing else."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from moto import mock_aws

from lambdas.functions import CONTROLLER, FUNCTIONS, JOB_STATE_CHANGE, QUEUE_BLOCKED, Function
from lambdas.handler_settings import HandlerSettings
from lambdas.wiring import Wiring, make_wiring
from spotproof import contract, events
from spotproof.clients import AwsClients, Clients
from spotproof.concurrency import ThreadSpawner
from spotproof.errors import ConfigurationError
from spotproof.interruptions.eventbridge import run_finished_detail
from spotproof.leases.model import Host, Run
from spotproof.settings import AwsSettings
from tests.fakes.clock import FakeClock
from tests.fakes.ids import CountingIds
from tests.fakes.leases import a_run, a_session, leased
from tests.fakes.table import create_table
from tests.lambdas.batch_world import BatchWorld, QuietScaling
from tests.lambdas.conftest import ACCOUNT, EVENTS, INSTANCE, REGION, LambdaContext
from tests.lambdas.recording import RecordingTelemetry

# Far from the machine's time: with a look at that, every event would come from the future and be refused.
LATER = datetime(2031, 5, 6, 7, 8, tzinfo=UTC)
SETTINGS = HandlerSettings(
    table="table",
    work_bucket="work",
    stack="Test",
    notice_lead=timedelta(seconds=120),
    aws=AwsSettings(region=REGION, endpoint_url=None, access_key_id="testing", secret_access_key="testing"),
    spot_queue="spot-queue",
    on_demand_queue="on-demand-queue",
    event_bus="default",
    memory_mib_max=15_000,
)


@dataclass
class Elsewhere:
    """A world of its own: an account without environment variables, at another time."""

    clients: AwsClients
    clock: FakeClock = field(default_factory=lambda: FakeClock(LATER))
    telemetry: RecordingTelemetry = field(default_factory=RecordingTelemetry)
    context: LambdaContext = field(default_factory=lambda: LambdaContext(remaining_s=60))

    def wiring(self, settings: HandlerSettings = SETTINGS) -> Wiring:
        return make_wiring(
            settings=settings,
            clock=self.clock,
            ids=CountingIds(),
            spawner=ThreadSpawner(),
            clients=self.clients,
            rng=random.Random(1),
        )

    def run_with_a_worker(self) -> Run:
        store, now_ms = self.wiring().store, round(self.clock.now().timestamp() * 1000)
        run = store.create_run(replace(a_run(stripes=2), created_at=now_ms))
        host = Host(instance_id=INSTANCE, instance_type="m6i.large", zone="us-east-1a", lifecycle="spot", vcpus=1.0)
        session = store.open_session(replace(a_session("a", run=run, host=host), until=now_ms + 3_600_000))
        leased(store, run, session, 0)
        return run

    def event(self, name: str, **detail: Any) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
        content |= {"time": self.clock.now().isoformat(), "account": ACCOUNT, "resources": []}
        content["detail"] |= detail
        return content

    def finished(self, run: Run) -> dict[str, Any]:
        return {
            "id": "1",
            "source": contract.EVENT_SOURCE,
            "detail-type": contract.DETAIL_RUN_FINISHED,
            "account": ACCOUNT,
            "time": self.clock.now().isoformat(),
            "resources": [],
            "detail": json.loads(run_finished_detail(run.run_id)),
        }


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[Elsewhere]:
    for function in FUNCTIONS:
        for name in ("handler", "warm", "wire", "powertools"):  # the shell: what runs below it must not need it
            monkeypatch.delattr(sys.modules[function.handle.__module__], name)
    for name in [name for name in os.environ if name.startswith(("AWS_", "SPOTPROOF_"))]:
        monkeypatch.delenv(name)
    with mock_aws():
        clients = Clients(settings=SETTINGS.aws)
        create_table(clients.dynamodb, SETTINGS.table)
        for bucket in ("work", "data"):
            clients.s3.create_bucket(Bucket=bucket)
        found = Elsewhere(clients=clients)
        vars(clients).update(batch=BatchWorld(found.clock), autoscaling=QuietScaling())
        yield found


def test_every_deployed_handler_is_in_the_table_by_the_name_of_its_module() -> None:
    from stacks.routes import EVENT_ROUTES

    deployed = {route.handler for route in EVENT_ROUTES}

    assert {f"lambdas.{function.service}.handler" for function in FUNCTIONS} == deployed
    assert all(function.handle.__module__ == f"lambdas.{function.service}" for function in FUNCTIONS)
    assert len(FUNCTIONS) == len(deployed)


def test_every_function_runs_on_what_it_is_given_and_writes_nothing_to_the_outside(
    elsewhere: Elsewhere, capfd: pytest.CaptureFixture[str]
) -> None:
    run = elsewhere.run_with_a_worker()
    parameters = {"run": run.run_id, "input": "s3://b/in/", "shard_by": "time:1d"}
    its = {"instance-id": INSTANCE}
    failed = elsewhere.event("batch_job_state_change.failed_app_error.synth", parameters=parameters)
    vars(elsewhere.clients)["batch"].jobs[failed["detail"]["jobId"]] = failed["detail"]
    played = {
        "rebalance_recommendation": elsewhere.event("ec2_rebalance_recommendation.docs", **its),
        "spot_interruption": elsewhere.event("ec2_spot_interruption_warning.docs", **its),
        "controller": {},
        "instance_state_change": elsewhere.event("ec2_instance_state_change.terminated.docs", **its),
        "job_state_change": failed,
        "queue_blocked": elsewhere.event("batch_job_queue_blocked.docs"),
        "finalizer": elsewhere.finished(run),
    }
    functions = {function.service: function for function in FUNCTIONS}

    answers = {
        name: functions[name].start(elsewhere.wiring(), elsewhere.telemetry)(event, elsewhere.context)
        for name, event in played.items()
    }

    assert answers.pop("controller")["runs"] == 1
    assert answers == {
        "rebalance_recommendation": {"sessions": 1},
        "spot_interruption": {"sessions": 1, "drained": 1},
        "instance_state_change": {"sessions": 1, "requeued": 1},
        "job_state_change": {"classified": "unknown"},
        "queue_blocked": {"ignored": 1},
        "finalizer": {"result": "not-ready", "state": "RUNNING"},
    }
    assert tuple(capfd.readouterr()) == ("", "")
    assert elsewhere.telemetry.metrics[events.METRIC_STOP_FILES_WRITTEN] == 2
    assert [event for _, event, _ in elsewhere.telemetry.said] == [
        events.STOP_FILE_WRITTEN,
        events.STOP_FILE_WRITTEN,
        events.SHARDS_DRAINED,
        events.CONTROLLER_RAN,
        events.SHARDS_REQUEUED,
        events.WORKER_CLASSIFIED,
        events.EVENT_IGNORED,
        events.RUN_FINISHED,
    ]


def test_a_refused_event_is_told_to_the_passed_telemetry(elsewhere: Elsewhere) -> None:
    handler = JOB_STATE_CHANGE.start(elsewhere.wiring(), elsewhere.telemetry)

    assert handler({"source": "my.app"}, elsewhere.context) == {"rejected": 1}
    assert [(level, event) for level, event, _ in elsewhere.telemetry.said] == [("warning", events.EVENT_REJECTED)]
    assert elsewhere.telemetry.metrics == {events.METRIC_EVENTS_REJECTED: 1}


def test_what_a_warm_function_remembers_is_its_own(elsewhere: Elsewhere) -> None:
    run = elsewhere.run_with_a_worker()
    elsewhere.wiring().store.cancel_run(run.run_id, reason="enough")
    warm = CONTROLLER.start(elsewhere.wiring(), elsewhere.telemetry)

    announced = [warm({}, elsewhere.context)["announced"]]  # too soon, by the clock that both were given
    elsewhere.clock.advance(11 * 60)
    cold = CONTROLLER.start(elsewhere.wiring(), elsewhere.telemetry)
    announced += [handler({}, elsewhere.context)["announced"] for handler in (warm, warm, cold)]

    assert announced == [0, 1, 0, 1]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.service)
def test_only_functions_that_submit_workers_need_queues(elsewhere: Elsewhere, function: Function[Any]) -> None:
    wiring = elsewhere.wiring(replace(SETTINGS, spot_queue=""))

    if function in (CONTROLLER, JOB_STATE_CHANGE, QUEUE_BLOCKED):
        with pytest.raises(ConfigurationError, match=contract.ENV_SPOT_QUEUE):
            function.start(wiring, elsewhere.telemetry)
    else:
        function.start(wiring, elsewhere.telemetry)


def test_importing_the_functions_needs_no_environment_and_no_boto3() -> None:
    code = "import lambdas.functions, sys; sys.exit('boto3' in sys.modules or 'botocore.session' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], env={}, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
