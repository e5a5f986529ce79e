"""How long things take to start: the library's import, the command's help, and a worker until its first lease.

Run: python -m bench.startup (after `make demo` has installed everything). Claims: library import <= 0.5 s, `--help`
<= 0.3 s, worker start to first lease <= 3 s. The worker is alone on an idle local account; its start is when its process
was started, its first lease is the time it logged for it: bundle fetched and unpacked, imports, plan and session included.
"""

import subprocess
import sys
import time

from bench.machine import publish, spread
from demo.deployment import Stage, deploy, local_account, synthesize
from demo.logbook import read_log
from demo.runs import RunSpec, RunWatch
from spotproof.clock import SystemClock
from spotproof.leases.model import CapacityClass, RunId

PROCESSES = 15
WORKERS = 7
RECORDS = "".join(
    f'{{"carrier": "AA", "origin": "JFK", "dest": "BOS", "dep_delay": {n}, "arr_delay": {n}}}\n' for n in range(100)
)


def processes(*arguments: str) -> list[float]:
    """Wall seconds of starting Python with these arguments, PROCESSES times, after one run that does not count."""
    took = []
    for _ in range(PROCESSES + 1):
        started = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
        took.append(time.perf_counter() - started)
    return took[1:]


def first_lease_s(stage: Stage, number: int) -> float:
    """From the worker's process to its first lease, in a run of one worker and one shard."""
    names = stage.deployment.names
    spec = RunSpec(
        run_id=RunId(f"start-{number}"),
        input_uri=f"s3://{names.data_bucket}/small/",
        output_uri=f"s3://{names.data_bucket}/started/{number}/",
        shard_by="objects",
        workers=1,
    )
    job = stage.deployment.clients.batch.submit_job(
        jobName=spec.run_id,
        jobQueue=names.queues[CapacityClass.SPOT],
        jobDefinition=names.job_definition("flight-delays"),
        parameters=spec.parameters(),
    )["jobId"]
    RunWatch(stage=stage, spec=spec, clock=SystemClock()).wait(limit_s=60)
    started = stage.cloud.wait_for_event("attempt.started", where=lambda entry: entry["job"] == job)["t"]
    entries = read_log(stage.deployment.clients.logs, run=spec.run_id)
    leased = next(entry.at for entry in entries if entry.event == "shard_leased")
    return float(leased - started)


def workers() -> list[float]:
    assembly = synthesize()
    with local_account(seed=1) as running:
        stage = deploy(running, assembly, clock=SystemClock())
        stage.deployment.clients.s3.put_object(
            Bucket=stage.deployment.names.data_bucket, Key="small/a.jsonl", Body=RECORDS.encode()
        )
        return [first_lease_s(stage, number) for number in range(WORKERS + 1)][1:]


def main() -> None:
    publish(
        "startup",
        {
            "python_alone_s": spread(processes("-c", "pass")),
            "library_import_s": spread(processes("-c", "import spotproof")),
            "command_help_s": spread(processes("-m", "spotproof_cli", "--help")),
            "worker_start_to_first_lease_s": spread(workers()),
        },
    )


if __name__ == "__main__":
    main()
