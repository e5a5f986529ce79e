"""What a command needs from the world, put together once for each call."""

import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import click

from spotproof.clock import Clock, SystemClock
from spotproof.concurrency import ThreadSpawner, Waiter
from spotproof.ids import IdSource, SystemIds
from spotproof.settings import environment
from spotproof_cli.global_options import GlobalOptions
from spotproof_cli.output import Output, standard_output
from spotproof_cli.target import Target, resolve_target

if TYPE_CHECKING:
    from spotproof.clients import Clients
    from spotproof_cli.deployment import Deployment


Connect = Callable[[Target, Clock], "Deployment"]


def _connect(target: Target, clock: Clock) -> "Deployment":
    from spotproof_cli.deployment import connect  # loads boto3

    return connect(target, clock)


def _clients(target: Target) -> "Clients":
    from spotproof.clients import Clients

    return Clients(target.aws)


@dataclass(frozen=True, kw_only=True)
class Services:
    """Seams of the command line; a test hands its own to click as `obj`."""

    clock: Clock = field(default_factory=SystemClock)
    ids: IdSource = field(default_factory=SystemIds)
    env: Mapping[str, str] = field(default_factory=environment)
    connect: "Connect" = _connect
    clients: Callable[[Target], "Clients"] = _clients  # for commands that must not need a deployment
    stop_flag: Callable[[], Waiter] = ThreadSpawner().flag  # what runs until it is told to stop waits for one


class Invocation:
    """One call of one command."""

    def __init__(self, context: click.Context) -> None:
        self.options = GlobalOptions.of(context)
        # The library's own log events are for workers and Lambdas; here they would be noise between the lines.
        logging.getLogger("spotproof").addHandler(logging.NullHandler())
        services = context.find_object(Services)
        self.services = services if services is not None else Services()

    @property
    def clock(self) -> Clock:
        return self.services.clock

    @cached_property
    def output(self) -> Output:
        options = self.options
        return standard_output(
            form=options.form,
            verbosity=options.verbosity,
            quiet=options.quiet,
            colour=not options.no_color and not self.services.env.get("NO_COLOR"),
        )

    @cached_property
    def target(self) -> Target:
        return resolve_target(self.options, self.services.env)

    @cached_property
    def deployment(self) -> "Deployment":
        """The deployed stacks; looked up on first use, never cached on disk."""
        return self.services.connect(self.target, self.clock)

    def confirm(self, question: str) -> bool:
        """Ask a person on a terminal; with -y, or when nobody can answer, it is a yes."""
        if self.options.yes or not sys.stdin.isatty():
            return True
        return click.confirm(question, err=True)
