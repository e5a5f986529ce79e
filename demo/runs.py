"""Runs of the demo's job: submitted with the AWS command line, watched through the table."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from demo.deployment import VCPUS_PER_HOST, Stage, StepFailedError, run_program
from demo.outputs import RunOutput, read_output
from demo.snapshot import Snapshot, take_snapshot
from spotproof import contract
from spotproof.clock import Clock
from spotproof.leases.model import CapacityClass, HistoryEntry, Run, RunId

JOB: Final = "flight-delays"
LOOK_S: Final = 0.25
SHARDINGS: Final = {
    "time": "time:time_hour:1mo:America/New_York",
    "hash": "hash:flight:12",
    "range": "range:distance:12",
}


# Each worker takes an instance for itself, so that every hit strikes one worker.
WHOLE_HOST: Final = {
    "resourceRequirements": [{"type": "VCPU", "value": str(VCPUS_PER_HOST)}],
    "environment": [{"name": "SPOTPROOF_VCPUS", "value": str(VCPUS_PER_HOST)}],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """What is submitted."""

    run_id: RunId
    input_uri: str
    output_uri: str
    shard_by: str
    workers: int
    options: dict[str, str] = field(default_factory=dict)

    def parameters(self) -> dict[str, str]:
        """The parameters of the Batch job."""
        options = ",".join(f"{name}={value}" for name, value in self.options.items()) or contract.AUTO
        return {
            "run": self.run_id,
            "input": self.input_uri,
            "output": self.output_uri,
            "shard_by": self.shard_by,
            "options": options,
        }


def submit(stage: Stage, spec: RunSpec) -> str:
    """`aws batch submit-job` as a person would type it; the id of the array job."""
    names = stage.deployment.names
    command = [str(Path(sys.executable).with_name("aws")), "batch", "submit-job", "--job-name", spec.run_id]
    command += ["--job-queue", names.queues[CapacityClass.SPOT], "--job-definition", names.job_definition(JOB)]
    command += ["--array-properties", f"size={spec.workers}", "--parameters", json.dumps(spec.parameters())]
    command += ["--container-overrides", json.dumps(WHOLE_HOST)]
    answer = run_program("aws batch submit-job", command, stage.environment)
    return str(json.loads(answer)["jobId"])


@dataclass(frozen=True, kw_only=True)
class RunWatch:
    """Looks at one run until it has ended and its `_SUCCESS` is there."""

    stage: Stage
    spec: RunSpec
    clock: Clock

    def run(self) -> Run:
        """The run's row.

        Raises:
            StepFailedError: no worker has planned it yet.
        """
        run = self.stage.deployment.store.get_run(self.spec.run_id)
        if run is None:
            raise StepFailedError(f"run {self.spec.run_id} was never planned")
        return run

    def snapshot(self) -> Snapshot | None:
        """The run now; None before the first worker has planned it."""
        store = self.stage.deployment.store
        run = store.get_run(self.spec.run_id)
        if run is None:
            return None
        return take_snapshot(store.sessions(run), store.shards(run), planned=run.shards)

    def history(self) -> list[HistoryEntry]:
        """What was decided about the run's capacity so far."""
        return list(self.stage.deployment.store.history(self.spec.run_id))

    def output(self) -> RunOutput:
        """What is published so far."""
        return read_output(self.stage.deployment.clients.s3, self.spec.output_uri)

    def wait(self, *, limit_s: float, on_look: Callable[[Snapshot], None] = lambda _snapshot: None) -> None:
        """Look again and again until the run is over.

        Raises:
            StepFailedError: all workers failed, or it took longer than `limit_s` seconds.
        """
        deadline = self.clock.monotonic() + limit_s
        while not self._is_over():
            snapshot = self.snapshot()
            if snapshot is not None:
                on_look(snapshot)
            problem = self._problem(deadline, snapshot)
            if problem is not None:
                raise StepFailedError(f"run {self.spec.run_id}: {problem}")
            self.clock.sleep(LOOK_S)

    def _is_over(self) -> bool:
        run = self.stage.deployment.store.get_run(self.spec.run_id)
        if run is None or not run.state.ended:
            return False
        bucket, _, prefix = self.spec.output_uri.removeprefix("s3://").partition("/")
        found = self.stage.deployment.clients.s3.list_objects_v2(Bucket=bucket, Prefix=prefix + contract.SUCCESS_NAME)
        return bool(found.get("Contents"))

    def _problem(self, deadline: float, snapshot: Snapshot | None) -> str | None:
        jobs = self.stage.cloud.state().jobs
        if jobs and all(job.status == "FAILED" for job in jobs if job.name == self.spec.run_id):
            reasons = {job.reason for job in jobs if job.name == self.spec.run_id and job.reason}
            return f"all its workers failed ({'; '.join(sorted(reasons))})"
        if self.clock.monotonic() > deadline:
            seen = "no worker has planned it" if snapshot is None else f"{snapshot.done} shards are committed"
            return f"not finished in time; {seen}"
        return None
