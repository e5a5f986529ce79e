"""Batch request parameters, and jobs made of them."""

from typing import Any

import pytest

from localcloud.batch.parameters import (
    ClientException,
    checked,
    require_name,
    require_retry_strategy,
    require_timeout,
    service_model,
)
from localcloud.batch.store import BatchStore, JobQueue
from localcloud.batch.submission import command_of, new_jobs
from localcloud.cfn.batch_types import spell_as_api, split_off


def _store(**definition: Any) -> BatchStore:
    store = BatchStore(account="000000000000", region="us-east-1")
    arn = store.arn("job-queue", "spot")
    document = {"jobQueueArn": arn, "state": "ENABLED", "priority": 1, "computeEnvironmentOrder": []}
    store.queues["spot"] = JobQueue(name="spot", document=document)
    store.definitions["work"] = [
        {
            "jobDefinitionName": "work",
            "jobDefinitionArn": store.arn("job-definition", "work:1"),
            "revision": 1,
            "status": "ACTIVE",
            "containerProperties": {
                "image": "python:3.11-slim",
                "command": ["run", "Ref::input"],
                "environment": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
                "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "512"}],
            },
            **definition,
        }
    ]
    return store


def _submit(store: BatchStore, **given: Any) -> Any:
    return new_jobs(store, {"jobName": "j", "jobQueue": "spot", "jobDefinition": "work", **given}, now_ms=1)


def test_an_unknown_parameter_is_named() -> None:
    with pytest.raises(ClientException, match="jobColour"):
        checked("SubmitJob", {"jobName": "a", "jobQueue": "q", "jobDefinition": "d", "jobColour": "red"})


def test_every_missing_parameter_is_named_in_one_line() -> None:
    with pytest.raises(ClientException) as raised:
        checked("SubmitJob", {"jobName": "a"})

    assert "jobQueue" in str(raised.value)
    assert "jobDefinition" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_strings_of_cloudformation_become_the_types_of_the_api() -> None:
    given = {
        "jobQueueName": "q",
        "priority": "10",
        "computeEnvironmentOrder": [{"order": "1", "computeEnvironment": "ce"}],
    }

    parameters = checked("CreateJobQueue", given)

    assert (parameters["priority"], parameters["computeEnvironmentOrder"][0]["order"]) == (10, 1)


@pytest.mark.parametrize("name", ["", "-a", "a b", "a" * 129])
def test_names_that_batch_refuses_are_refused(name: str) -> None:
    with pytest.raises(ClientException, match="jobName"):
        require_name(name, "jobName")


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        ({"attempts": 0}, "between 1 and 10, got 0"),
        ({"evaluateOnExit": [{"action": "EXIT"}]}, "attempts is required"),
        ({"attempts": 2, "evaluateOnExit": [{"action": "EXIT"}] * 6}, "at most 5 conditions, got 6"),
        ({"attempts": 2, "evaluateOnExit": [{"action": "STOP"}]}, "RETRY or EXIT"),
        ({"attempts": 2, "evaluateOnExit": [{"action": "EXIT", "onStatusReason": "Host (EC2)*"}]}, "doesn't match"),
        ({"attempts": 2, "evaluateOnExit": [{"action": "EXIT", "onExitCode": "7a"}]}, "doesn't match"),
    ],
)
def test_retry_strategies_that_batch_refuses_are_refused(strategy: dict[str, Any], message: str) -> None:
    with pytest.raises(ClientException, match=message):
        require_retry_strategy(strategy)


def test_a_timeout_below_a_minute_is_refused() -> None:
    with pytest.raises(ClientException, match="at least 60, got 59"):
        require_timeout({"attemptDurationSeconds": 59})


def test_overrides_replace_what_they_name_and_keep_the_rest() -> None:
    overrides = {
        "environment": [{"name": "B", "value": "3"}, {"name": "C", "value": "4"}],
        "resourceRequirements": [{"type": "MEMORY", "value": "1024"}],
    }

    job = _submit(_store(), containerOverrides=overrides)

    assert {one["name"]: one["value"] for one in job.container["environment"]} == {"A": "1", "B": "3", "C": "4"}
    assert (job.vcpus, job.memory_mib) == (1, 1024)


def test_parameters_of_the_job_win_over_those_of_the_definition() -> None:
    job = _submit(_store(parameters={"input": "default", "other": "x"}), parameters={"input": "mine"})

    assert command_of(job.container, job.parameters) == ("run", "mine")
    assert job.parameters["other"] == "x"


def test_a_reference_without_a_parameter_stays_as_it_is() -> None:
    assert command_of({"command": ["Ref::nobody", "Refs"]}, {}) == ("Ref::nobody", "Refs")


def test_an_array_has_a_child_for_each_index() -> None:
    job = _submit(_store(), arrayProperties={"size": 3}, timeout={"attemptDurationSeconds": 90})

    assert [child.id for child in job.children] == [f"{job.id}:0", f"{job.id}:1", f"{job.id}:2"]
    assert {child.timeout_s for child in job.children} == {90}


def test_a_disabled_queue_takes_no_job() -> None:
    store = _store()
    store.queues["spot"].document["state"] = "DISABLED"

    with pytest.raises(ClientException, match="is DISABLED"):
        _submit(store)


def test_fractions_of_a_cpu_do_not_exist_on_ec2() -> None:
    with pytest.raises(ClientException, match=r"whole number of at least 1, got 0\.5"):
        _submit(_store(), containerOverrides={"resourceRequirements": [{"type": "VCPU", "value": "0.5"}]})


def test_property_names_are_spelled_as_in_the_api_but_the_keys_of_maps_stay() -> None:
    shape = service_model().operation_model("RegisterJobDefinition").input_shape
    assert shape is not None
    given = {"JobDefinitionName": "n", "Parameters": {"Input": "x"}, "Colour": "red"}

    spelled = spell_as_api(given, shape, drop_unknown=False)

    assert spelled == {"jobDefinitionName": "n", "parameters": {"Input": "x"}, "Colour": "red"}
    assert "Colour" not in spell_as_api(given, shape, drop_unknown=True)


def test_properties_of_the_update_only_are_split_off_where_they_are() -> None:
    given = {"A": {"B": 1, "C": 2}, "D": 3}

    rest, taken = split_off(given, (("A", "B"), ("D",), ("A", "X")))

    assert rest == {"A": {"C": 2}}
    assert taken == {"A": {"B": 1}, "D": 3}
    assert given == {"A": {"B": 1, "C": 2}, "D": 3}
