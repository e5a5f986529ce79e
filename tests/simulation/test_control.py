"""Claims about what people do to the product from outside and can't be undone: no wrong result, no endless loop."""

import hashlib
import json
import logging
import random
from typing import Any

import pytest

from simulation.faults.rates import draw_rates
from simulation.kernel.scheduler import microseconds
from simulation.scenario import SHORT_ATTEMPT_S, Scenario
from simulation.worker import KIND
from simulation.workload import DATA_BUCKET, INPUT_PREFIX, OUTPUT_PREFIX, WORK_BUCKET, draw_workload
from simulation.world import RUN_ID, SPOT_QUEUE, World
from spotproof import contract
from spotproof.leases.model import Run, RunId, RunState
from spotproof.leases.run_items import run_from_item

DAY_S = 86_400.0
OTHER = RunId("other")


def scenario(seed: int, *, faults: bool = False) -> Scenario:
    """A job of some objects; with `faults`, under all of them for ten minutes."""
    rng = random.Random(seed)
    rates = draw_rates(rng) if faults else {}
    wanted = {name: rate for name, rate in rates.items() if not name.startswith(("K2", "K3", "D6"))}
    return Scenario(
        seed=seed,
        workload=draw_workload(rng, poisoned=False),
        workers=2,
        options={"ttl_s": "30", "heartbeat_s": "10", "failures_max": "1000", "losses_max": "1000"},
        rates=wanted,
        peace_s=600.0,
        skew_s=0.0,
        page_bytes_max=1024 * 1024,
        page_keys_max=1000,
        attempt_s=SHORT_ATTEMPT_S,
    )


class Stage:
    """A world without its checkers, which know of one run in a stack that stays."""

    def __init__(self, given: Scenario) -> None:
        self.world = World(given)
        self.world.table.watch.clear()
        self.world.s3.watch.clear()
        self.world.gate.observers[:] = [self.world.functions]
        for key, body in given.workload.objects.items():
            self.world.s3.put_object(Bucket=DATA_BUCKET, Key=key, Body=body)
        self.world.bus.start_schedules()
        self.world.deeds.start()
        self.world.scheduler.after(given.peace_s, lambda: setattr(self.world.book, "at_peace", True))
        self.world.operator.submit()

    def submit_other(self, shard_by: str) -> None:
        """A second run over the same input, to the same output."""
        self.world.batch.api.submit_job(
            jobName="other",
            jobQueue=SPOT_QUEUE.name,
            jobDefinition=f"{contract.JOB_DEFINITION_PREFIX}fold",
            parameters={
                "run": OTHER,
                "input": f"s3://{DATA_BUCKET}/{INPUT_PREFIX}",
                "output": f"s3://{DATA_BUCKET}/{OUTPUT_PREFIX}",
                "shard_by": shard_by,
                "options": "ttl_s=30,heartbeat_s=10,failures_max=1000,losses_max=1000",
            },
        )

    def run_of(self, run_id: RunId) -> Run | None:
        item = self.world.table.item((contract.run_pk(run_id), contract.RUN_SK))
        return None if item is None else run_from_item(item)

    def play(self, seconds: float, *, until: Any = lambda: False) -> bool:
        scheduler = self.world.scheduler
        return scheduler.run(until=scheduler.now + microseconds(seconds), done=until)

    @property
    def living(self) -> list[str]:
        return [process.name for process in self.world.processes if process.kind == KIND and process.alive]

    def is_over(self) -> bool:
        """Nobody works, nobody will, and no run is open."""
        runs = (self.run_of(RUN_ID), self.run_of(OTHER))
        jobs = self.world.batch.jobs.values()
        return (
            all(run is None or run.state.ended for run in runs) and all(job.ended for job in jobs) and not self.living
        )

    def output(self) -> dict[str, bytes]:
        found = self.world.s3.objects(DATA_BUCKET, OUTPUT_PREFIX)
        return {key.removeprefix(OUTPUT_PREFIX): body for key, body in found.items()}


def check_success(stage: Stage) -> None:
    """A `_SUCCESS` that stands is one COMPLETE run's, and every file it names is there as it says."""
    output = stage.output()
    success = output.get(contract.SUCCESS_NAME)
    complete = [name for name in (RUN_ID, OTHER) if _state(stage, name) is RunState.COMPLETE]
    if success is None:
        assert complete == []
        return
    manifest = json.loads(success)
    assert complete == [manifest["run"]]
    for shard in manifest["shards"]:
        for file in shard["files"]:
            assert hashlib.sha256(output[file["name"]]).hexdigest() == file["sha256"]


def _state(stage: Stage, run_id: RunId) -> RunState | None:
    run = stage.run_of(run_id)
    return None if run is None else run.state


@pytest.mark.parametrize("faults", [False, True], ids=["calm", "with faults"])
@pytest.mark.parametrize("seed", range(6))
def test_two_runs_with_one_output_prefix(seed: int, faults: bool) -> None:
    """K4: whoever comes first at a key keeps it; who then differs ends FAILED and says why; both end."""
    stage = Stage(scenario(seed, faults=faults))
    stage.submit_other("size:100B")

    assert stage.play(600 + 3 * 3600, until=stage.is_over)

    check_success(stage)
    runs = [run for run in (stage.run_of(RUN_ID), stage.run_of(OTHER)) if run is not None]
    assert len(runs) == 2 or faults  # a job may fail before it has a run
    for run in runs:
        assert run.state in (RunState.COMPLETE, RunState.FAILED)
        assert (run.state is RunState.FAILED) == ("use another output" in (run.reason or "")), run.reason


def test_two_runs_with_one_output_prefix_and_the_same_bytes_have_one_success() -> None:
    stage = Stage(scenario(3))
    stage.submit_other(stage.world.workload.shard_by)

    stage.play(3 * 3600)

    check_success(stage)
    assert stage.living == []


@pytest.mark.parametrize("after_s", [0.0, 100.0, 120.0, 140.0])
def test_a_stack_deleted_under_a_running_job(after_s: float, caplog: pytest.LogCaptureFixture) -> None:
    """K5: every worker ends and says what is missing, Batch retries none of them, and nothing looks finished."""
    stage = Stage(scenario(1))
    stage.play(after_s)
    submitted = len(stage.world.batch.jobs)

    _delete_stack(stage.world)
    with caplog.at_level(logging.ERROR, logger="spotproof.worker"):
        stage.play(DAY_S)

    assert stage.living == []
    assert all(job.ended for job in stage.world.batch.jobs.values())
    assert len(stage.world.batch.jobs) == submitted
    assert contract.SUCCESS_NAME not in stage.output()
    said = [str(getattr(record, "error", "")) for record in caplog.records]
    assert all("is the stack deployed in this region?" in words for words in said), said
    attempts = [len(job.past) for job in stage.world.batch.jobs.values() if not job.children]
    assert max(attempts) <= 1


def _delete_stack(world: World) -> None:
    """Table, work bucket and rules are gone; the job queue still runs what it has."""
    world.table.delete()
    for key in world.s3.objects(WORK_BUCKET):
        world.s3.vanish(WORK_BUCKET, key)
    world.s3.delete_bucket(Bucket=WORK_BUCKET)
    world.bus.rules = ()
