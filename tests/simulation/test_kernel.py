"""Claims about the simulator's kernel: order, waiting, freezing, locks, flags, and ends at any moment."""

import random
from collections.abc import Callable
from datetime import timedelta

import pytest

from simulation.kernel.process import EPOCH, KILLED, Process, ProcessKilled
from simulation.kernel.scheduler import MICROSECONDS, Scheduler, microseconds
from simulation.kernel.trace import Trace

HOUR = microseconds(3600)


class Machine:
    """A scheduler, a log, and processes that tell when they ended."""

    def __init__(self) -> None:
        self.scheduler = Scheduler()
        self.log: list[str] = []
        self.ended: list[str] = []

    def process(self, name: str = "p") -> Process:
        return Process(
            self.scheduler,
            name=name,
            kind="worker",
            rng=random.Random(1),
            on_exit=lambda process: self.ended.append(process.name),
        )

    def started(self, main: Callable[[Process], int], name: str = "p") -> Process:
        process = self.process(name)
        process.start(lambda: main(process))
        return process

    def run(self, seconds: float = 3600.0) -> None:
        self.scheduler.run(until=self.scheduler.now + microseconds(seconds), done=lambda: False)

    def say(self, words: str) -> None:
        self.log.append(f"{self.scheduler.now / MICROSECONDS:g} {words}")


@pytest.fixture
def machine() -> Machine:
    return Machine()


def sleeper(process: Process) -> int:
    process.wait(None)
    return 0


# --- the scheduler -----------------------------------------------------------------------------------------------


def test_events_happen_by_time_and_those_of_one_moment_as_they_were_planned(machine: Machine) -> None:
    for second, name in ((2, "late"), (1, "first"), (1, "second"), (1, "third")):
        machine.scheduler.after(second, lambda name=name: machine.say(name))  # type: ignore[misc]

    machine.run()

    assert machine.log == ["1 first", "1 second", "1 third", "2 late"]


def test_what_is_planned_for_the_past_happens_now(machine: Machine) -> None:
    machine.scheduler.after(5, lambda: machine.scheduler.at(0, lambda: machine.say("at once")))

    machine.run()

    assert machine.log == ["5 at once"]


def test_a_run_that_ends_early_loses_nothing_that_was_planned_for_later(machine: Machine) -> None:
    machine.scheduler.after(10, lambda: machine.say("ten"))

    assert not machine.scheduler.run(until=microseconds(9), done=lambda: False)
    assert machine.log == []
    machine.run()

    assert machine.log == ["10 ten"]


def test_a_run_ends_before_the_next_event_once_it_is_done(machine: Machine) -> None:
    machine.scheduler.after(1, lambda: machine.say("one"))
    machine.scheduler.after(2, lambda: machine.say("two"))

    assert machine.scheduler.run(until=HOUR, done=lambda: bool(machine.log))

    assert machine.log == ["1 one"]


def test_time_passes_for_all_tasks_together_and_costs_none(machine: Machine) -> None:
    def main(process: Process) -> int:
        for _ in range(3):
            process.clock.sleep(100)
            machine.say(process.name)
        return 0

    machine.started(main, "a")
    machine.started(main, "b")
    machine.run()

    assert machine.log == ["100 a", "100 b", "200 a", "200 b", "300 a", "300 b"]


# --- clocks ------------------------------------------------------------------------------------------------------


def test_a_wrong_wall_clock_leaves_the_monotonic_one_alone(machine: Machine) -> None:
    process = machine.process()
    process.skew_us = microseconds(-600)

    machine.scheduler.after(60, lambda: machine.say("a minute"))
    machine.run(60)

    assert process.clock.now() == EPOCH + timedelta(seconds=60 - 600)
    assert process.clock.monotonic() == 60


def test_a_suspended_machine_does_not_count_the_time_and_a_stopped_process_does(machine: Machine) -> None:
    seen: dict[str, float] = {}

    def main(process: Process) -> int:
        process.clock.sleep(10)
        seen[process.name] = process.clock.monotonic()
        machine.say(process.name)
        return 0

    stopped, suspended = machine.started(main, "stopped"), machine.started(main, "suspended")
    machine.scheduler.after(1, lambda: stopped.freeze(100))
    machine.scheduler.after(1, lambda: suspended.freeze(100, suspend=True))
    machine.run()

    assert machine.log == ["101 stopped", "101 suspended"]
    assert seen == {"stopped": 101, "suspended": 1}


def test_freezing_longer_while_frozen_counts_the_time_once(machine: Machine) -> None:
    process = machine.started(sleeper)
    machine.scheduler.after(1, lambda: process.freeze(100, suspend=True))
    machine.scheduler.after(51, lambda: process.freeze(100, suspend=True))

    machine.run()

    assert process.suspended_us == microseconds(150)


