"""Options that every command takes, before or after its name."""

from dataclasses import dataclass
from typing import Any, Final

import click

from spotproof_cli.output import Format

_META: Final = "spotproof_cli.global_options"


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalOptions:
    """What the command line says about where to look and how to print; None means not said."""

    json: bool = False
    plain: bool = False
    profile: str | None = None
    region: str | None = None
    endpoint_url: str | None = None
    local: bool = False
    prefix: str | None = None
    verbosity: int = 0
    quiet: bool = False
    no_color: bool = False
    yes: bool = False

    @classmethod
    def of(cls, context: click.Context) -> "GlobalOptions":
        """The options given so far, wherever they stood.

        Raises:
            click.UsageError: two of them contradict each other.
        """
        options = cls(**context.meta.get(_META, {}))
        if options.json and options.plain:
            raise click.UsageError("--json and --plain exclude each other", context)
        if options.local and (options.endpoint_url or options.profile):
            raise click.UsageError("--local sets endpoint and credentials: drop --endpoint-url and --profile", context)
        return options

    @property
    def form(self) -> Format:
        if self.json:
            return Format.JSON
        return Format.PLAIN if self.plain else Format.HUMAN


def global_parameters(*, hidden: bool) -> list[click.Parameter]:
    """The options as click knows them; `hidden` leaves them out of a command's own help."""

    def option(*names: str, **attributes: Any) -> click.Parameter:
        return click.Option(names, expose_value=False, hidden=hidden, callback=_remember, **attributes)

    return [
        option("--json", is_flag=True, help="Print JSON with a versioned schema."),
        option("--plain", is_flag=True, help="Print tab-separated lines, no colours, no progress bar."),
        option("--profile", metavar="NAME", help="AWS profile to use."),
        option("--region", metavar="REGION", help="AWS region; default: the environment's or the profile's."),
        option("--endpoint-url", metavar="URL", help="AWS endpoint; default: AWS_ENDPOINT_URL."),
        option("--local", is_flag=True, help="Use the local account that `localcloud up` started here."),
        option("--prefix", metavar="NAME", help="Prefix of the stacks; default: SPOTPROOF_STACK or Spotproof."),
        option("-v", "--verbose", "verbosity", count=True, help="Say more; twice: show tracebacks."),
        option("-q", "--quiet", is_flag=True, help="No messages, only data and errors."),
        option("--no-color", is_flag=True, help="No colours; so does NO_COLOR."),
        option("-y", "--yes", is_flag=True, help="Do not ask for confirmation."),
    ]


class SpotproofCommand(click.Command):
    """A command that also takes the global options."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.extend(global_parameters(hidden=True))
        self.epilog = "Global options such as --json, --local or -q are listed by: spotproof --help"


def _remember(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Keep what was given; contexts of group and command share one `meta`."""
    given: dict[str, Any] = context.meta.setdefault(_META, {})
    name = str(parameter.name)
    if name == "verbosity":
        given[name] = given.get(name, 0) + value
    elif value:
        given[name] = value
