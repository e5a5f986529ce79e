"""The turns a script can give events: what befalls a worker, its host, its job or its run."""

from functools import partial
from typing import Final

from simulation.cloud.batch_job import SimJob
from simulation.cloud.instance import SimInstance
from simulation.kernel.process import Process
from simulation.world import World

AT_RISK_S: Final = 60.0
NO_TIME_S: Final = 1.0
LITTLE_TIME_S: Final = 14.0  # for a save, and not for the rest of the work
DEAD_AFTER_S: Final = 90.0  # beyond the ttl
LONG_DEAD_AFTER_S: Final = 130.0  # beyond the two minutes of a notice


def notice(world: World, process: Process) -> None:
    """Two minutes are left."""
    for host in _host(world, process):
        world.fleet.give_notice(host)


def short_notice(world: World, process: Process) -> None:
    """Time for a save is left, and no more."""
    for host in _host(world, process):
        world.fleet.give_notice(host, lead_s=LITTLE_TIME_S)


def late_notice(world: World, process: Process) -> None:
    """Hardly anything is left, and the worker is not heard of again."""
    for host in _host(world, process):
        world.fleet.give_notice(host, lead_s=NO_TIME_S, reclaim=False)
    world.scheduler.after(NO_TIME_S, partial(vanish, world, process, dead_after_s=LONG_DEAD_AFTER_S))


def rebalance(world: World, process: Process) -> None:
    """The host is at risk, and is lost before the recommendation has expired."""
    for host in _host(world, process):
        world.fleet.recommend_rebalance(host)
        world.scheduler.after(AT_RISK_S, partial(world.fleet.lose, host, "was at risk"))


def lose_last_attempt(world: World, process: Process) -> None:
    """The host is gone, and its worker's job had no attempt left."""
    for job in _job(world, process):
        job.attempts_max = len(job.past) + 1
    for host in _host(world, process):
        world.fleet.lose(host, "host failure")


def vanish(_: World, process: Process, *, dead_after_s: float = DEAD_AFTER_S) -> None:
    """The worker stands still, and is never heard of again until it is found dead."""
    process.freeze(2 * dead_after_s)
    process.scheduler.after(dead_after_s, partial(process.kill, "found dead"))


def crash(_: World, process: Process) -> None:
    """The worker ends as an unforeseen error ends it: Batch does not try again."""
    process.end(1, "crashed")


def terminate(world: World, process: Process) -> None:
    """Somebody ends the worker's job."""
    for job in _job(world, process):
        world.batch.api.terminate_job(jobId=job.id, reason="somebody wants it")


def cancel(world: World, _: Process) -> None:
    """Somebody ends the run."""
    world.operator.cancel()


def allow_quarantine(world: World, _: Process) -> None:
    """From here on the checkers take a quarantined shard for what the script wants."""
    world.may_quarantine = True


def _host(world: World, process: Process) -> list[SimInstance]:
    """The instance that `process` runs on; empty if it runs no more."""
    return [host for host in world.fleet.live() if process in host.processes]


def _job(world: World, process: Process) -> list[SimJob]:
    """The job whose container `process` is."""
    return [job for job in world.batch.jobs.values() if job.attempt is not None and job.attempt.process is process]
