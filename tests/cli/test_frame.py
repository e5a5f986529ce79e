"""What holds for every command: help, imports, errors as one line and a code, global options."""

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from spotproof import contract, errors
from spotproof_cli import exit_codes
from spotproof_cli.commands import COMMANDS
from spotproof_cli.main import main
from tests.cli.conftest import COMPUTE_OUTPUTS, STATE_OUTPUTS, World

HELP = Path(__file__).parent / "help"
HEAVY = (
    "boto3",
    "botocore",
    "rich",
    "spotproof_cli.deployment",
    "spotproof.worker.planning",
    "spotproof.leases.requeue",
)


@pytest.mark.parametrize(
    "arguments", [(), *((entry.name,) for entry in COMMANDS)], ids=lambda each: "-".join(each) or "all"
)
def test_help_reads_as_the_golden_file_says(world: World, arguments: tuple[str, ...]) -> None:
    """After a wanted change: UPDATE_GOLDEN=1 pytest tests/cli/test_frame.py, and read the diff."""
    result = world.run(*arguments, "--help")
    golden = HELP / f"{'-'.join(('spotproof', *arguments))}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(result.stdout)

    assert result.exit_code == 0
    assert result.stdout == golden.read_text()


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.name)
def test_the_table_of_commands_says_what_the_commands_say(entry: object) -> None:
    name, summary = entry.name, entry.summary  # type: ignore[attr-defined]
    command = main.get_command(click.Context(main), name)

    assert command is not None
    assert command.help == summary


def imported_by(*arguments: str) -> set[str]:
    """Modules that a fresh process has imported after `spotproof <arguments>`."""
    program = (
        "import sys\nfrom spotproof_cli.main import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "print('\\n'.join(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
    return set(done.stderr.split("\n"))


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("no-such-command",)])
def test_help_imports_no_aws_no_rich_and_no_command(arguments: tuple[str, ...]) -> None:
    imported = imported_by(*arguments)

    assert not imported & {*HEAVY, *(entry.module for entry in COMMANDS)}
    assert "spotproof_cli.main" in imported


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.name)
def test_help_of_one_command_imports_that_command_only(entry: object) -> None:
    name, module = entry.name, entry.module  # type: ignore[attr-defined]

    imported = imported_by(name, "--help")

    assert module in imported
    assert not imported & {"boto3", "rich"}


def test_every_error_has_a_documented_code() -> None:
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.SpotproofError)]

    assert {exit_codes.of_error(kind("x")) for kind in kinds} <= exit_codes.DOCUMENTED
    assert {kind.__name__: exit_codes.of_error(kind("x")) for kind in kinds if exit_codes.of_error(kind("x")) != 1} == {
        "ConfigurationError": 3,
        "InputError": 2,
        "InputChangedError": 2,
        "RunConflictError": 5,
        "RunNotFoundError": 102,
        "AwsError": 4,
        "AwsAccessError": 4,
        "AwsIdentityError": 4,
        "AwsMissingError": 4,
        "AwsUnavailableError": 4,
    }


def client_error(code: str, status: int = 400) -> ClientError:
    response = {"Error": {"Code": code, "Message": "said AWS"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "DescribeStacks")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (RuntimeError("boom"), 1, "-vv"),
        (NoCredentialsError(), 3, "credentials"),
        (client_error("ExpiredToken"), 3, "credentials"),
        (client_error("InvalidClientTokenId", 403), 3, "credentials"),
        (client_error("AccessDenied", 403), 4, "policy"),
        (client_error("ThrottlingException"), 4, "try again later"),
        (client_error("SomethingNew"), 4, "said AWS"),
        (EndpointConnectionError(endpoint_url="https://nowhere"), 4, "try again later"),
    ],
    ids=lambda each: getattr(each, "response", {}).get("Error", {}).get("Code") or type(each).__name__,
)
def test_what_aws_says_becomes_one_line_and_a_code(world: World, error: Exception, code: int, words: str) -> None:
    def refuse(**_: object) -> None:
        raise error

    world.stacks.describe_stacks = refuse  # type: ignore[assignment,method-assign]
    result = world.run("status", "run-1")

    assert result.exit_code == code
    assert words in result.stderr
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1


def test_an_unknown_profile_is_a_configuration_error(world: World) -> None:
    result = world.run("status", "--profile", "nobody")

    assert result.exit_code == 3
    assert "(nobody)" in result.stderr
    assert "--profile" in result.stderr


def test_no_region_is_a_configuration_error(world: World) -> None:
    world.env.clear()

    result = world.run("status")

    assert result.exit_code == 3
    assert "--region" in result.stderr


def test_a_traceback_is_shown_only_with_vv(world: World) -> None:
    def refuse(**_: object) -> None:
        raise RuntimeError("boom")

    world.stacks.describe_stacks = refuse  # type: ignore[assignment,method-assign]

    assert "Traceback" not in world.run("-v", "status").output
    assert "Traceback" in world.run("-vv", "status").stderr
    assert "Traceback" in world.run("status", "-v", "-v").stderr


def test_stacks_that_are_not_there_are_4_and_name_the_prefix(bare_aws: World) -> None:
    result = bare_aws.run("status", "--prefix", "Other")

    assert result.exit_code == 4
    assert "no stack Other-State" in result.stderr


