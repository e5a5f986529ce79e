"""One Batch job definition per declared job."""

import importlib
import json

import pytest

from spotproof import contract
from spotproof.worker.registry import find_job
from stacks.jobs import JOBS, JobSpec
from tests.stacks.assembly import PYTHON, Assembly, Json, actions, resources_of, role_statements

DEFINITION = "AWS::Batch::JobDefinition"
COMMAND_BYTES_MAX = 24 * 1024  # AWS Batch: a job definition


def definition(assembly: Assembly) -> Json:
    return assembly.properties(DEFINITION)[0]


def container(assembly: Assembly) -> Json:
    properties: Json = definition(assembly)["ContainerProperties"]
    return properties


def environment(assembly: Assembly) -> Json:
    return {each["Name"]: each["Value"] for each in container(assembly)["Environment"]}


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_every_row_names_a_module_that_declares_the_job(job: JobSpec) -> None:
    importlib.import_module(job.module)

    assert find_job(job.name).__module__ == job.module


def test_a_revision_outlives_its_successor_for_the_runs_that_began_with_it(assembly: Assembly) -> None:
    kept = [each.get("ResourceRetentionPolicy") for each in assembly.properties(DEFINITION)]

    assert kept == [{"SkipDeregisterOnUpdate": True} for _ in JOBS]


def test_every_declared_job_has_a_definition_with_a_name_one_can_type(assembly: Assembly, second: Assembly) -> None:
    names = [[each["JobDefinitionName"] for each in app.properties(DEFINITION)] for app in (assembly, second)]

    assert names == [[f"spotproof-{job.name}" for job in JOBS], [f"trial-{job.name}" for job in JOBS]]


def test_every_parameter_can_be_given_at_submission_and_is_auto_otherwise(assembly: Assembly) -> None:
    command = container(assembly)["Command"]

    assert definition(assembly)["Parameters"] == dict.fromkeys(contract.JOB_PARAMETERS, "auto")
    for parameter in contract.JOB_PARAMETERS:
        assert command[command.index(f"Ref::{parameter}") - 1] == f"--{parameter.replace('_', '-')}"


def test_the_command_runs_the_bootstrap_then_the_worker_of_that_job(assembly: Assembly) -> None:
    command = container(assembly)["Command"]

    assert command[:2] == ["python3", "-c"]
    assert command[3:8] == ["batch_jobs.worker_main", "--job", "flight-delays", "--module", JOBS[0].module]
    compile(command[2], "bootstrap", "exec")
    assert "Ref::" not in command[2]  # Batch would replace it


def test_the_definition_fits_what_batch_accepts(assembly: Assembly) -> None:
    assert len(json.dumps(definition(assembly)).encode()) < COMMAND_BYTES_MAX / 2


def test_the_image_has_the_python_that_the_wheels_were_chosen_for(assembly: Assembly, second: Assembly) -> None:
    assert container(assembly)["Image"] == f"public.ecr.aws/docker/library/python:{PYTHON}-slim"
    assert container(second)["Image"] == "registry.example/worker:1"


def test_the_worker_finds_everything_in_its_environment(assembly: Assembly) -> None:
    found = environment(assembly)

    assert found[contract.ENV_STACK] == "Spotproof"
    assert found["SPOTPROOF_JOB_DEFINITION"] == "spotproof-flight-delays"
    assert (found["SPOTPROOF_VCPUS"], found["SPOTPROOF_MEMORY_MIB"]) == ("1", "1800")
    assert found["AWS_REGION"] == {"Ref": "AWS::Region"}
    assert found[contract.ENV_CODE_URI]["Fn::Sub"].startswith("s3://cdk-")
    for name in (contract.ENV_TABLE, contract.ENV_WORK_BUCKET, contract.ENV_DATA_BUCKET):
        assert "Fn::ImportValue" in found[name]
    assert not [name for name in found if name.startswith("AWS_BATCH")]  # reserved