# --- waiting -----------------------------------------------------------------------------------------------------


def test_a_wake_up_for_an_earlier_wait_is_stale(machine: Machine) -> None:
    """The flag is set before the time-out: the time-out's own wake-up must not end the next wait."""

    def main(process: Process) -> int:
        flag = process.spawner.flag()
        machine.scheduler.after(5, flag.set)
        machine.say(f"flag {flag.wait(10)}")
        process.wait(100)
        machine.say("slept")
        return 0

    machine.started(main)
    machine.run()

    assert machine.log == ["5 flag True", "105 slept"]


def test_a_flag_that_nobody_sets_is_waited_for_until_the_time_is_over(machine: Machine) -> None:
    def main(process: Process) -> int:
        machine.say(f"flag {process.spawner.flag().wait(7)}")
        return 0

    machine.started(main)
    machine.run()

    assert machine.log == ["7 flag False"]


def test_a_flag_wakes_all_who_wait_and_stays_set(machine: Machine) -> None:
    def main(process: Process) -> int:
        flag = process.spawner.flag()
        for name in ("a", "b"):
            process.spawn(lambda name=name: machine.say(f"{name} {flag.wait()}"), name=name)  # type: ignore[misc]
        process.wait(3)
        flag.set()
        process.wait(1)
        machine.say(f"main {flag.wait(50)}")
        return 0

    machine.started(main)
    machine.run()

    assert machine.log == ["3 a True", "3 b True", "4 main True"]


def test_a_lock_is_given_to_those_who_wait_in_the_order_they_came(machine: Machine) -> None:
    def main(process: Process) -> int:
        lock = process.spawner.lock()

        def hold(name: str) -> None:
            with lock:
                machine.say(f"{name} has it")
                process.wait(10)

        for name in ("a", "b", "c"):
            process.spawn(lambda name=name: hold(name), name=name)  # type: ignore[misc]
        process.wait(100)
        return 0

    machine.started(main)
    machine.run()

    assert machine.log == ["0 a has it", "10 b has it", "20 c has it"]


def test_a_lock_passes_over_a_thread_that_died_waiting(machine: Machine) -> None:
    def main(process: Process) -> int:
        lock = process.spawner.lock()

        def hold(name: str) -> None:
            with lock:
                machine.say(f"{name} has it")
                process.wait(10)

        for name in ("a", "b", "c"):
            process.spawn(lambda name=name: hold(name), name=name)  # type: ignore[misc]
        process.wait(1)
        assert process.kill_task("b")
        process.wait(100)
        return 0

    machine.started(main)
    machine.run()

    assert machine.log == ["0 a has it", "10 c has it"]


def test_a_lock_is_released_by_an_exception(machine: Machine) -> None:
    def main(process: Process) -> int:
        lock = process.spawner.lock()
        with pytest.raises(ValueError, match="inside"), lock:
            raise ValueError("inside")
        with lock:
            machine.say("again")
        return 0

    machine.started(main)
    machine.run()

    assert machine.log == ["0 again"]


# --- ends --------------------------------------------------------------------------------------------------------


def test_the_value_of_main_is_the_exit_code_and_ends_every_other_task(machine: Machine) -> None:
    def main(process: Process) -> int:
        process.spawn(process.hang, name="background")
        process.wait(1)
        return 75

    process = machine.started(main)
    machine.run()

    assert (process.exit_code, process.alive, machine.ended) == (75, False, ["p"])
    assert process.crash is None


def test_a_process_killed_from_outside_runs_no_instruction_more(machine: Machine) -> None:
    def main(process: Process) -> int:
        process.wait(10)
        machine.say("went on")
        return 0

    process = machine.started(main)
    machine.scheduler.after(5, lambda: process.kill("host lost"))
    machine.run()

    assert machine.log == []
    assert (process.exit_code, process.why, machine.ended) == (KILLED, "host lost", ["p"])


def test_a_process_killed_from_inside_does_not_return_from_it(machine: Machine) -> None:
    def main(process: Process) -> int:
        process.kill("by a fault")
        machine.say("went on")
        return 0

    process = machine.started(main)
    machine.run()

    assert machine.log == []
    assert process.exit_code == KILLED


def test_finally_blocks_of_a_killed_process_have_no_effect_outside(machine: Machine) -> None:
    """SIGKILL runs no finally block; Python unwinds ours, so whatever reaches outside must refuse."""
    reached: list[str] = []

    def main(process: Process) -> int:
        try:
            process.wait(None)
        finally:
            reached.append("finally")
            process.check_alive()  # the gate asks this before every call
            reached.append("outside")
        return 0

    process = machine.started(main)
    machine.scheduler.after(1, lambda: process.kill("by a test"))
    machine.run()

    assert reached == ["finally"]
    assert process.crash is None


