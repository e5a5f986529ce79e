"""The job function around a program, with real processes and the real engine: start, save, stop, resume, hand over."""

import logging
import os
import shutil
import sys
from collections.abc import Callable, Generator, Iterator
from functools import partial
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Any

import pytest

from batch_jobs.wrap import job as job_module
from batch_jobs.wrap.exits import ProgramFailedError
from batch_jobs.wrap.job import WrappedProgram
from spotproof import events
from spotproof.checkpoints.engine import CheckpointEngine
from spotproof.checkpoints.in_memory import InMemoryObjectStore
from spotproof.checkpoints.state import State
from spotproof.checkpoints.workshop import Workshop
from spotproof.clock import SystemClock
from spotproof.commits.output import OutputWriter
from spotproof.concurrency import ThreadSpawner
from spotproof.errors import InputChangedError, OutputValueError
from spotproof.leases.model import CheckpointPointer
from spotproof.shards.model import InputFormat
from spotproof.worker.user_errors import FailureKind, classify_failure
from tests.unit.checkpoints.builders import accept, make_engine
from tests.unit.wrap.watching import eventually, is_alive, numbers_in

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the keeper needs /proc and prctl")
FAR = float("inf")
# Counts up in two files, one after the other, as a program that keeps books; goes on from what is there.
BOOKS = """
[ -e a ] || { : > a; : > b; }
n=$(wc -l < b); truncate -s $(wc -c < b) a
echo $n >> starts
while [ $n -lt ${UNTIL:-1000000} ]; do n=$((n+1)); echo $n >> a; echo $n >> b; done
cp b "$SPOTPROOF_OUTPUT_DIR/books"
"""


class Shard:
    """A shard as the job function sees it; the test says when to stop."""

    def __init__(self, scratch: Path, *, uris: dict[str, bytes], options: dict[str, str]) -> None:
        self.index, self.id, self.options = 7, "00000007", options
        self.sharding, self.input_format = "objects", InputFormat.ANY
        self.stopping, self.window_s, self.spare_s = False, FAR, FAR
        self.ready_to_leave = False
        self.fraction_done: float | None = None
        self.scratch_dir = scratch
        self.output = OutputWriter(index=7, scratch_dir=str(scratch))
        self._uris = uris

    def objects(self) -> Iterator[tuple[str, BufferedReader]]:
        for uri, data in self._uris.items():
            yield uri, BufferedReader(BytesIO(data))

    def batches(self, after: Any = None, records: int = 1000) -> Iterator[Any]:
        raise NotImplementedError

    def stop(self, *, window_s: float = FAR, spare_s: float = FAR) -> None:
        self.stopping, self.window_s, self.spare_s = True, window_s, spare_s

    def outputs(self) -> dict[str, bytes]:
        return {staged.name: self._bytes_of(staged) for staged in self.output.files()}

    def _bytes_of(self, staged: Any) -> bytes:
        return bytes(Path(staged.content).read_bytes())


