"""`spotproof history`: what was decided about a run, when, and why."""

from typing import TYPE_CHECKING

import click

from spotproof.errors import RunNotFoundError
from spotproof_cli import exit_codes, names_given
from spotproof_cli.global_options import SpotproofCommand
from spotproof_cli.services import Invocation

if TYPE_CHECKING:
    from spotproof.leases.model import HistoryEntry

LIMIT_DEFAULT = 100


@click.command(cls=SpotproofCommand, help="Show what was decided about a run, and why.")
@click.argument("run")
@click.option("--kind", metavar="NAME", help="Only this kind of decision.")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=LIMIT_DEFAULT, show_default=True, help="The newest so many."
)
@click.pass_context
def command(context: click.Context, *, run: str, kind: str | None, limit: int) -> int:
    """Print the newest decisions, oldest first."""
    from spotproof_cli.history_view import history_fields, print_decisions

    call = Invocation(context)
    run_id = names_given.run_id(run)
    store = call.deployment.store
    entries = [entry for entry in store.history(run_id) if kind in (None, entry.kind)][-limit:]
    if not entries and store.get_run(run_id) is None:
        raise RunNotFoundError(f"no run {run_id} has been planned: list the runs with `spotproof status`")
    if call.output.is_json:
        call.output.document({"run": run_id, "history": [history_fields(entry) for entry in entries]})
    elif entries:
        print_decisions(call.output, entries)
        _print_facts(call, entries)
    else:
        call.output.say("nothing had to be decided yet")
    return exit_codes.OK


def _print_facts(call: Invocation, entries: "list[HistoryEntry]") -> None:
    for entry in entries:
        facts = ", ".join(f"{name}={value}" for name, value in sorted(entry.facts.items()))
        call.output.detail(f"{entry.key}: {facts or 'no facts'}")
