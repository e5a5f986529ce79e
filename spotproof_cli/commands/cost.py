"""`spotproof cost`: what a run cost, or costs so far, and what of it was wasted."""

from collections.abc import Mapping
from typing import Any

import click

from spotproof.errors import RunNotFoundError
from spotproof.leases.model import Run
from spotproof_cli import exit_codes, names_given
from spotproof_cli.global_options import SpotproofCommand
from spotproof_cli.services import Invocation


@click.command(cls=SpotproofCommand, help="Show what a run costs: so far and at its end, wasted and saved.")
@click.argument("run")
@click.option("--shards", "with_shards", is_flag=True, help="Also what each finished shard cost.")
@click.pass_context
def command(context: click.Context, *, run: str, with_shards: bool) -> int:
    """Show the numbers of `_SUCCESS` where there are any, and those of the table otherwise."""
    call = Invocation(context)
    run_id = names_given.run_id(run)
    stored = call.deployment.store.get_run(run_id)
    if stored is None:
        raise RunNotFoundError(f"no run {run_id} has been planned: list the runs with `spotproof status`")

    from spotproof_cli.cost_reports import FROM_SUCCESS, FROM_TABLE, cost_fields, print_cost
    from spotproof_cli.run_costs import cost_reader

    kept = _kept(call, stored) if stored.state.ended else None
    view = cost_reader(call.deployment, call.clock).view(stored) if kept is None or with_shards else None
    cost = kept if kept is not None else view.cost.as_fields() if view is not None else {}
    source = FROM_TABLE if kept is None else FROM_SUCCESS
    if call.output.is_json:
        call.output.document(cost_fields(stored, cost, source=source, view=view, with_shards=with_shards))
    else:
        print_cost(call.output, stored, cost, source=source, view=view, with_shards=with_shards)
    return exit_codes.OK


def _kept(call: Invocation, run: Run) -> Mapping[str, Any] | None:
    """What the finalizer wrote down; EC2 tells spot prices for 90 days only. None if there is no manifest."""
    from spotproof_cli.success_manifest import read_manifest

    manifest = read_manifest(run, s3=call.deployment.clients.s3, retrier=call.deployment.retrier)
    return None if manifest is None or not manifest.cost else manifest.cost
