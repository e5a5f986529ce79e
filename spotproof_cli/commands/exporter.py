"""`spotproof exporter`: the deployment's numbers for Prometheus."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click

from spotproof.concurrency import Waiter
from spotproof.errors import AwsError, InputError
from spotproof_cli import exit_codes
from spotproof_cli.global_options import SpotproofCommand
from spotproof_cli.parameter_types import SECONDS
from spotproof_cli.services import Invocation

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from spotproof_cli.exporter.readings import Readings

LISTEN_DEFAULT: Final = "127.0.0.1:9108"
INTERVAL_DEFAULT_S: Final = 30.0


@click.command(cls=SpotproofCommand, help="Show runs, workers, instances and costs to Prometheus, until it is stopped.")
@click.option(
    "--listen", metavar="HOST:PORT", help=f"Serve scrapes there; default, without --textfile: {LISTEN_DEFAULT}."
)
@click.option("--textfile", metavar="PATH", help="Write each reading there, for node_exporter's textfile collector.")
@click.option(
    "--interval",
    "interval_s",
    type=SECONDS,
    default=INTERVAL_DEFAULT_S,
    show_default=True,
    help="Seconds between readings.",
)
@click.option(
    "--once", is_flag=True, help="Read once; print it, or write it to --textfile. Exit 4 if AWS refused a part."
)
@click.pass_context
def command(context: click.Context, *, listen: str | None, textfile: str | None, interval_s: float, once: bool) -> int:
    """Read at an interval, never inside a scrape."""
    call = Invocation(context)
    if call.options.json or call.options.plain:
        raise click.UsageError("the exporter speaks Prometheus's text format: drop --json and --plain", context)
    if once and listen is not None:
        raise click.UsageError("--once serves nobody: drop --listen", context)

    from spotproof_cli.exporter.assembly import readings_of  # loads boto3
    from spotproof_cli.exporter.endpoint import parse_listen, served
    from spotproof_cli.exporter.exposition import registry_of, text_of

    host, port = parse_listen(LISTEN_DEFAULT if listen is None else listen)
    readings = readings_of(call.deployment, clock=call.clock, warn=call.output.warn, version=installed_version())
    registry = registry_of(lambda: readings.shown, call.clock)
    if once:
        _read(readings, registry, textfile)
        if textfile is None:
            for line in text_of(registry).splitlines():
                call.output.line(line)
        return _code_of(readings)
    stop = call.services.stop_flag()
    with contextlib.ExitStack() as stack:
        if listen is not None or textfile is None:
            url = stack.enter_context(served(registry, host=host, port=port))
            call.output.say(f"serving {url}, read every {interval_s:g} s")
        stack.enter_context(stopped_by_sigterm(stop))
        _read(readings, registry, textfile)
        again = _Rereading(readings=readings, registry=registry, textfile=textfile, warn=call.output.warn)
        while not stop.wait(interval_s):
            again.read(every_s=interval_s)
    return exit_codes.OK


@dataclass
class _Rereading:
    """Readings after the first, which has shown that the file can be written: later failures pass, or are a person's."""

    readings: "Readings"
    registry: "CollectorRegistry"
    textfile: str | None
    warn: Callable[[str], None]
    told: str = ""  # the failure that was told and lasts

    def read(self, *, every_s: float) -> None:
        """Read once more. A file that can't be written stays as it was."""
        try:
            _read(self.readings, self.registry, self.textfile)
        except InputError as error:
            if str(error) != self.told:
                self.warn(f"{error}; it stays as it was, and it is tried again in {every_s:g} s")
            self.told = str(error)
        else:
            self.told = ""


def _read(readings: "Readings", registry: "CollectorRegistry", textfile: str | None) -> None:
    readings.read()
    if textfile is not None:
        from spotproof_cli.exporter.exposition import write_textfile

        write_textfile(registry, textfile)


def _code_of(readings: "Readings") -> int:
    return exit_codes.of_error(AwsError("a source could not be read")) if readings.failures else exit_codes.OK


@contextmanager
def stopped_by_sigterm(stop: Waiter) -> Iterator[None]:
    """SIGTERM ends the command as if it had nothing more to do; what the signal did before is put back afterwards."""
    try:
        before = signal.signal(signal.SIGTERM, lambda *_: stop.set())
    except ValueError:  # not the main thread: whoever runs us there ends us
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def installed_version() -> str:
    """Of this program; unknown in a source tree that was not installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("spotproof")
    except PackageNotFoundError:
        return "unknown"
