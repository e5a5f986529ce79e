"""Claims about what the simulated Batch, EC2 and Auto Scaling tell of queues in which nothing can start."""

import random
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from simulation.cloud.batch_blocked import NO_IDEA, SEEN_AFTER_S, UNDETERMINED
from simulation.cloud.batch_job import SimJob
from simulation.cloud.instance import Lifecycle
from simulation.kernel.process import Process
from spotproof import contract
from spotproof.capacity.waiting import WaitingKind, explain_waiting
from spotproof.capacity.waiting_reader import WaitingReader
from spotproof.interruptions.eventbridge import JobStatus
from spotproof.retries import Retrier
from tests.simulation.cloud_rig import DAY_S, ON_DEMAND, SPOT, Rig, recorded, shape

FIXTURE = "batch_job_queue_blocked.docs.json"
STARVED_S = 7200.0


def starved(**rates: float) -> Rig:
    """No Spot capacity for two hours."""
    rig = Rig(rates={name.replace("_", " "): rate for name, rate in rates.items()})
    rig.market.begin_shortage(Lifecycle.SPOT, STARVED_S)
    return rig


def blocked(rig: Rig, **detail: Any) -> list[dict[str, Any]]:
    return rig.bus.of(contract.DETAIL_QUEUE_BLOCKED, **detail)


def reader(rig: Rig) -> WaitingReader:
    process = Process(rig.scheduler, name="p", kind="controller", rng=rig.rng, on_exit=lambda _: None)
    retrier = Retrier(clock=process.clock, rng=random.Random(1))
    services: Any = {"batch": rig.api, "ec2": rig.market, "scaling": rig.fleet.activities}
    return WaitingReader(**services, retrier=retrier, clock=process.clock)


def conforms(service: str, operation: str, answer: Any) -> bool:
    """Whether the answer has the members and types of the API."""
    model = ServiceModel(Loader().load_service_model(service, "service-2"), service)
    output = model.operation_model(operation).output_shape
    assert output is not None
    report = ParamValidator().validate(answer, output)
    assert not report.has_errors(), report.generate_report()
    return True


# --- the event ---------------------------------------------------------------------------------------------------


def test_a_head_that_finds_no_host_is_told_once_and_after_a_while() -> None:
    rig = starved()
    job = rig.submit()
    rig.run(5)
    rig.submit()  # behind it: waits too, and is no news
    rig.run(SEEN_AFTER_S[0] - 10)
    assert blocked(rig) == []

    rig.run(STARVED_S / 2)

    [event] = blocked(rig)
    assert event["detail"]["jobId"] == job.id
    assert event["detail"]["statusReason"].startswith("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - ")
    assert event["resources"] == [job.arn, SPOT.arn]
    assert job.describe()["statusReason"] == event["detail"]["statusReason"]


def test_the_event_has_the_fields_of_the_documented_one() -> None:
    rig = starved()
    rig.submit()
    rig.run(600)

    [event] = blocked(rig)
    sample = shape(recorded(FIXTURE))
    ours = shape(event)
    assert ours.keys() == sample.keys()
    ours["detail"]["container"].pop("environment")
    sample["detail"]["container"].pop("environment")
    missing = sample["detail"].keys() - ours["detail"].keys()
    assert not missing
    assert {name: ours["detail"][name] for name in ("statusReason", "createdAt", "jobQueue", "status")} == {
        name: sample["detail"][name] for name in ("statusReason", "createdAt", "jobQueue", "status")
    }


def test_batch_may_not_know_why() -> None:
    rig = starved(**{UNDETERMINED.replace(" ", "_"): 1.0})
    job = rig.submit()
    rig.run(600)

    [event] = blocked(rig)
    assert event["detail"]["statusReason"] == job.status_reason == NO_IDEA


def test_a_head_that_gets_a_host_is_blocked_no_more_and_the_next_one_is_told_anew() -> None:
    rig = starved()
    first = rig.submit()
    rig.run(STARVED_S - 60)
    assert rig.run(DAY_S, until=lambda: first.placed_on is not None)
    assert first.describe().get("statusReason", "") == ""

    rig.market.begin_shortage(Lifecycle.SPOT, STARVED_S)
    others = rig.submit(arrayProperties={"size": 30}).children
    rig.run(3600)

    heads = [event["detail"]["jobId"] for event in blocked(rig)]
    assert heads[0] == first.id
    assert len(heads) == 2
    assert heads[1] in {child.id for child in others}