def test_reclaims_pull_failures_and_interruptions_are_retried_and_nothing_else(assembly: Assembly) -> None:
    """Trap 12: no match means retry, so the last rule must end it."""
    strategy = definition(assembly)["RetryStrategy"]

    assert strategy["Attempts"] == 10
    assert strategy["EvaluateOnExit"] == [
        {"Action": "EXIT", "OnReason": "OutOfMemoryError*"},
        {"Action": "RETRY", "OnStatusReason": "Host EC2*"},
        {"Action": "RETRY", "OnReason": "CannotPullContainerError:*"},
        {"Action": "RETRY", "OnExitCode": str(contract.EXIT_INTERRUPTED)},
        {"Action": "EXIT", "OnReason": "*"},
    ]


def test_an_attempt_can_not_run_for_ever(assembly: Assembly) -> None:
    assert definition(assembly)["Timeout"] == {"AttemptDurationSeconds": JOBS[0].timeout_s}
    assert JOBS[0].timeout_s >= 60


def test_sigterm_reaches_the_worker_and_the_worker_is_nobody(assembly: Assembly) -> None:
    properties = container(assembly)

    assert properties["LinuxParameters"]["InitProcessEnabled"] is True
    assert properties["User"] == "65534:65534"
    assert "Privileged" not in properties


def test_a_worker_asks_for_what_its_row_says(assembly: Assembly) -> None:
    needs = {each["Type"]: each["Value"] for each in container(assembly)["ResourceRequirements"]}

    assert needs == {"VCPU": str(JOBS[0].vcpus), "MEMORY": str(JOBS[0].memory_mib)}


def test_logs_go_to_our_own_group_and_do_not_stay_for_ever(assembly: Assembly, second: Assembly) -> None:
    logging = container(assembly)["LogConfiguration"]

    group = logging["Options"]["awslogs-group"]["Ref"]
    assert assembly.resources("AWS::Logs::LogGroup")[group]["Properties"] == {"RetentionInDays": 30}
    assert {each["RetentionInDays"] for each in second.properties("AWS::Logs::LogGroup")} == {7}


def test_cost_tags_reach_the_task(assembly: Assembly) -> None:
    assert definition(assembly)["PropagateTags"] is True


def test_a_worker_may_do_what_the_protocol_needs_and_no_more(assembly: Assembly) -> None:
    statements = role_statements(assembly, "JobRole")

    assert actions(statements) == {
        "dynamodb:GetItem",
        "dynamodb:Query",
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
        "s3:GetObject",
        "s3:PutObject",
        "s3:AbortMultipartUpload",
        "s3:DeleteObject",
        "s3:ListBucket",
        "events:PutEvents",
    }


def test_a_worker_can_neither_forge_stop_files_nor_delete_data(assembly: Assembly) -> None:
    statements = role_statements(assembly, "JobRole")

    assert contract.CONTROL_PREFIX not in resources_of(statements, "s3:PutObject")
    deletable = resources_of(statements, "s3:DeleteObject")
    assert contract.CHECKPOINTS_PREFIX in deletable
    assert "Data" not in deletable
    assert contract.RUNS_PREFIX not in deletable


def test_a_worker_may_send_only_our_own_events(assembly: Assembly) -> None:
    (statement,) = (s for s in role_statements(assembly, "JobRole") if s["Action"] == "events:PutEvents")

    assert statement["Condition"] == {"ForAllValues:StringEquals": {"events:source": "spotproof"}}
    assert json.dumps(statement["Resource"]).endswith(':event-bus/default"]]}')


def test_buckets_named_in_the_context_can_be_read_and_written(second: Assembly) -> None:
    statements = role_statements(second, "JobRole")

    for action in ("s3:GetObject", "s3:PutObject"):
        assert ":s3:::landing-zone/*" in resources_of(statements, action)
    assert ":s3:::archive-2026" in resources_of(statements, "s3:ListBucket")
    assert "landing-zone" not in resources_of(statements, "s3:DeleteObject")


def test_a_retried_worker_can_fetch_the_bundle_it_was_submitted_with(assembly: Assembly) -> None:
    resources = resources_of(role_statements(assembly, "JobRole"), "s3:GetObject")

    assert "cdk-hnb659fds-assets-${AWS::AccountId}-${AWS::Region}" in resources
    assert '"/*.zip"' in resources
