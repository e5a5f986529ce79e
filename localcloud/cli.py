"""The command `localcloud`."""

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from localcloud.errors import LocalcloudError, UsageError

if TYPE_CHECKING:
    from localcloud.client import LocalCloud
    from localcloud.state_dir import Running, StateDir


class Commands(click.Group):
    """Turns our errors into one line and their exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except LocalcloudError as error:
            click.echo(f"error: {error}", err=True)
            ctx.exit(error.exit_code)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--state-dir", metavar="DIR", help="Where the account lives [SPOTPROOF_LOCALCLOUD_DIR, .localcloud].")
@click.pass_context
def cli(context: click.Context, state_dir: str | None) -> None:
    """An AWS account on this machine: embedded APIs, AWS Batch, a Spot fleet of real processes."""
    context.obj = state_dir


def _state(context: click.Context) -> "StateDir":
    from localcloud.state_dir import StateDir

    return StateDir.find(context.obj)


def _running(context: click.Context) -> "Running":
    return _state(context).require_running()


def _account(context: click.Context) -> "LocalCloud":
    from localcloud.client import LocalCloud

    return LocalCloud(_running(context).endpoint)


@cli.command()
@click.option("--port", type=int, default=0, help="Port on 127.0.0.1 [any free one].")
@click.option("--scale", type=float, default=20.0, show_default=True, help="Simulated seconds per real second.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the Spot market.")
@click.option("--auth/--no-auth", default=True, help="Enforce IAM [--auth].")
@click.option("--account", default="000000000000", show_default=True, help="Account id, 12 digits.")
@click.option("--region", default="us-east-1", show_default=True)
@click.option("--warning-floor", type=float, default=8.0, show_default=True, help="Least real seconds of a notice.")
@click.option("--parent-pid", type=int, help="Stop when this process is gone.")
@click.option("--reuse", is_flag=True, help="Succeed if one runs already.")
@click.pass_context
def up(
    context: click.Context,
    port: int,
    scale: float,
    seed: int,
    auth: bool,
    account: str,
    region: str,
    warning_floor: float,
    parent_pid: int | None,
    reuse: bool,
) -> None:
    """Start the account."""
    from localcloud import daemon
    from localcloud.settings import Settings

    state = _state(context)
    running = state.running() if reuse else None
    if running is None:
        running = daemon.start(
            Settings(
                state_dir=str(state.path),
                port=port,
                scale=scale,
                seed=seed,
                auth=auth,
                account=account,
                region=region,
                warning_floor_real_s=warning_floor,
                parent_pid=parent_pid,
            )
        )
    click.echo(f"local account {running.account} at {running.endpoint} (pid {running.pid})")
    click.echo('use it: eval "$(localcloud env)"')


@cli.command()
@click.pass_context
def down(context: click.Context) -> None:
    """Stop the account and everything it runs."""
    from localcloud import daemon

    state = _state(context)
    stopped = daemon.stop(state)
    click.echo("stopped" if stopped else f"no local account ran in {state.path}")


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def status(context: click.Context, as_json: bool) -> None:
    """Instances and jobs."""
    from dataclasses import asdict

    from localcloud.client import LocalCloud

    running = _running(context)
    state = LocalCloud(running.endpoint).state()
    if as_json:
        click.echo(json.dumps({"server": {**asdict(running), "endpoint": running.endpoint}, **asdict(state)}))
        return
    mode = "IAM enforced" if running.auth else "IAM off"
    click.echo(f"{running.endpoint}  account {running.account}  {mode}  scale {running.scale:g}  pid {running.pid}")
    for one in state.instances:
        click.echo(f"{one.id}  {one.type:<12} {one.az}  {one.lifecycle:<9} {one.state:<13} {len(one.jobs)} running")
    for job in state.jobs:
        click.echo(f"{job.id}  {job.name}  {job.status}  attempts {job.attempts}  {job.reason or ''}".rstrip())


@cli.command()
@click.pass_context
def env(context: click.Context) -> None:
    """Shell commands that point the AWS tools at the account."""
    from localcloud.state_dir import FOREIGN_VARIABLES

    for name, value in _state(context).client_environment(_running(context)).items():
        click.echo(f"export {name}={shlex.quote(value)}")
    click.echo(f"unset {' '.join(FOREIGN_VARIABLES)}")


@cli.command("exec", context_settings={"ignore_unknown_options": True})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_context
def execute(context: click.Context, command: tuple[str, ...]) -> None:
    """Run COMMAND with the account's environment: localcloud exec -- aws s3 ls."""
    from localcloud.state_dir import FOREIGN_VARIABLES

    variables = {name: value for name, value in os.environ.items() if name not in FOREIGN_VARIABLES}
    variables |= _state(context).client_environment(_running(context))
    try:
        context.exit(subprocess.run(command, env=variables, check=False).returncode)
    except FileNotFoundError as error:
        raise UsageError(f"no program {command[0]!r}") from error


