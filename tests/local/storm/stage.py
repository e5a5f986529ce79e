"""The storm's stage: a local account with the product's stacks and the storm's job, its input, and its runs."""

import json
import os
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from demo.deployment import SMALL_TYPES
from demo.logbook import log_groups
from demo.outputs import RunOutput, read_output
from demo.snapshot import Snapshot, take_snapshot
from localcloud import daemon
from localcloud.client import JobView, LocalCloud
from localcloud.clients import clients_of
from localcloud.deploy import deploy
from localcloud.settings import ROOT_SECRET, Settings
from localcloud.state_dir import Running, StateDir
from spotproof import contract
from spotproof.clock import Clock
from spotproof.leases.model import CapacityClass, Run, RunId
from spotproof.settings import AwsSettings
from spotproof_cli.deployment import Deployment, connect
from spotproof_cli.game_day.log_entries import LogEntry, in_order, parse_line
from spotproof_cli.target import Target
from tests.local.storm.app import JOB
from tests.local.synthesis import ROOT, SOURCES, synthesized_by

ASSEMBLY: Final = ROOT / ".build" / "storm.cdk.out"
SCALE: Final = 10.0  # the notice's two minutes are twelve seconds here, and a bar of thirty seconds is three
SHARDS: Final = 6
RECORDS: Final = 1_600  # per shard: 32 safe points
WORKERS: Final = 4
TTL_S: Final = 4.0
INTERVAL_S: Final = 1.0
PACE_S: Final = 0.2
# Many blows strike the same few shards: what would quarantine a shard on AWS must not end the storm early.
OPTIONS: Final[Mapping[str, str]] = {
    "ttl_s": f"{TTL_S:g}",
    "heartbeat_s": "1.3",
    "checkpoint_interval_s": f"{INTERVAL_S:g}",
    "poll_s": "0.6",
    "hint_s": "2",
    "failures_max": "100",
    "losses_max": "100",
}


@dataclass(kw_only=True)
class Stage:
    """A running account; `running` changes when it is restarted."""

    settings: Settings
    clock: Clock
    running: Running
    deployment: Deployment

    @property
    def state(self) -> StateDir:
        return StateDir(self.settings.state_path)

    @property
    def scratch(self) -> Path:
        """Shared by all workers, so that only the first one unpacks the bundle."""
        return self.state.path / "scratch"

    @property
    def cloud(self) -> LocalCloud:
        return LocalCloud(self.running.endpoint)

    def client(self, service: str) -> Any:
        """A client of the account's root, for services that the product's own clients do not have."""
        return clients_of(self.running)(service)

    def upload_input(self) -> None:
        """The words that every run counts."""
        rng = random.Random(11)
        for number in range(SHARDS):
            words = [{"word": f"w{rng.randrange(60):02d}", "count": rng.randrange(1, 9)} for _ in range(RECORDS)]
            self.deployment.clients.s3.put_object(
                Bucket=self.deployment.names.data_bucket,
                Key=f"words/{number}.jsonl",
                Body="".join(json.dumps(word) + "\n" for word in words).encode(),
            )

    def submit(self, run_id: RunId, *, workers: int = WORKERS, pace_s: float = PACE_S) -> str:
        """Submit workers for the run, as `aws batch submit-job` does; joins it if it goes on already. Two at least."""
        names = self.deployment.names
        options = {**OPTIONS, "pace_s": f"{pace_s:g}"}
        answer = self.deployment.clients.batch.submit_job(
            jobName=run_id,
            jobQueue=names.queues[CapacityClass.SPOT],
            jobDefinition=names.job_definition(JOB),
            parameters={
                "run": run_id,
                "input": f"s3://{names.data_bucket}/words/",
                "output": self.output_uri(run_id),
                "shard_by": "objects",
                "options": ",".join(f"{name}={value}" for name, value in options.items()),
            },
            arrayProperties={"size": workers},
            containerOverrides={"environment": [{"name": "TMPDIR", "value": str(self.scratch)}]},
        )
        return answer["jobId"]

    def output_uri(self, run_id: RunId) -> str:
        return f"s3://{self.deployment.names.data_bucket}/counts/{run_id}/"

    def output(self, run_id: RunId) -> RunOutput:
        """What is published so far."""
        return read_output(self.deployment.clients.s3, self.output_uri(run_id))

    def run(self, run_id: RunId) -> Run | None:
        """The run's row; None before the first worker has planned it."""
        return self.deployment.store.get_run(run_id)

    def snapshot(self, run: Run) -> Snapshot:
        """Who works on what now."""
        store = self.deployment.store
        return take_snapshot(store.sessions(run), store.shards(run), planned=run.shards)

    def is_over(self, run: Run) -> bool:
        """Whether the run has ended and its manifest is published."""
        return run.state.ended and contract.SUCCESS_NAME in self.output(run.run_id).objects

    def workers(self, run_id: RunId) -> dict[str, JobView]:
        """Batch jobs of the run's workers that have not ended, by id; workers that a function submitted included."""
        return {
            job.id: job
            for job in self.cloud.state().jobs
            if job.name.startswith(run_id) and job.size is None and job.status not in ("SUCCEEDED", "FAILED")
        }

    def log(self, run_id: RunId, *, since: float) -> list[LogEntry]:
        """Every event of the run, and of none, that was logged since then (seconds since 1970)."""
        logs = self.deployment.clients.logs
        found = []
        for group in log_groups(logs):
            pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, startTime=int(since * 1000))
            for page in pages:
                for line in page.get("events", []):
                    entry = parse_line(line["message"], stream=line["logStreamName"])
                    if entry is not None and entry.fields.get("run_id") in (run_id, None):
                        found.append(entry)
        return in_order(found)

    def start_again(self) -> None:
        """A new server on the same port after the old one was killed: empty, until the stacks are deployed again."""
        self.running = daemon.start(replace(self.settings, port=self.running.port))
        deploy(self.running, ASSEMBLY)


def synthesized_storm() -> Path:
    """The assembly of the storm's app as it is now."""
    return synthesized_by(
        "-m",
        "tests.local.storm.app",
        out=ASSEMBLY,
        context={"instance_types": ",".join(SMALL_TYPES)},
        sources=(*SOURCES, "tests/local/storm/app.py", "tests/local/storm/job"),
    )


@contextmanager
def opened_stage(directory: Path, *, seed: int, clock: Clock) -> Iterator[Stage]:
    """A new account in `directory` with everything deployed and uploaded; gone at the end."""
    settings = Settings(
        state_dir=str(directory),
        seed=seed,
        scale=SCALE,
        boot_s=5,
        idle_s=600,
        host_gone_s=5,
        warning_floor_real_s=1,
        stop_grace_floor_real_s=1,
        parent_pid=os.getpid(),
    )
    assembly = synthesized_storm()
    running = daemon.start(settings)
    try:
        deploy(running, assembly)
        aws = AwsSettings(
            region=running.region,
            endpoint_url=running.endpoint,
            access_key_id=running.account,
            secret_access_key=ROOT_SECRET,
        )
        target = Target(aws=aws, prefix=contract.DEFAULT_STACK_PREFIX)
        stage = Stage(settings=settings, clock=clock, running=running, deployment=connect(target, clock))
        stage.scratch.mkdir()
        stage.upload_input()
        yield stage
    finally:
        daemon.stop(StateDir(directory))
