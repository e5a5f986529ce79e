"""Target: the command line, with all its commands, on a deployment in memory."""

from typing import Final

from click.testing import CliRunner

from spotproof_cli import exit_codes
from spotproof_cli.commands import COMMANDS
from spotproof_cli.main import main
from tests.cli.test_any_arguments import services
from tests.fuzz.mutations import words_mutation
from tests.fuzz.target import Target

LINES: Final = (
    *([entry.name, "--help"] for entry in COMMANDS),
    ["status"], ["status", "run-1"], ["status", "run-1", "--json"], ["logs", "run-1", "--limit", "5"], ["results", "run-1"],
    ["history", "run-1"], ["cost", "run-1"], ["plan", "flight-delays", "--input", "s3://data-bucket/in"], ["interrupt", "run-1"],
    ["submit", "flight-delays", "--input", "s3://data-bucket/in", "--shard-by", "size:1MiB", "-o", "ttl_s=30", "--tag", "team=a"],
    ["--region", "eu-central-1", "--plain", "status", "run-1"], ["cancel", "run-1", "-y", "--reason", "enough"],
)  # fmt: skip


def targets() -> tuple[Target, ...]:
    return (
        Target(
            name="command-line",
            surface="what somebody types, or a script passes on",
            seeds=LINES,
            mutate=words_mutation,
            attempt=_command,
            refusals=(),
            share=0.02,
            limit_s=5.0,
        ),
    )


def _command(argv: list[str]) -> object:
    if argv.count("-v") > 1 or any(word.startswith("-") and word.count("v") > 1 for word in argv):
        return "asks for a traceback"
    result = CliRunner().invoke(main, argv, obj=services())
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code in exit_codes.DOCUMENTED, result.exit_code
    assert result.exit_code != exit_codes.UNEXPECTED or "doctor" in argv, result.stderr  # it tells faults so
    assert "Traceback" not in result.output
    assert not set(result.output) & {"\x1b", "\u202e"}, "no escape sequences"
    return result.exit_code