@cli.command()
@click.option("--app", "assembly", default="cdk.out", show_default=True, help="The synthesized assembly.")
@click.option("--cdk", is_flag=True, help="With the real CDK CLI.")
@click.option("--outputs-file", type=click.Path(path_type=Path), help="Write the stacks' outputs as JSON.")
@click.pass_context
def deploy(context: click.Context, assembly: str, cdk: bool, outputs_file: Path | None) -> None:
    """Deploy a synthesized assembly into the account."""
    from localcloud import deploy as deployment

    state, running = _state(context), _running(context)
    if cdk:
        deployed = deployment.deploy_with_cdk(state, running, Path(assembly), os.environ)
    else:
        deployed = deployment.deploy(running, Path(assembly), say=click.echo)
    for stack in deployed:
        for key, value in sorted(stack.outputs.items()):
            click.echo(f"{stack.name}.{key} = {value}")
    if outputs_file is not None:
        deployment.write_outputs(deployed, outputs_file)


@cli.command()
@click.argument("instance")
@click.option("--lead", type=float, default=120.0, show_default=True, help="Simulated seconds until the reclaim.")
@click.option("--rebalance-only", "how", flag_value="rebalance", help="The recommendation, and nothing after it.")
@click.option("--notice-only", "how", flag_value="notice", help="The notice, but no reclaim.")
@click.option("--no-notice", "how", flag_value="kill", help="Take it away at once, unannounced.")
@click.pass_context
def interrupt(context: click.Context, instance: str, lead: float, how: str | None) -> None:
    """Interrupt INSTANCE: rebalance recommendation, notice, reclaim."""
    account = _account(context)
    actions: dict[str | None, Callable[[], Any]] = {
        None: lambda: account.interrupt(instance, lead_s=lead),
        "rebalance": lambda: account.rebalance(instance),
        "notice": lambda: account.notice(instance, lead_s=lead, reclaim=False),
        "kill": lambda: account.kill(instance),
    }
    actions[how]()


@cli.command()
@click.argument("days", type=float)
@click.pass_context
def advance(context: click.Context, days: float) -> None:
    """Execute S3 lifecycle rules as they would be DAYS from now."""
    for one in _account(context).advance(days=days):
        click.echo(f"{one['what']} s3://{one['bucket']}/{one['key']} (rule {one['rule']})")


@cli.command()
@click.argument("job", required=False)
@click.pass_context
def logs(context: click.Context, job: str | None) -> None:
    """Output of JOB's attempts; without JOB, the server's log."""
    if job is None:
        state = _state(context)
        click.echo(state.log.read_text(errors="replace") if state.log.exists() else "", nl=False)
        return
    for attempt in _account(context).job_log(job):
        click.echo(f"--- {attempt['stream']}")
        for line in attempt["lines"]:
            click.echo(line)