def test_a_killed_process_can_neither_wait_nor_take_a_lock_nor_a_flag(machine: Machine) -> None:
    process = machine.process()
    lock, flag = process.spawner.lock(), process.spawner.flag()
    flag.set()
    process.end(0, "over")

    for act in (lambda: process.wait(1), lambda: lock.__enter__(), lambda: flag.wait(1)):
        with pytest.raises(ProcessKilled):
            act()


def test_a_task_that_has_not_begun_when_its_process_ends_never_begins(machine: Machine) -> None:
    """What is frozen at its start ends without a line of it having run, and takes the scheduler with it no more."""

    def began(_: Process) -> int:
        machine.say("began")
        return 0

    process = machine.started(began)
    process.freeze(60)
    machine.scheduler.after(1, lambda: process.kill("host lost"))
    machine.scheduler.after(90, lambda: machine.say("the world goes on"))
    machine.run()

    assert machine.log == ["90 the world goes on"]
    assert (process.exit_code, machine.ended) == (KILLED, ["p"])


def test_a_thread_that_is_killed_before_it_begins_never_begins(machine: Machine) -> None:
    def main(process: Process) -> int:
        process.spawn(lambda: machine.say("the thread began"), name="thread")
        assert process.kill_task("thread")
        process.wait(10)
        machine.say("the rest lives on")
        return 0

    machine.started(main)
    machine.run()

    assert machine.log == ["10 the rest lives on"]


def test_a_process_ends_once(machine: Machine) -> None:
    process = machine.started(sleeper)
    machine.scheduler.after(1, lambda: process.kill("first"))
    machine.scheduler.after(1, lambda: process.kill("second"))
    machine.run()

    assert (process.why, machine.ended) == ("first", ["p"])


def test_a_process_killed_while_frozen_is_gone_at_once(machine: Machine) -> None:
    process = machine.started(sleeper)
    machine.scheduler.after(1, lambda: process.freeze(1000))
    machine.scheduler.after(2, lambda: process.kill("host lost"))
    machine.run(3)

    assert machine.ended == ["p"]


def test_what_escapes_main_is_kept_and_ends_the_process(machine: Machine) -> None:
    def main(_: Process) -> int:
        raise ValueError("a bug")

    process = machine.started(main)
    machine.run()

    assert isinstance(process.crash, ValueError)
    assert process.exit_code == 1


def test_one_thread_dies_and_the_others_live_on(machine: Machine) -> None:
    def beat(process: Process) -> None:
        while True:
            process.wait(1)
            machine.say("beat")

    def main(process: Process) -> int:
        process.spawn(lambda: beat(process), name="heartbeat")
        process.wait(2.5)
        assert process.kill_task("heartbeat")
        assert not process.kill_task("nobody")
        process.wait(10)
        machine.say("main lives")
        return 0

    machine.started(main)
    machine.run()

    assert machine.log == ["1 beat", "2 beat", "12.5 main lives"]


def test_a_hung_task_waits_until_its_process_is_killed(machine: Machine) -> None:
    process = machine.process()
    process.start(lambda: process.hang() or 0)  # type: ignore[func-returns-value]
    machine.run()
    assert process.alive

    process.kill("time is over")
    machine.run()

    assert machine.ended == ["p"]


# --- ids and traces ----------------------------------------------------------------------------------------------


def test_ids_come_from_the_seed() -> None:
    def ids(seed: int) -> list[str]:
        process = Process(Scheduler(), name="p", kind="worker", rng=random.Random(seed), on_exit=lambda _: None)
        return [process.ids.nonce() for _ in range(3)]

    assert ids(1) == ids(1)
    assert ids(1) != ids(2)


def test_a_trace_differs_by_anything_that_was_noted() -> None:
    entry = {"moment": 1_500_000, "who": "p", "what": "call", "detail": "refused"}
    changes: tuple[dict[str, object], ...] = ({}, {"moment": 2}, {"who": "q"}, {"what": "cal"}, {"detail": ""})
    digests = set()
    for change in changes:
        trace = Trace()
        trace.note(**(entry | change))  # type: ignore[arg-type]
        digests.add(trace.digest())

    assert len(digests) == len(changes)


def test_an_entry_reads_as_a_line() -> None:
    trace = Trace()
    trace.note(1_500_000, "worker 1", "s3.put_object", "503")

    assert trace.last()[0].words().split() == ["1.500000", "worker", "1", "s3.put_object", "503"]
