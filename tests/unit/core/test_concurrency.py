import threading

import pytest

from spotproof.concurrency import InlineSpawner, Spawner, ThreadSpawner, run_all


@pytest.fixture(params=[ThreadSpawner, InlineSpawner])
def spawner(request: pytest.FixtureRequest) -> Spawner:
    made: Spawner = request.param()
    return made


@pytest.mark.parametrize("width", [1, 3, 50])
def test_every_job_runs_once(spawner: Spawner, width: int) -> None:
    done: list[int] = []

    run_all(spawner, [lambda number=number: done.append(number) for number in range(20)], width=width, name="t")  # type: ignore[misc]

    assert sorted(done) == list(range(20))


def test_no_jobs_are_done_at_once(spawner: Spawner) -> None:
    run_all(spawner, [], width=4, name="t")


def test_the_first_error_is_raised_and_jobs_that_had_not_begun_are_left_out() -> None:
    done: list[int] = []

    def fail() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        run_all(InlineSpawner(), [fail, lambda: done.append(1)], width=1, name="t")

    assert done == []


def test_jobs_run_beside_each_other() -> None:
    meeting = threading.Barrier(3, timeout=10)

    run_all(ThreadSpawner(), [lambda: (meeting.wait(), None)[1]] * 3, width=3, name="t")


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
