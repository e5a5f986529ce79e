"""A simulated job from its submission to its end: its states, its array, and who ends it early."""

from simulation.cloud.batch_job import SimJob, SimQueue
from simulation.cloud.instance import Lifecycle
from simulation.kernel.process import Process
from spotproof import contract
from spotproof.capacity.classify import WorkerEndKind
from spotproof.interruptions.eventbridge import JobStatus
from tests.simulation.batch_rig import exits, kind_of, statuses, told, waits
from tests.simulation.cloud_rig import DAY_S, STORM, Rig


def test_a_job_goes_through_batchs_states_and_each_is_told() -> None:
    rig = Rig(work=exits(0))
    job = rig.finish(rig.submit())

    assert job.status is JobStatus.SUCCEEDED
    assert statuses(rig, job) == ["RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED"]
    assert rig.now_s > 60 + 40  # it ran, after its host had booted


def test_the_container_learns_who_it_is() -> None:
    rig = Rig()
    job = rig.submit_running()
    child = rig.submit(arrayProperties={"size": 2}).children[1]

    assert job.environment(3) == {
        "AWS_BATCH_JOB_ID": job.id,
        "AWS_BATCH_JOB_ATTEMPT": "3",
        "AWS_BATCH_JQ_NAME": "spot",
        "AWS_BATCH_CE_NAME": "spot-environment",
    }
    assert child.environment(1)["AWS_BATCH_JOB_ARRAY_INDEX"] == "1"
    assert child.environment(1)["AWS_BATCH_JOB_ARRAY_SIZE"] == "2"
    assert child.environment(1)["AWS_BATCH_JOB_ID"] == f"{child.parent.id if child.parent else ''}:1"


def test_parameters_are_those_of_the_definition_with_the_given_ones_over_them() -> None:
    job = Rig().submit(parameters={"input": "s3://b/"})

    assert job.parameters == {**dict.fromkeys(contract.JOB_PARAMETERS, contract.AUTO), "input": "s3://b/"}


def test_an_array_runs_all_its_children_and_fails_if_one_did() -> None:
    def work(process: Process, job: SimJob, _attempt: int) -> int:
        process.wait(60)
        return contract.EXIT_INPUT if job.index == 1 else 0

    rig = Rig(work=work)
    parent = rig.finish(rig.submit(arrayProperties={"size": 3}))

    assert [str(child.status) for child in parent.children] == ["SUCCEEDED", "FAILED", "SUCCEEDED"]
    assert parent.status is JobStatus.FAILED
    assert statuses(rig, parent) == ["PENDING", "FAILED"]
    assert told(rig, parent)[-1].is_array_parent
    child = told(rig, parent.children[1])[-1]
    assert (child.array_index, child.parent_job_id, child.is_array_parent) == (1, parent.id, False)


def test_terminating_an_array_terminates_its_children() -> None:
    rig = Rig(work=waits, queues=(SimQueue(name="spot", lifecycle=Lifecycle.SPOT, vcpus_max=1),))
    parent = rig.submit(arrayProperties={"size": 20})
    assert rig.run(DAY_S, until=lambda: any(child.status == "RUNNING" for child in parent.children))
    rig.api.terminate_job(jobId=parent.id, reason="enough")
    rig.finish(parent)

    assert {child.status for child in parent.children} == {JobStatus.FAILED}
    assert {kind_of(rig, child) for child in parent.children} == {WorkerEndKind.TERMINATED}
    assert parent.status_reason == "enough"


def test_cancelling_ends_who_waits_and_leaves_who_runs() -> None:
    rig = Rig(work=waits)
    running = rig.submit_running()
    waiting = rig.submit()
    for job in (running, waiting):
        rig.api.cancel_job(jobId=job.id, reason="not needed")

    rig.run(600)

    assert running.status == "RUNNING"
    assert waiting.status is JobStatus.FAILED
    assert kind_of(rig, waiting) is WorkerEndKind.CANCELLED
    assert rig.api.cancel_job(jobId="unknown", reason="x") == {}


def test_a_terminated_worker_is_told_as_a_persons_will() -> None:
    rig = Rig(work=waits)
    job = rig.submit_running()
    rig.api.terminate_job(jobId=job.id, reason="enough")
    rig.finish(job)

    assert job.status_reason == "enough"
    assert len(rig.sigterms) == 1
    assert kind_of(rig, job) is WorkerEndKind.TERMINATED
    assert len(rig.started) == 1


def test_a_job_terminated_while_its_image_is_pulled_never_starts() -> None:
    rig = Rig(work=waits)
    job = rig.submit()
    assert rig.run(DAY_S, until=lambda: job.status == "STARTING")
    rig.api.terminate_job(jobId=job.id, reason="enough")
    rig.run(600)

    assert job.status is JobStatus.FAILED
    assert rig.started == []


def test_a_job_terminated_while_its_host_boots_never_starts() -> None:
    rig = Rig(work=waits)
    job = rig.submit()
    assert rig.run(DAY_S, until=lambda: job.placed_on is not None)
    instance = job.placed_on
    assert instance is not None
    rig.api.terminate_job(jobId=job.id, reason="enough")
    rig.run(300)

    assert job.status is JobStatus.FAILED
    assert rig.started == []
    assert instance.vcpus_used == 0


def storm(seed: int) -> Rig:
    rig = Rig(rates=STORM, seed=seed, work=exits(0))
    rig.scheduler.after(2 * 3600, lambda: setattr(rig.faults, "at_peace", True))
    parent = rig.submit(arrayProperties={"size": 8})
    rig.finish(parent)
    rig.run(2 * 3600)
    return rig


def test_in_any_storm_every_job_ends_no_room_is_lost_and_every_event_is_readable() -> None:
    for seed in range(40):
        rig = storm(seed)
        assert all(one.vcpus_used == 0 and not one.processes for one in rig.fleet.instances.values())
        assert rig.fleet.live() == []
        assert not any(process.alive for process in rig.containers)
        for job in rig.batch.jobs.values():
            assert told(rig, job)[-1].status == job.status
            assert len(job.past) <= 10


def test_the_same_seed_gives_the_same_storm() -> None:
    assert storm(5).trace.digest() == storm(5).trace.digest()
    assert storm(5).trace.digest() != storm(6).trace.digest()
