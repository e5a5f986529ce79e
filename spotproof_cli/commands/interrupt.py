"""`spotproof interrupt`: take capacity away from a run on purpose; the local account only."""

import click

from spotproof.errors import ConfigurationError, RunConflictError, RunNotFoundError
from spotproof.leases.model import RunId, Session, SessionState
from spotproof.leases.store import LeaseStore
from spotproof_cli import exit_codes, names_given
from spotproof_cli.global_options import SpotproofCommand
from spotproof_cli.local_account import AdminApi
from spotproof_cli.services import Invocation

COUNT_MAX = 1000
_WORDS = {
    "interrupt": "rebalance recommendation and notice sent",
    "kill": "taken away without notice",
    "rebalance": "rebalance recommended",
}


@click.command(cls=SpotproofCommand, help="Interrupt workers of a run on purpose, in the local account.")
@click.argument("run", required=False)
@click.option("--instance", metavar="ID", help="This instance instead of workers of a run.")
@click.option("--count", type=click.IntRange(1, COUNT_MAX), default=1, show_default=True, help="Instances to take.")
@click.option("--no-notice", is_flag=True, help="Reclaim at once, as if the two-minute notice had been lost.")
@click.option("--rebalance", is_flag=True, help="Only a rebalance recommendation; nothing is reclaimed.")
@click.pass_context
def command(
    context: click.Context, *, run: str | None, instance: str | None, count: int, no_notice: bool, rebalance: bool
) -> int:
    """Choose instances and press the button."""
    if (run is None) == (instance is None):
        raise click.UsageError("give either RUN or --instance ID", context)
    if no_notice and rebalance:
        raise click.UsageError("--no-notice and --rebalance exclude each other", context)
    call = Invocation(context)
    chosen_run = None if run is None else names_given.run_id(run)
    chosen_instance = None if instance is None else names_given.instance_id(instance)
    aws = call.target.aws
    if not aws.is_local or aws.endpoint_url is None:
        raise ConfigurationError(
            "interrupt works on the local account only: give --local, or set AWS_ENDPOINT_URL to it"
        )
    if chosen_run is not None:
        instances = instances_of(call.deployment.store, chosen_run)[:count]
    else:
        instances = [str(chosen_instance)]
    operation = "rebalance" if rebalance else ("kill" if no_notice else "interrupt")
    api = AdminApi(aws.endpoint_url)
    for each in instances:
        api.post(operation, {"instance": each})
    if len(instances) < count and chosen_run is not None:
        call.output.say(f"only {len(instances)} instances were alive")
    return _report(call, operation, instances)


def instances_of(store: LeaseStore, run_id: RunId) -> list[str]:
    """Instances with live workers of the run, those that hold a shard first, then the longest alive.

    Raises:
        RunNotFoundError: no such run.
        RunConflictError: no worker is alive.
    """
    run = store.get_run(run_id)
    if run is None:
        raise RunNotFoundError(f"no run {run_id}: list the runs with `spotproof status`")
    alive = [each for each in store.sessions(run) if each.state is SessionState.ALIVE and each.host.instance_id]
    if not alive:
        raise RunConflictError(f"run {run_id} has no live worker to interrupt")
    return list(dict.fromkeys(each.host.instance_id for each in sorted(alive, key=_interest)))


def _interest(session: Session) -> tuple[bool, bool, int]:
    return (session.stop is not None, session.held is None, session.started_at)


def _report(call: Invocation, operation: str, instances: list[str]) -> int:
    if call.output.is_json:
        call.output.document({"kind": operation, "instances": instances})
        return exit_codes.OK
    for each in instances:
        call.output.line(each)
    call.output.say(f"{_WORDS[operation]}; instances: {len(instances)}")
    return exit_codes.OK
