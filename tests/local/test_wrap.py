"""Programs that know nothing of Spotproof as jobs, deployed and disturbed: the same bytes, committed once, resumed."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from demo.deployment import SMALL_TYPES
from localcloud.deploy import deploy
from localcloud.state_dir import FOREIGN_VARIABLES
from tests.local.account import TestAccount, eventually
from tests.local.storm.hands import is_alive
from tests.local.synthesis import ROOT, SOURCES, synthesized_by

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="wrapped programs need Linux"),
    pytest.mark.skipif(not shutil.which("gcc") or not shutil.which("sqlite3"), reason="needs gcc and sqlite3"),
]
PREFIX = "Wrapped"
OPTIONS = {"ttl_s": "4", "poll_s": "0.3", "checkpoint_interval_s": "0.5", "failures_max": "2"}
STEPS, ENTRIES = 400, 60
Disturb = Callable[["Wrapped", str], None]


@dataclass(frozen=True, kw_only=True)
class Wrapped:
    """The deployed jobs as a user sees them."""

    account: TestAccount
    run_of: dict[str, str] = field(default_factory=dict)  # by Batch job, once looked at

    @property
    def data_bucket(self) -> str:
        return self.account.outputs[f"{PREFIX}-State.DataBucketName"]

    def upload(self, name: str, text: str) -> str:
        self.account.client("s3").put_object(Bucket=self.data_bucket, Key=f"in/{name}", Body=text.encode())
        return f"s3://{self.data_bucket}/in/{name}"

    def submit(self, job: str, run_id: str, input_uri: str, *, shard_by: str = "objects") -> str:
        """Plain Batch; the job's id."""
        options = ",".join(f"{name}={value}" for name, value in OPTIONS.items())
        submitted = self.account.client("batch").submit_job(
            jobName=run_id,
            jobQueue=self.account.outputs[f"{PREFIX}-Compute.SpotQueueName"],
            jobDefinition=f"{PREFIX.lower()}-{job}",
            parameters={"run": run_id, "input": input_uri, "shard_by": shard_by, "options": options},
        )
        return str(submitted["jobId"])

    def command(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run the `spotproof` command against the account."""
        kept = {name: value for name, value in os.environ.items() if name not in FOREIGN_VARIABLES}
        return subprocess.run(
            [sys.executable, "-m", "spotproof_cli", "--prefix", PREFIX, *arguments],
            env={**kept, **self.account.state.client_environment(self.account.running)},
            capture_output=True, text=True, check=False, timeout=150,
        )  # fmt: skip

    def wrap(self, folder: Path, run_id: str, input_uri: str, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run `spotproof wrap` in an environment as the job definition makes it, on no host of the account."""
        outputs = {name: self.account.outputs[f"{PREFIX}-State.{name}"] for name in ("TableName", "WorkBucketName")}
        environment = {
            **self.account.state.client_environment(self.account.running),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(folder),
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:9",
            "SPOTPROOF_TABLE": outputs["TableName"],
            "SPOTPROOF_WORK_BUCKET": outputs["WorkBucketName"],
            "SPOTPROOF_DATA_BUCKET": self.data_bucket,
        }
        return subprocess.run(
            [sys.executable, "-m", "spotproof_cli", "wrap", "--run", run_id, "--input", input_uri, *words],
            env=environment, cwd=folder, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip

    def wait_complete(self, run_id: str) -> None:
        done = self.command("status", run_id, "--wait", "--timeout", "120")
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

    def logged(self, *job_ids: str) -> list[dict[str, Any]]:
        """The events of these workers, all attempts, in order."""
        lines = [line for job_id in job_ids for line in self.account.lines(job_id) if line.startswith("{")]
        return sorted(map(json.loads, lines), key=lambda entry: str(entry["ts"]))

    def starts(self, *job_ids: str) -> list[int]:
        """Where the program said that it began, each time that it was started."""
        said = [entry["text"] for entry in self.logged(*job_ids) if entry["event"] == "program_output"]
        return [int(match[1]) for text in said if (match := re.fullmatch(r"starting at (?:step|entry) (\d+)", text))]

    def workers(self, run_id: str) -> list[str]:
        """The Batch jobs of the run: a worker that was killed is replaced by another job."""
        jobs = [job.id for job in self.account.admin.state().jobs]
        for job_id in jobs:
            if job_id not in self.run_of:
                self.run_of[job_id] = str(self.account.describe(job_id)["parameters"].get("run"))
        return [job_id for job_id in jobs if self.run_of[job_id] == run_id]

    def working(self, run_id: str) -> str:
        """The live Batch job that started the program last; others of the run wait for what it leaves. Empty: none."""
        ours = set(self.workers(run_id))
        live = [job.id for job in self.account.admin.state().jobs if job.pid and job.id in ours]
        started = {
            str(entry["ts"]): job_id
            for job_id in live
            for entry in self.logged(job_id)
            if entry["event"] == "program_started"
        }
        return started[max(started)] if started else ""

    def started_often(self, times: int, run_id: str) -> bool:
        return len(self.starts(*self.workers(run_id))) >= times

    def progressed(self, run_id: str) -> bool:
        job = self.working(run_id)
        return bool(job) and self.saves_after_start(job) >= 2

    def saves_after_start(self, job_id: str) -> int:
        """Saves since the program was last started by this worker."""
        names = [entry["event"] for entry in self.logged(job_id)]
        last = len(names) - 1 - names[::-1].index("program_started") if "program_started" in names else len(names)
        return names[last:].count("checkpoint_saved")

    def pid(self, job_id: str) -> int:
        return next(job.pid for job in self.account.admin.state().jobs if job.id == job_id and job.pid)


@pytest.fixture(scope="module")
def wrapped(cloud: TestAccount) -> Wrapped:
    assembly = synthesized_by(
        "-m", "tests.local.wrapped.app",
        out=ROOT / ".build" / "wrapped.cdk.out",
        context={"prefix": PREFIX, "instance_types": ",".join(SMALL_TYPES)},
        sources=(*SOURCES, "tests/local/wrapped"),
    )  # fmt: skip
    stacks = deploy(cloud.running, assembly)
    outputs = {f"{stack.name}.{key}": value for stack in stacks for key, value in stack.outputs.items()}
    return Wrapped(account=TestAccount(state=cloud.state, running=cloud.running, outputs=outputs))


@pytest.fixture(autouse=True)
def calm(wrapped: Wrapped) -> Iterator[None]:
    yield
    wrapped.account.admin.reset_jobs()


def kill_the_worker(wrapped: Wrapped, job: str) -> None:
    os.kill(wrapped.pid(job), signal.SIGKILL)


def announce_the_end_of_the_host(wrapped: Wrapped, job: str) -> None:
    wrapped.account.admin.interrupt(wrapped.account.host_of(job))


def take_the_host(wrapped: Wrapped, job: str) -> None:
    wrapped.account.admin.kill(wrapped.account.host_of(job))


def terminate(wrapped: Wrapped, job: str) -> None:
    wrapped.account.client("batch").terminate_job(jobId=job, reason="test")
    wrapped.account.wait(job)


def play(wrapped: Wrapped, name: str, run_id: str, input_uri: str, blows: Sequence[Disturb]) -> list[str]:
    """Run it with these blows, each once there is new progress to lose; the Batch jobs that took part."""
    wrapped.submit(name, run_id, input_uri)
    for number, blow in enumerate(blows, 1):
        eventually(partial(wrapped.progressed, run_id), f"progress before blow {number}", timeout_s=60)
        blow(wrapped, wrapped.working(run_id))
        if blow is terminate:  # nobody replaces a terminated job: somebody joins the run
            wrapped.submit(name, run_id, input_uri)
        eventually(partial(wrapped.started_often, number + 1, run_id), f"a start after blow {number}", timeout_s=120)
    wrapped.wait_complete(run_id)
    return wrapped.workers(run_id)


@pytest.fixture(scope="module")
def steps_input(wrapped: Wrapped) -> str:
    return wrapped.upload("steps/first", f"1 {STEPS} 60000\n")


@pytest.fixture(scope="module")
def ledger_input(wrapped: Wrapped) -> str:
    return wrapped.upload("ledger/first", f"{ENTRIES} 0.15\n")


def test_a_c_program_is_killed_noticed_and_terminated_and_nobody_can_tell(wrapped: Wrapped, steps_input: str) -> None:
    undisturbed = wrapped.submit("steps", "calm-steps", steps_input)
    blows = [kill_the_worker, announce_the_end_of_the_host, terminate, take_the_host]
    jobs = play(wrapped, "steps", "rough-steps", steps_input, blows)
    wrapped.wait_complete("calm-steps")

    expected = wrapped.outputs("calm-steps")
    assert list(expected) == ["part-00000000/steps.txt"]
    assert expected["part-00000000/steps.txt"].count(b"\n") == STEPS
    assert wrapped.outputs("rough-steps") == expected
    assert wrapped.starts(undisturbed) == [0]
    starts = wrapped.starts(*jobs)
    assert len(starts) == len(blows) + 1
    assert starts == sorted(starts)
    assert len(set(starts)) == len(starts)  # every life went on from where the one before had come to
    names = [entry["event"] for entry in wrapped.logged(*jobs)]
    assert names.count("shard_committed") == 1
    assert "shard_failed" not in names
    let_go = [entry for entry in wrapped.logged(*jobs) if entry["event"] == "shard_released"]
    assert len(let_go) == 2
    assert max(entry["lost_ms"] for entry in let_go) < 1000  # notice and SIGTERM cost no more than it takes to leave
    assert names.count("program_asked_to_stop") == 2


def test_a_sqlite_database_survives_the_same(wrapped: Wrapped, ledger_input: str) -> None:
    wrapped.submit("ledger", "calm-ledger", ledger_input)
    blows = [take_the_host, announce_the_end_of_the_host, kill_the_worker]
    jobs = play(wrapped, "ledger", "rough-ledger", ledger_input, blows)
    wrapped.wait_complete("calm-ledger")

    expected = wrapped.outputs("calm-ledger")
    assert expected["part-00000000/books.txt"].count(b"\n") == ENTRIES + 1
    assert wrapped.outputs("rough-ledger") == expected
    starts = wrapped.starts(*jobs)
    assert len(starts) == len(blows) + 1
    assert starts[0] == 0
    assert starts == sorted(set(starts))
    assert [entry["event"] for entry in wrapped.logged(*jobs)].count("shard_committed") == 1


def test_nothing_of_a_program_outlives_its_worker(wrapped: Wrapped, steps_input: str) -> None:
    job = wrapped.submit("steps", "abandoned", steps_input)
    eventually(lambda: wrapped.starts(job), "the program runs", timeout_s=60)
    worker = wrapped.pid(job)
    [keeper] = children_of(worker)
    [program] = children_of(keeper)

    kill_the_worker(wrapped, job)

    eventually(lambda: not is_alive(program) and not is_alive(keeper), "program and keeper have ended")


def test_a_program_that_fails_is_quarantined_with_its_own_words(wrapped: Wrapped) -> None:
    job = wrapped.submit("steps", "bad-input", wrapped.upload("bad/first", "no numbers here\n"))
    wrapped.account.wait(job, timeout_s=90)

    facts = json.loads(wrapped.command("--json", "status", "bad-input").stdout)

    [shard] = facts["quarantined"]
    assert "ProgramFailedError: exit code 2; it said: input: Success" in shard["error"]


def test_the_command_is_a_worker_wherever_its_environment_is(wrapped: Wrapped, tmp_path: Path) -> None:
    for number in range(2):
        wrapped.upload(f"lines/{number}.txt", "".join(f"{line}\n" for line in range(number, 500)))
    run = wrapped.wrap(
        tmp_path, "by-hand", f"s3://{wrapped.data_bucket}/in/lines/", "--shard-by", "objects", "-o", "unit=lines",
        "--", "sh", "-c",
        'echo "$(wc -l < "$SPOTPROOF_INPUT") $SPOTPROOF_OPTION_UNIT of $SPOTPROOF_SHARD" > "$SPOTPROOF_OUTPUT_DIR/n"',
    )  # fmt: skip

    assert run.returncode == 0, run.stdout + run.stderr
    wrapped.wait_complete("by-hand")
    assert wrapped.outputs("by-hand") == {
        "part-00000000/n": b"500 lines of 0\n",
        "part-00000001/n": b"499 lines of 1\n",
    }


def children_of(pid: int) -> list[int]:
    """Processes whose parent it is."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == pid and fields[0] != "Z":
                found.append(int(entry))
    return found
