"""The deployed product as tests use it: input, runs by the `spotproof` command, what workers logged, outputs."""

import json
import os
import random
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from localcloud.state_dir import FOREIGN_VARIABLES
from tests.local.account import TestAccount, eventually

OBJECTS, RECORDS = 6, 10_000
# Quick heartbeats and saves, and work that takes its time, so that there is something to interrupt.
OPTIONS = {
    "ttl_s": "4",
    "poll_s": "0.3",
    "hint_s": "2",
    "checkpoint_interval_s": "0.5",
    "pace_s": "0.00025",  # a record: half a second for a batch of 2,000
}


@dataclass(frozen=True, kw_only=True)
class Product:
    account: TestAccount

    @property
    def data_bucket(self) -> str:
        return self.account.outputs["Spotproof-State.DataBucketName"]

    @property
    def work_bucket(self) -> str:
        return self.account.outputs["Spotproof-State.WorkBucketName"]

    def upload_input(self) -> None:
        """Deterministic flights as JSON lines."""
        rng = random.Random(7)
        for number in range(OBJECTS):
            lines = "".join(json.dumps(a_flight(rng)) + "\n" for _ in range(RECORDS))
            self.account.client("s3").put_object(Bucket=self.data_bucket, Key=f"in/{number}.jsonl", Body=lines.encode())

    def command(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run the `spotproof` command against the account."""
        kept = {name: value for name, value in os.environ.items() if name not in FOREIGN_VARIABLES}
        environment = {**kept, **self.account.state.client_environment(self.account.running)}
        return subprocess.run(
            [sys.executable, "-m", "spotproof_cli", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def submit(self, run_id: str, *, workers: int = 3, input_uri: str | None = None, **options: str) -> str:
        """Submit a run; the Batch job's id."""
        chosen = [part for name, value in {**OPTIONS, **options}.items() for part in ("--option", f"{name}={value}")]
        done = self.command(
            "--json", "submit", "flight-delays", "--run", run_id, "--workers", str(workers), "--shard-by", "objects",
            "--input", input_uri or f"s3://{self.data_bucket}/in/", *chosen,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return str(json.loads(done.stdout)["batch_job"])

    def status(self, run_id: str) -> dict[str, Any]:
        done = self.command("--json", "status", run_id)
        assert done.returncode == 0, done.stderr
        facts: dict[str, Any] = json.loads(done.stdout)
        return facts

    def wait_complete(self, run_id: str) -> None:
        done = self.command("status", run_id, "--wait", "--timeout", "90")
        assert done.returncode == 0, done.stdout + done.stderr

    def outputs(self, run_id: str) -> dict[str, bytes]:
        """Every final object of the run but `_SUCCESS`, by name."""
        s3, prefix = self.account.client("s3"), f"output/{run_id}/"
        listed = s3.list_objects_v2(Bucket=self.data_bucket, Prefix=prefix).get("Contents", [])
        bodies = {
            one["Key"].removeprefix(prefix): s3.get_object(Bucket=self.data_bucket, Key=one["Key"])["Body"].read()
            for one in listed
        }
        return {name: body for name, body in bodies.items() if name != "_SUCCESS"}

    def manifest(self, run_id: str) -> dict[str, Any]:
        body = self.account.client("s3").get_object(Bucket=self.data_bucket, Key=f"output/{run_id}/_SUCCESS")
        facts: dict[str, Any] = json.load(body["Body"])
        return facts

    def logged(self, job_id: str) -> list[dict[str, Any]]:
        """The events a worker logged, all its attempts together."""
        return [json.loads(line) for line in self.account.lines(job_id) if line.startswith("{")]

    def wait_for(self, job_id: str, event: str, *, timeout_s: float = 60.0, **fields: Any) -> dict[str, Any]:
        """The first event of that name with those fields in the worker's log."""

        def found() -> dict[str, Any] | None:
            return next(
                (
                    line
                    for line in self.logged(job_id)
                    if line["event"] == event and all(line.get(name) == value for name, value in fields.items())
                ),
                None,
            )

        entry: dict[str, Any] = eventually(found, f"{event} {fields or ''} of {job_id}", timeout_s=timeout_s)
        return entry


def a_flight(rng: random.Random) -> dict[str, Any]:
    cancelled = rng.random() < 0.03
    return {
        "carrier": rng.choice(["AA", "B6", "DL", "UA", "WN"]),
        "origin": rng.choice(["EWR", "JFK", "LGA"]),
        "dest": rng.choice(["ATL", "BOS", "LAX", "MIA", "ORD"]),
        "dep_delay": None if cancelled else rng.randrange(-20, 200),
        "arr_delay": None if cancelled else rng.randrange(-40, 220),
    }