class Worker:
    """One worker of the shard after the other, each on a disk of its own."""

    def __init__(self, tmp_path: Path) -> None:
        self.tmp_path = tmp_path
        self.objects = InMemoryObjectStore()
        self.pointer: CheckpointPointer | None = None
        self.token = 0
        self.uris = {"s3://data/in/first.txt": b"input\n"}
        self.options: dict[str, str] = {}
        self.running: Generator[None, None, None] | None = None
        self.engine: CheckpointEngine
        self.state: State
        self.shard: Shard

    def start(self, script: str, **environment: str) -> Generator[None, None, None]:
        """A new worker restores and starts; the steps of its job function."""
        self.token += 1
        scratch = self.tmp_path / f"host-{self.token}"
        scratch.mkdir()
        workshop = Workshop(scratch_dir=str(scratch))
        self.engine = make_engine(self.objects, self.token, workshop=workshop)
        self.state = self.engine.restore(self.pointer).state
        self.shard = Shard(workshop.folder, uris=self.uris, options=self.options)
        program = WrappedProgram(
            ["/bin/bash", "-c", script],
            code=self.tmp_path,
            environment={**os.environ, **environment},
            clock=SystemClock(),
            spawner=ThreadSpawner(),
        )
        self.running = program(self.shard, self.state)  # type: ignore[arg-type]
        return self.running

    @property
    def work(self) -> Path:
        return self.state.directory("work")

    def run(self, script: str, **environment: str) -> dict[str, bytes]:
        """Undisturbed to the end; the outputs."""
        for _ in self.start(script, **environment):
            pass
        return self.shard.outputs()

    def until(self, condition: Callable[[], Any], what: str) -> None:
        """Take steps until it holds."""
        assert self.running is not None

        def step() -> Any:
            next(self.running or iter(()))
            return condition()

        eventually(step, what)

    def wait_for_start(self, life: int) -> list[int]:
        """Until the program has begun that often; where it began each time."""
        self.until(lambda: len(numbers_in(self.work / "starts")) == life, f"life {life} begins")
        return numbers_in(self.work / "starts")

    def has_come_to(self, number: int) -> bool:
        return lines_of(self.work / "b") > number

    def save(self) -> None:
        saved = self.engine.save(self.state, record=accept)
        if saved is not None:
            self.pointer = saved.pointer

    def vanish(self) -> None:
        """The worker is gone, and its disk."""
        if self.running is not None:
            self.running.close()
            self.running = None
            self.engine.close()
            shutil.rmtree(self.tmp_path / f"host-{self.token}", ignore_errors=True)


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    made = Worker(tmp_path)
    yield made
    made.vanish()


def lines_of(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_every_file_of_the_output_folder_is_output_and_nothing_else(worker: Worker) -> None:
    outputs = worker.run(
        'mkdir -p "$SPOTPROOF_OUTPUT_DIR/plots"; echo 1 > "$SPOTPROOF_OUTPUT_DIR/plots/a.svg"; '
        'head -c 3000000 /dev/zero > "$SPOTPROOF_OUTPUT_DIR/big"; : > "$SPOTPROOF_OUTPUT_DIR/empty"; echo no > elsewhere'
    )

    assert outputs == {
        "part-00000007/big": bytes(3_000_000),
        "part-00000007/empty": b"",
        "part-00000007/plots/a.svg": b"1\n",
    }


def test_the_program_is_told_where_everything_is(worker: Worker, tmp_path: Path) -> None:
    worker.options = {"max-steps": "5", "unit": "a b"}

    outputs = worker.run('env | grep ^SPOTPROOF > "$SPOTPROOF_OUTPUT_DIR/env"; cat "$SPOTPROOF_INPUT"; pwd > where')

    told = dict(line.split("=", 1) for line in outputs["part-00000007/env"].decode().splitlines())
    scratch = worker.shard.scratch_dir
    assert told == {
        "SPOTPROOF_SHARD": "7",
        "SPOTPROOF_SHARD_ID": "00000007",
        "SPOTPROOF_STOP_FILE": str(scratch / "stop"),
        "SPOTPROOF_INPUT_DIR": str(scratch / "input"),
        "SPOTPROOF_INPUT": str(scratch / "input/first.txt"),
        "SPOTPROOF_OUTPUT_DIR": str(worker.state.directory("output")),
        "SPOTPROOF_CODE_DIR": str(tmp_path),
        "SPOTPROOF_OPTION_MAX_STEPS": "5",
        "SPOTPROOF_OPTION_UNIT": "a b",
    }
    assert (worker.work / "where").read_text() == f"{worker.work}\n"


def test_words_may_name_places_but_never_options(worker: Worker) -> None:
    worker.options = {"x": "$(touch hacked)"}

    outputs = worker.run("echo ${SPOTPROOF_SHARD_ID} '$SPOTPROOF_OPTION_X' > $SPOTPROOF_OUTPUT_DIR/told")

    assert outputs["part-00000007/told"] == b"00000007 $SPOTPROOF_OPTION_X\n"
    assert not (worker.work / "hacked").exists()


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("echo first >&2; echo cannot open mesh >&2; exit 3", "exit code 3; it said: first | cannot open mesh"),
        ("exit 75", "exit code 75, but nothing had asked it to stop"),
        ("kill -SEGV $$", "killed by SIGSEGV: it touched memory that is not its own"),
        ("kill -KILL $$", "killed by SIGKILL: out of memory, or kill -9"),
        ("kill -TERM $$", "killed by SIGTERM"),
    ],
)
def test_a_program_that_fails_is_the_shards_failure_in_its_own_words(worker: Worker, script: str, says: str) -> None:
    with pytest.raises(ProgramFailedError) as failed:
        worker.run(script)

    failure = classify_failure(failed.value)
    assert failure.kind is FailureKind.USER_CODE
    assert not failure.hopeless
    assert not failure.blameless
    assert f"ProgramFailedError: {says}" in failure.text


