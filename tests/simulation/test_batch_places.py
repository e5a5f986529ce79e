"""Claims about the simulated Batch: which jobs get a place on a host, and when."""

from simulation.cloud.batch_job import SimJobDefinition, SimQueue
from simulation.cloud.instance import Lifecycle
from spotproof.interruptions.eventbridge import JobStatus
from tests.simulation.batch_rig import exits, waits
from tests.simulation.cloud_rig import DAY_S, Rig


def test_several_workers_share_an_instance_and_the_environment_stays_below_its_maximum_and_one_more() -> None:
    queue = SimQueue(name="spot", lifecycle=Lifecycle.SPOT, vcpus_max=8)
    for seed in range(10):
        rig = Rig(seed=seed, queues=(queue,), work=waits)
        rig.submit(arrayProperties={"size": 30})
        rig.run(3600)

        live = rig.fleet.live()
        largest = max(one.vcpus for one in live)
        assert len({instance for _, _, instance in rig.started}) < len(rig.started)
        assert 8 <= sum(one.vcpus for one in live) < 8 + largest
        assert len(rig.started) == sum(one.vcpus for one in live)


def test_waiting_jobs_get_the_room_that_others_leave() -> None:
    queue = SimQueue(name="spot", lifecycle=Lifecycle.SPOT, vcpus_max=1)
    rig = Rig(queues=(queue,), work=exits(0))

    parent = rig.finish(rig.submit(arrayProperties={"size": 30}))

    assert parent.status is JobStatus.SUCCEEDED
    assert len({instance for _, _, instance in rig.started}) == 1


def test_a_job_waits_for_capacity_and_starts_when_there_is_some() -> None:
    rig = Rig(work=exits(0))
    rig.market.begin_shortage(Lifecycle.SPOT, 3 * 3600)
    job = rig.submit()

    rig.run(3 * 3600 - 60)
    assert job.status is JobStatus.RUNNABLE
    rig.finish(job)
    assert rig.now_s < 3 * 3600 + 600


def test_a_shortage_of_spot_does_not_delay_on_demand() -> None:
    rig = Rig(work=exits(0))
    rig.market.begin_shortage(Lifecycle.SPOT, 3600)
    rig.submit()
    rig.run(8)
    asked_at = rig.now_s
    job = rig.submit(jobQueue="on-demand")

    assert rig.run(DAY_S, until=lambda: job.placed_on is not None)

    assert rig.now_s - asked_at < 4


def test_the_head_of_a_queue_waits_for_its_room_and_others_behind_it() -> None:
    definitions = (SimJobDefinition(name="fold"), SimJobDefinition(name="huge", vcpus=64))
    rig = Rig(work=exits(0), definitions=definitions)
    huge = rig.submit(jobDefinition="huge")
    rig.run(5)
    small = rig.submit()
    rig.run(3600)
    assert (huge.status, small.status) == ("RUNNABLE", "RUNNABLE")
    rig.api.cancel_job(jobId=huge.id, reason="can never run")

    assert rig.finish(small).status is JobStatus.SUCCEEDED


def test_a_lost_host_makes_room_for_a_new_one_at_once() -> None:
    queue = SimQueue(name="spot", lifecycle=Lifecycle.SPOT, vcpus_max=1)
    rig = Rig(queues=(queue,), work=waits)
    rig.submit(arrayProperties={"size": 20})
    rig.run(1800)
    rig.fleet.lose(rig.fleet.live()[0], "reclaimed")

    rig.run(2)

    assert len(rig.fleet.live()) == 1


def test_the_on_demand_queue_runs_on_on_demand_hosts() -> None:
    rig = Rig(work=exits(0))
    rig.finish(rig.submit(jobQueue="on-demand"))

    assert {one.lifecycle for one in rig.fleet.instances.values()} == {Lifecycle.ON_DEMAND}


def test_a_job_whose_host_dies_while_booting_waits_for_the_next() -> None:
    rig = Rig(work=exits(0))
    job = rig.submit()
    assert rig.run(DAY_S, until=lambda: job.placed_on is not None)
    assert job.placed_on is not None
    rig.fleet.lose(job.placed_on, "boot failed")

    rig.finish(job)

    assert job.status is JobStatus.SUCCEEDED
    assert len(job.past) == 1


def test_a_cancelled_job_gives_back_its_turn() -> None:
    rig = Rig(work=waits)
    rig.market.begin_shortage(Lifecycle.SPOT, 600)
    job = rig.submit()
    assert rig.run(DAY_S, until=lambda: job.status == "RUNNABLE")
    rig.api.cancel_job(jobId=job.id, reason="not needed")
    rig.run(3600)

    assert rig.started == []
    assert rig.fleet.instances == {}


def test_the_room_of_ended_jobs_is_free_again_and_idle_hosts_go() -> None:
    rig = Rig(work=exits(0))
    rig.finish(rig.submit(arrayProperties={"size": 6}))

    rig.run(1000)

    assert all(one.vcpus_used == 0 for one in rig.fleet.instances.values())
    assert rig.fleet.live() == []
