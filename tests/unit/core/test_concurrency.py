"""Background work: what runs beside what, and what becomes of it where no thread can be had."""

import _thread
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from spotproof import concurrency
from spotproof.concurrency import InlineSpawner, NoThreadError, Spawner, ThreadSpawner, run_all


@pytest.fixture(params=[ThreadSpawner, InlineSpawner])
def spawner(request: pytest.FixtureRequest) -> Spawner:
    made: Spawner = request.param()
    return made


@pytest.mark.parametrize("width", [1, 3, 50])
def test_every_job_runs_once(spawner: Spawner, width: int) -> None:
    done: list[int] = []

    run_all(spawner, [lambda number=number: done.append(number) for number in range(20)], width=width, name="t")  # type: ignore[misc]

    assert sorted(done) == list(range(20))


def test_no_jobs_are_done_at_once(spawner: Spawner, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []
    monkeypatch.setattr(spawner, "spawn", lambda work, *, name: begun.append(name))

    run_all(spawner, [], width=4, name="t")

    assert begun == []


def test_the_first_error_is_raised_and_jobs_that_had_not_begun_are_left_out() -> None:
    done: list[int] = []

    def fail() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        run_all(InlineSpawner(), [fail, lambda: done.append(1)], width=1, name="t")

    assert done == []


def test_jobs_run_beside_each_other() -> None:
    meeting = threading.Barrier(3, timeout=10)
    met: list[int] = []

    run_all(ThreadSpawner(), [lambda: met.append(meeting.wait())] * 3, width=3, name="t")

    assert sorted(met) == [0, 1, 2]


def test_no_more_than_the_width_run_at_once() -> None:
    lock, running, most = threading.Lock(), 0, 0

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        threading.Event().wait(0.002)
        with lock:
            running -= 1

    run_all(ThreadSpawner(), [work] * 30, width=4, name="t")

    assert 1 < most <= 4


# A thread has ended, so that the next one gets its stack; and then there is not a page of memory left for anything else.
STARVED = """
import resource, sys, threading, time
from spotproof import concurrency
from spotproof.concurrency import NoThreadError, ThreadSpawner
concurrency.START_S = 0.5
spawner, done = ThreadSpawner(), threading.Event()
spawner.spawn(done.set, name="first")
done.wait()
time.sleep(0.2)
resource.setrlimit(resource.RLIMIT_AS, (2**20, resource.RLIM_INFINITY))
try:
    spawner.spawn(lambda: None, name="second")
except NoThreadError as error:
    sys.stdout.write(str(error))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit of address space is Linux's")
def test_without_memory_for_a_thread_nobody_waits_for_it_for_ever() -> None:
    done = subprocess.run([sys.executable, "-c", STARVED], capture_output=True, text=True, check=False, timeout=60)

    assert done.stdout == "thread second can't be had: it did not begin within 0.5 s"


def test_work_whose_thread_began_too_late_is_not_done(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[Callable[[], None]] = []
    monkeypatch.setattr(concurrency, "START_S", 0.01)
    monkeypatch.setattr(_thread, "start_new_thread", lambda run, _: begun.append(run))
    done: list[int] = []

    with pytest.raises(NoThreadError):
        ThreadSpawner().spawn(lambda: done.append(1), name="late")
    begun[0]()

    assert done == []


def test_where_no_more_threads_can_be_had_the_lanes_there_are_do_all_the_jobs() -> None:
    class Stingy(ThreadSpawner):
        left = 1

        def spawn(self, work: Callable[[], None], *, name: str) -> None:
            if self.left == 0:
                raise NoThreadError(name)
            self.left -= 1
            super().spawn(work, name=name)

    done: list[int] = []

    run_all(Stingy(), [lambda number=number: done.append(number) for number in range(20)], width=8, name="t")  # type: ignore[misc]

    assert sorted(done) == list(range(20))