@cli.command()
@click.option("--capacity", multiple=True, metavar="POOL=N", help="Instances of a pool: m5.large/us-east-1a=0, '*=0'.")
@click.option("--price", multiple=True, metavar="POOL=USD", help="Spot price per hour of a pool.")
@click.option("--reset", is_flag=True, help="Back to what the seed says.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def market(
    context: click.Context, capacity: tuple[str, ...], price: tuple[str, ...], reset: bool, as_json: bool
) -> None:
    """Show or set the Spot market."""
    pools = _account(context).market(
        capacity={pool: int(value) for pool, value in _pairs(capacity)},
        price=dict(_pairs(price)),
        reset=reset,
    )
    if as_json:
        click.echo(json.dumps(pools))
        return
    for pool in pools:
        click.echo(
            f"{pool['type']:<12} {pool['az']}  spot {pool['spot_usd']:.4f}  on-demand {pool['on_demand_usd']:.4f}  "
            f"capacity {pool['capacity']:>3}  risk {pool['risk']:.3f}"
        )


@cli.command()
@click.option("--spot", type=int, metavar="VCPUS", help="Of Spot instances.")
@click.option("--on-demand", type=int, metavar="VCPUS", help="Of on-demand instances.")
@click.option("--reset", is_flag=True, help="No quotas again.")
@click.pass_context
def quota(context: click.Context, spot: int | None, on_demand: int | None, reset: bool) -> None:
    """Show or set how many vCPUs the account may run at a time."""
    wanted = {"spot": spot, "on-demand": on_demand}
    given = {lifecycle: vcpus for lifecycle, vcpus in wanted.items() if vcpus is not None}
    for lifecycle, vcpus in _account(context).quota(vcpus=given, reset=reset).items():
        click.echo(f"{lifecycle:<10} {'no quota' if vcpus is None else f'{vcpus} vCPUs'}")


@cli.command()
@click.argument("name", required=False)
@click.argument("condition", required=False)
@click.option("--reason", default="", help="statusReason of an invalid one.")
@click.pass_context
def environment(context: click.Context, name: str | None, condition: str | None, reason: str) -> None:
    """Show the compute environments, or make NAME disabled, invalid, unsupported, service-role, undetermined or well."""
    if name and not condition:
        raise UsageError("say what it shall be: disabled, invalid, unsupported, service-role, undetermined or well")
    for each, state in sorted(_account(context).environment(name or "", condition or "", reason=reason).items()):
        click.echo(f"{each}  {state}")


def _pairs(given: tuple[str, ...]) -> list[tuple[str, float]]:
    pairs = []
    for text in given:
        pool, equals, value = text.partition("=")
        try:
            pairs.append((pool, float(value)))
        except ValueError:
            equals = ""
        if not equals:
            raise UsageError(f"{text!r} must look like POOL=NUMBER")
    return pairs


@cli.command()
@click.option("--kind", help="One kind, or a prefix: job, instance, delivery.")
@click.option("--follow", is_flag=True, help="Go on until interrupted.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
@click.pass_context
def events(context: click.Context, kind: str | None, follow: bool, as_json: bool) -> None:
    """The journal: everything that happened."""
    account = _account(context)
    since = 0
    while True:
        for entry in account.events(since=since, kind=kind, wait_s=20.0 if follow else 0.0):
            since = entry["seq"]
            click.echo(json.dumps(entry) if as_json else _line(entry))
        if not follow:
            return


def _line(entry: dict[str, Any]) -> str:
    moment = time.strftime("%H:%M:%S", time.localtime(entry["t"])) + f"{entry['t'] % 1:.2f}"[1:]
    fields = (f"{key}={value}" for key, value in entry.items() if key not in ("seq", "t", "kind") and value is not None)
    return f"{moment}  {entry['kind']:<22} {' '.join(fields)}"


def main() -> None:
    """Console script."""
    cli(prog_name="localcloud")


if __name__ == "__main__":
    sys.exit(cli())