def test_an_environment_at_its_maximum_blocks_nothing() -> None:
    rig = Rig(work=lambda process, _job, _attempt: process.wait(None) or 0)  # type: ignore[func-returns-value]
    rig.submit(arrayProperties={"size": 60})
    rig.run(3600)

    assert blocked(rig) == []


def test_the_on_demand_queue_is_not_blocked_by_the_spot_queues_want() -> None:
    rig = starved()
    rig.submit()
    other = rig.submit(jobQueue="on-demand")
    rig.run(600)

    assert other.status is JobStatus.RUNNING
    assert {event["detail"]["jobQueue"] for event in blocked(rig)} == {SPOT.arn}


# --- reads -------------------------------------------------------------------------------------------------------


def test_answers_about_queues_conform_to_the_api() -> None:
    rig = starved()
    rig.submit(arrayProperties={"size": 3})
    rig.run(600)

    front = rig.api.get_job_queue_snapshot(jobQueue="spot")
    assert conforms("batch", "GetJobQueueSnapshot", front)
    assert len(front["frontOfQueue"]["jobs"]) == 3
    queues = rig.api.describe_job_queues(jobQueues=["spot", ON_DEMAND.arn, "unknown"])
    assert conforms("batch", "DescribeJobQueues", queues)
    assert [queue["jobQueueName"] for queue in queues["jobQueues"]] == ["spot", "on-demand"]
    place = queues["jobQueues"][0]["computeEnvironmentOrder"][0]["computeEnvironment"]
    environments = rig.api.describe_compute_environments(computeEnvironments=[place])
    assert conforms("batch", "DescribeComputeEnvironments", environments)
    assert environments["computeEnvironments"][0]["computeResources"]["type"] == "SPOT"
    activities = rig.fleet.activities.describe_scaling_activities(MaxRecords=5)
    assert conforms("autoscaling", "DescribeScalingActivities", activities)
    assert {each["StatusCode"] for each in activities["Activities"]} == {"Failed"}
    sizes = rig.market.describe_instance_types(Filters=[{"Name": "instance-type", "Values": list(rig.fleet.types)}])
    assert conforms("ec2", "DescribeInstanceTypes", sizes)
    assert len(sizes["InstanceTypes"]) == len(rig.fleet.types)


def test_a_snapshot_of_an_unknown_queue_is_refused() -> None:
    with pytest.raises(ClientError, match="does not exist"):
        Rig().api.get_job_queue_snapshot(jobQueue="nobodys")


def test_who_runs_is_not_at_the_front_of_the_queue() -> None:
    rig = Rig()
    rig.submit_running()
    assert rig.api.get_job_queue_snapshot(jobQueue="spot")["frontOfQueue"]["jobs"] == []


def test_the_product_explains_what_waits_here() -> None:
    rig = starved()
    job = rig.submit(arrayProperties={"size": 3}, parameters={"run": "r"})
    rig.run(600)

    [facts] = reader(rig).in_queue("spot")

    assert (facts.job_id, facts.run_id, facts.workers) == (job.id, "r", 3)
    assert facts.queue.unread == ()
    assert explain_waiting(facts).kind is WaitingKind.NO_CAPACITY
    assert reader(rig).in_queue("on-demand") == ()


# --- more memory -------------------------------------------------------------------------------------------------


def test_a_top_up_may_ask_for_more_memory_than_the_definition() -> None:
    rig = Rig()
    given: dict[str, Any] = {
        "resourceRequirements": [{"type": "MEMORY", "value": "4000"}],
        "environment": [{"name": contract.ENV_MEMORY, "value": "4000"}],
    }
    job: SimJob = rig.submit(containerOverrides=given)

    assert job.environment(1)[contract.ENV_MEMORY] == "4000"
    shown = cast(Any, job.describe())["container"]
    assert {"type": "MEMORY", "value": "4000"} in shown["resourceRequirements"]
    assert {"name": contract.ENV_MEMORY, "value": "4000"} in shown["environment"]
    assert (
        job.describe()["container"]["resourceRequirements"]
        != rig.submit().describe()["container"]["resourceRequirements"]
    )