def test_of_many_words_the_last_are_kept(worker: Worker) -> None:
    with pytest.raises(ProgramFailedError) as failed:
        worker.run("for i in $(seq 1 200); do echo line $i of the log >&2; done; echo the reason >&2; exit 1")

    assert classify_failure(failed.value).text.count("the reason") == 1


def test_a_link_in_the_output_folder_is_refused(worker: Worker) -> None:
    with pytest.raises(OutputValueError, match="'passwd' is a link"):
        worker.run('ln -s /etc/passwd "$SPOTPROOF_OUTPUT_DIR/passwd"')


def test_an_input_that_changed_is_not_the_programs_failure(worker: Worker) -> None:
    steps = worker.start("exit 0")

    def objects() -> Iterator[Any]:
        raise InputChangedError("s3://data/in/first.txt changed")

    worker.shard.objects = objects  # type: ignore[method-assign]
    with pytest.raises(InputChangedError):
        next(steps)


def test_a_killed_workers_program_is_resumed_and_the_output_is_the_same(worker: Worker) -> None:
    undisturbed = worker.run(BOOKS, UNTIL="400")
    worker.vanish()
    worker.pointer = None
    slow = BOOKS.replace("echo $n >> b", "echo $n >> b; sleep 0.01")
    for life in range(1, 5):
        worker.start(slow, UNTIL="400")
        first = worker.wait_for_start(life)[-1]
        worker.until(partial(worker.has_come_to, first + 20), "progress")
        worker.save()
        worker.vanish()

    disturbed = worker.run(BOOKS, UNTIL="400")

    assert disturbed == undisturbed
    starts = numbers_in(worker.work / "starts")
    assert len(starts) == 5
    assert starts[0] == 0
    assert starts == sorted(set(starts))  # every life went on from where the one before had come to


def test_a_save_is_one_moment_of_the_program(worker: Worker) -> None:
    """It writes a, then b: at any moment a is at most one line ahead, and never behind."""
    worker.start(BOOKS)
    worker.until(partial(worker.has_come_to, 10), "it runs")
    ahead = []
    for _ in range(25):
        worker.until(lambda: True, "a step")
        worker.save()
        check = make_engine(worker.objects, 99, workshop=Workshop(scratch_dir=str(worker.tmp_path)))
        saved = check.restore(worker.pointer).state.directory("work")
        ahead.append(lines_of(saved / "a") - lines_of(saved / "b"))
        check.close()

    assert set(ahead) <= {0, 1}


def test_the_output_folder_goes_on_growing_after_an_interruption(worker: Worker) -> None:
    script = 'echo "life $(wc -l < "$SPOTPROOF_OUTPUT_DIR/log" || echo 0)" >> "$SPOTPROOF_OUTPUT_DIR/log"; {}'
    worker.start(script.format("sleep 600"))
    worker.until(lambda: lines_of(worker.state.directory("output") / "log") == 1, "it runs")
    worker.save()
    worker.vanish()

    assert worker.run(script.format("exit 0"))["part-00000007/log"] == b"life 0\nlife 1\n"