@pytest.mark.parametrize("missing", [contract.OUTPUT_TABLE, contract.OUTPUT_LOG_GROUP])
def test_stacks_of_another_version_name_the_output_they_lack(world: World, missing: str) -> None:
    for name, outputs in (("State", STATE_OUTPUTS), ("Compute", COMPUTE_OUTPUTS)):
        world.stacks.outputs[f"Spotproof-{name}"] = {key: value for key, value in outputs.items() if key != missing}

    result = world.run("status")

    assert result.exit_code == 3
    assert missing in result.stderr


def test_a_deleted_table_is_4(world: World) -> None:
    world.real_table = True

    result = world.run("status", "run-1")

    assert result.exit_code == 4
    assert "not found" in result.stderr


def test_the_prefix_comes_from_the_option_then_the_environment(world: World) -> None:
    world.put_run()
    world.stacks.outputs = {f"Test-{name.partition('-')[2]}": each for name, each in world.stacks.outputs.items()}

    assert world.run("status", "run-1").exit_code == 4
    assert world.run("status", "run-1", "--prefix", "Test").exit_code == 0
    world.env["SPOTPROOF_STACK"] = "Test"
    assert world.run("status", "run-1").exit_code == 0


def test_job_definitions_of_another_prefix_are_found(world: World) -> None:
    compute = COMPUTE_OUTPUTS | {contract.OUTPUT_JOB_DEFINITIONS: "test-flight-delays"}
    world.stacks.outputs = {"Test-State": STATE_OUTPUTS, "Test-Compute": compute}

    result = world.run("--prefix", "Test", "submit", "flight-delays", "--input", "s3://data-bucket/in/")

    assert result.exit_code == 0, result.output
    assert world.batch.submitted[0]["jobDefinition"] == "test-flight-delays"


@pytest.mark.parametrize(
    "arguments", [("--json", "status", "run-1"), ("status", "run-1", "--json"), ("status", "--json", "run-1")]
)
def test_global_options_work_before_and_after_the_command(world: World, arguments: tuple[str, ...]) -> None:
    world.put_run()

    assert json.loads(world.run(*arguments).stdout)["run"]["id"] == "run-1"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("status", "--json", "--plain"), 2, "--plain"),
        (("status", "--local", "--profile", "p"), 2, "--local"),
        (("status", "--region", "Mars"), 2, "--region"),
        (("status", "--prefix", "a b"), 2, "--prefix"),
        (("status", "--endpoint-url", "ftp://x"), 2, "--endpoint-url"),
        (("status", "--endpoint-url", "http://h:99999"), 2, "--endpoint-url"),
        (("status", "--wait"), 2, "RUN"),
        (("status", "--nonsense"), 2, "--nonsense"),
        (("statsu",), 2, "status"),
    ],
)
def test_usage_errors_are_one_line_and_2(world: World, arguments: tuple[str, ...], code: int, words: str) -> None:
    result = world.run(*arguments)

    assert result.exit_code == code
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_malformed_endpoint_in_the_environment_is_a_configuration_error(world: World) -> None:
    world.env["AWS_ENDPOINT_URL"] = "localhost:4566"

    assert world.run("status").exit_code == 3


def test_local_without_a_local_account_is_3(world: World, tmp_path: Path) -> None:
    world.env["SPOTPROOF_LOCALCLOUD_DIR"] = str(tmp_path)

    result = world.run("status", "--local")

    assert result.exit_code == 3
    assert "localcloud up" in result.stderr


def test_local_takes_endpoint_region_and_keys_from_the_running_account(world: World, tmp_path: Path) -> None:
    announced = {"port": 4599, "account": "000000000000", "region": "us-west-2", "pid": 1, "more": "fields"}
    (tmp_path / "server.json").write_text(json.dumps(announced))
    world.env["SPOTPROOF_LOCALCLOUD_DIR"] = str(tmp_path)
    seen = []
    world.on_connect = lambda clients: seen.append(clients.settings)

    world.run("interrupt", "run-1", "--local")

    assert [(each.endpoint_url, each.region, each.access_key_id) for each in seen] == [
        ("http://127.0.0.1:4599", "us-west-2", "000000000000")
    ]


@pytest.mark.parametrize("text", ["{", "[]", '{"port": "x", "account": "a", "region": "r"}', '{"port": 1}'])
def test_a_damaged_announcement_of_the_local_account_is_3(world: World, tmp_path: Path, text: str) -> None:
    (tmp_path / "server.json").write_text(text)
    world.env["SPOTPROOF_LOCALCLOUD_DIR"] = str(tmp_path)

    assert world.run("status", "--local").exit_code == 3


def test_quiet_leaves_only_data(world: World) -> None:
    result = world.run("-q", "submit", "flight-delays", "--input", "s3://data-bucket/in/", "--run", "r1")

    assert (result.stdout, result.stderr) == ("r1\n", "")


def test_no_command_shows_the_help_on_standard_error(world: World) -> None:
    result = world.run()

    assert (result.exit_code, result.stdout) == (2, "")
    assert "submit" in result.stderr
