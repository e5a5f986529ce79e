"""`spotproof logs`: what the workers of a run logged."""

from typing import TYPE_CHECKING

import click

from spotproof.clock import to_epoch_ms
from spotproof.errors import RunNotFoundError
from spotproof_cli import exit_codes, names_given
from spotproof_cli.commands.status import worker_jobs
from spotproof_cli.global_options import SpotproofCommand
from spotproof_cli.output import Output
from spotproof_cli.parameter_types import SECONDS
from spotproof_cli.services import Invocation

if TYPE_CHECKING:
    from spotproof_cli.worker_logs import LogFilter, LogLine, WorkerLogs

FOLLOW_EVERY_S = 2.0


@click.command(cls=SpotproofCommand, help="Show what the workers of a run logged.")
@click.argument("run")
@click.option("--shard", type=click.IntRange(0), help="Only lines about this shard.")
@click.option("--instance", "instance", metavar="ID", help="Only lines from this instance.")
@click.option("--event", metavar="NAME", help="Only this event, e.g. shard_committed.")
@click.option("--since", "since_s", type=SECONDS, help="Only the last so many seconds; default: all.")
@click.option("--follow", "-f", is_flag=True, help="Go on with new lines until the run has ended.")
@click.pass_context
def command(
    context: click.Context,
    *,
    run: str,
    shard: int | None,
    instance: str | None,
    event: str | None,
    since_s: float | None,
    follow: bool,
) -> int:
    """Print matching lines, oldest first."""
    from spotproof_cli.worker_logs import LogFilter, WorkerLogs

    call = Invocation(context)
    wanted = LogFilter(
        run_id=names_given.run_id(run),
        shard=shard,
        instance_id=None if instance is None else names_given.instance_id(instance),
        event=event,
    )
    deployment = call.deployment
    if deployment.store.get_run(wanted.run_id) is None and not worker_jobs(deployment).of_run(wanted.run_id):
        raise RunNotFoundError(f"no run {wanted.run_id}: list the runs with `spotproof status`")
    reader = WorkerLogs(
        logs=deployment.clients.logs,
        retrier=deployment.retrier,
        clock=call.clock,
        group=deployment.names.log_group,
        server_side=not deployment.aws.is_local,
    )
    since_ms = 0 if since_s is None else max(0, to_epoch_ms(call.clock.now()) - round(since_s * 1000))
    return _follow(call, reader, wanted, since_ms) if follow else _print(call, reader, wanted, since_ms)


def _print(call: Invocation, reader: "WorkerLogs", wanted: "LogFilter", since_ms: int) -> int:
    shown = 0
    for line in reader.lines(wanted, since_ms=since_ms):
        _write(call.output, line)
        shown += 1
        if call.output.closed:
            break
    if not shown:
        call.output.say("no such lines yet")
    return exit_codes.OK


def _follow(call: Invocation, reader: "WorkerLogs", wanted: "LogFilter", since_ms: int) -> int:
    """Until the run has ended and its last lines were read, the reader of our output left, or Ctrl-C."""
    ended = False
    try:
        for line in reader.follow(wanted, since_ms=since_ms, every_s=FOLLOW_EVERY_S):
            if line is not None:
                _write(call.output, line)
            elif ended:
                break
            else:
                run = call.deployment.store.get_run(wanted.run_id)
                ended = run is not None and run.state.ended
            if call.output.closed:
                break
    except KeyboardInterrupt:
        call.output.say(f"the run goes on; re-attach with: spotproof logs {wanted.run_id} --follow")
        return exit_codes.INTERRUPTED
    return exit_codes.OK


def _write(output: Output, line: "LogLine") -> None:
    if output.is_json:
        output.json_line({"line": line.fields})
    else:
        output.line(line.text)