def test_asked_to_stop_it_finds_the_stop_file_and_its_last_words_are_saved(
    worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    worker.start('trap "ls $SPOTPROOF_STOP_FILE > last-words; exit 75" TERM; echo > up; while :; do sleep 0.01; done')
    worker.until(lambda: lines_of(worker.work / "up"), "it runs")

    with caplog.at_level(logging.INFO, logger="spotproof.program"):
        worker.shard.stop(window_s=60, spare_s=50)
        worker.until(lambda: worker.shard.ready_to_leave, "it has stopped")
    worker.save()
    worker.vanish()

    worker.start("cat last-words; sleep 600")
    worker.until(lambda: (worker.work / "last-words").exists(), "restored")
    assert (worker.work / "last-words").read_text().rstrip().endswith("/stop")
    told = {record.message: record.__dict__ for record in caplog.records}
    assert told[events.PROGRAM_ASKED_TO_STOP]["spare_s"] == 50
    assert told[events.PROGRAM_ENDED]["how"] == "exit code 75, as it was asked to"


@pytest.mark.parametrize("answer", ["exit 1", "exit 143", "kill -SEGV $$"])
def test_whatever_a_stopped_program_exits_with_is_no_failure(worker: Worker, answer: str) -> None:
    worker.start(f'trap "{answer}" TERM; echo > up; while :; do sleep 0.01; done')
    worker.until(lambda: lines_of(worker.work / "up"), "it runs")
    worker.shard.stop(window_s=60, spare_s=50)

    worker.until(lambda: worker.shard.ready_to_leave, "it has stopped")
    assert worker.shard.ready_to_leave  # and nothing was raised on the way


def test_a_program_that_knows_no_stop_dies_of_it_and_nothing_is_lost(worker: Worker) -> None:
    worker.start(BOOKS)
    worker.until(lambda: lines_of(worker.work / "b") > 10, "it runs")
    worker.shard.stop(window_s=60, spare_s=50)
    worker.until(lambda: worker.shard.ready_to_leave, "it has ended")
    done = lines_of(worker.work / "b")
    worker.save()
    worker.vanish()

    worker.start(BOOKS)
    assert worker.wait_for_start(2) == [0, done]


def test_a_program_that_is_done_in_spite_of_a_stop_is_committed(worker: Worker) -> None:
    steps = worker.start(
        'trap "echo all > $SPOTPROOF_OUTPUT_DIR/result; exit 0" TERM; echo > up; while :; do sleep 0.01; done'
    )
    worker.until(lambda: lines_of(worker.work / "up"), "it runs")
    worker.shard.stop(window_s=60, spare_s=50)

    assert list(steps) == []
    assert worker.shard.outputs() == {"part-00000007/result": b"all\n"}


def test_one_that_does_not_stop_is_saved_frozen_and_then_killed(worker: Worker) -> None:
    worker.start(f"trap '' TERM; echo $$ > pids; {BOOKS}")
    worker.until(lambda: numbers_in(worker.work / "pids") and lines_of(worker.work / "b") > 10, "it runs")
    [pid] = numbers_in(worker.work / "pids")
    spare = iter([5.0, 4.0, 0.0])
    worker.shard.stop(window_s=60)
    worker.shard.__class__ = type("Late", (Shard,), {"spare_s": property(lambda _: next(spare, 0.0))})

    worker.until(lambda: worker.shard.ready_to_leave, "its time is over")
    assert is_alive(pid)  # at work until the last moment
    worker.save()
    worker.vanish()

    assert not is_alive(pid)
    worker.start(BOOKS)
    assert worker.wait_for_start(2)[1] > 10


def test_without_a_deadline_patience_ends_too(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_module, "PATIENCE_S", 0.3)
    worker.start("trap '' TERM; echo > up; while :; do sleep 0.01; done")
    worker.until(lambda: lines_of(worker.work / "up"), "it runs")

    worker.shard.stop()

    worker.until(lambda: worker.shard.ready_to_leave, "patience has ended")
    assert worker.shard.ready_to_leave


def test_a_stop_while_the_input_is_fetched_is_obeyed_before_anything_is_started(worker: Worker) -> None:
    steps = worker.start("echo > started")
    worker.shard.stop(window_s=60, spare_s=50)

    next(steps)

    assert worker.shard.ready_to_leave
    assert list(worker.work.iterdir()) == []


def test_reading_the_input_is_not_counted_as_work(worker: Worker) -> None:
    """Else a stop would find the shard nearly done, and finish it."""
    steps = worker.start("exit 0")
    next(steps)

    assert worker.shard.fraction_done == 0.0
