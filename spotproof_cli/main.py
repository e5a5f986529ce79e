"""Entry point of the `spotproof` command: global options, and every error as one line and an exit code."""

import re
import sys
from collections.abc import Sequence
from typing import Any

import click

from spotproof.errors import SpotproofError
from spotproof_cli import exit_codes
from spotproof_cli.commands import COMMANDS
from spotproof_cli.global_options import global_parameters
from spotproof_cli.lazy_group import LazyGroup
from spotproof_cli.terminal_text import clean


class SpotproofGroup(LazyGroup):
    """The command itself: no exception leaves it."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: ARG002 - click's signature
        windows_expand_args: bool = True,  # noqa: ARG002 - as above
        **extra: Any,
    ) -> Any:
        """Run and exit with a documented code."""
        arguments = list(sys.argv[1:] if args is None else args)
        try:
            result = super().main(
                arguments,
                prog_name or "spotproof",
                complete_var,
                standalone_mode=False,
                windows_expand_args=False,
                **extra,
            )
            code = result if isinstance(result, int) else exit_codes.OK
        except Exception as error:  # the outermost frame: whatever it is, the user gets one line
            code = _report(error, show_traceback=_wants_traceback(arguments))
        except KeyboardInterrupt:
            code = exit_codes.INTERRUPTED
        sys.exit(code)


def _report(error: Exception, *, show_traceback: bool) -> int:
    """Say what went wrong on one line, and choose the exit code."""
    if isinstance(error, click.Abort):
        return exit_codes.INTERRUPTED
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return exit_codes.USAGE
    if isinstance(error, click.ClickException):
        help_command = f"{error.ctx.command_path} --help" if isinstance(error, click.UsageError) and error.ctx else ""
        return _say(error.format_message(), exit_codes.USAGE, hint=f"; see `{help_command}`" if help_command else "")
    if show_traceback:
        import traceback

        click.echo("".join(traceback.format_exception(error)), err=True)
    if isinstance(error, SpotproofError):
        return _say(str(error), exit_codes.of_error(error))
    if type(error).__module__.partition(".")[0] == "botocore":
        return _report_botocore(error)
    return _say(
        f"unexpected {type(error).__name__}: {error}; run it again with -vv and report the traceback",
        exit_codes.UNEXPECTED,
    )


def _report_botocore(error: Exception) -> int:
    """Complaints of botocore that no layer below turned into ours."""
    from botocore.exceptions import NoRegionError, ProfileNotFound

    from spotproof.retries import as_aws_error

    if isinstance(error, ProfileNotFound):
        return _say(f"{error}: check --profile", exit_codes.CONFIGURATION)
    if isinstance(error, NoRegionError):
        return _say("no AWS region: give --region or set AWS_REGION", exit_codes.CONFIGURATION)
    translated = as_aws_error(error, doing="asking AWS")
    translated.__cause__ = error
    return _say(str(translated), exit_codes.of_error(translated))


def _say(text: str, code: int, *, hint: str = "") -> int:
    click.echo(f"error: {clean(text)}{hint}".encode("utf-8", "backslashreplace").decode(), err=True)
    return code


def _wants_traceback(arguments: Sequence[str]) -> bool:
    given = sum(len(text) - 1 for text in arguments if re.fullmatch("-v+", text)) + arguments.count("--verbose")
    return given >= 2


def _print_version(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if not value or context.resilient_parsing:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        number = version("spotproof")
    except PackageNotFoundError:  # run from a source tree that was not installed
        number = "unknown (not installed)"
    click.echo(f"spotproof {number}")
    context.exit()


main = SpotproofGroup(
    name="spotproof",
    entries=COMMANDS,
    help="Data pipelines on AWS Batch Spot that survive any interruption without changing a byte.",
    epilog=(
        "Exit codes: 0 done, 1 unexpected or a fault that doctor found, 2 usage or input, 3 configuration or credentials, "
        "4 AWS refused, 5 conflict, "
        "100 run failed, 101 not finished, 102 not found, 103 cancelled, 104 game day broke the promise, "
        "124 wait timed out, 130 interrupted."
    ),
    params=[
        *global_parameters(hidden=False),
        click.Option(
            ["--version"],
            is_flag=True,
            expose_value=False,
            is_eager=True,
            callback=_print_version,
            help="Show the version and exit.",
        ),
    ],
    no_args_is_help=True,
)
