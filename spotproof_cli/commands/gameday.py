"""`spotproof gameday`: rehearse what Spot does to a run, and check that the run keeps its promise."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from spotproof import contract
from spotproof_cli import exit_codes, names_given
from spotproof_cli.global_options import SpotproofCommand
from spotproof_cli.parameter_types import SECONDS
from spotproof_cli.services import Invocation

if TYPE_CHECKING:
    from spotproof_cli.game_day.report import Report

TIMEOUT_S_DEFAULT = 3600.0
INSTANCES_MAX = 100


@click.command(cls=SpotproofCommand, help="Rehearse interruptions of a run with an experiment, and check its promise.")
@click.argument("run")
@click.option(
    "--plan",
    type=click.Choice(tuple(contract.GAME_DAY_OUTPUTS)),
    default=contract.GAME_DAY_INTERRUPT,
    show_default=True,
    help="What happens.",
)
@click.option("--count", type=click.IntRange(1, INSTANCES_MAX), help="Strike so many instances, not the plan's number.")
@click.option("--percent", type=click.IntRange(1, 100), help="Strike this share of the instances.")
@click.option("--output", "directory", metavar="DIR", type=click.Path(path_type=Path, file_okay=False),
              help="Where report.md and report.json go; default: gameday-RUN-TIME.")  # fmt: skip
@click.option("--strict", is_flag=True, help="A latency above its bar breaks the promise, too.")
@click.option("--timeout", "timeout_s", type=SECONDS, default=TIMEOUT_S_DEFAULT, show_default=True,
              help="Give up after so many seconds; the run goes on.")  # fmt: skip
@click.pass_context
def command(
    context: click.Context,
    *,
    run: str,
    plan: str,
    count: int | None,
    percent: int | None,
    directory: Path | None,
    strict: bool,
    timeout_s: float,
) -> int:
    """Ask, strike, wait, judge, report."""
    if count is not None and percent is not None:
        raise click.UsageError("--count and --percent exclude each other", context)
    call = Invocation(context)
    run_id = names_given.run_id(run)

    from spotproof_cli.game_day.game import GameDay
    from spotproof_cli.game_day.plans import PLANS, Share
    from spotproof_cli.game_day.report import make_report, write_report

    share = None if count is None and percent is None else Share(count=count, percent=percent)
    game = GameDay(
        deployment=call.deployment,
        plan=PLANS[plan],
        share=share,
        clock=call.clock,
        ids=call.services.ids,
        say=call.output.say,
    )
    deadline = call.clock.monotonic() + timeout_s
    setting = game.prepare(run_id, deadline=deadline)
    target = directory or Path(f"gameday-{run_id}-{call.clock.now():%Y%m%dT%H%M%SZ}")
    if not call.confirm(f"take {setting.aim.number} Spot instances from run {run_id} on {call.target.prefix}?"):
        game.abandon(setting)
        call.output.say("nothing was started")
        return exit_codes.OK
    report = make_report(game.play(setting, deadline=deadline), strict=strict)
    write_report(report, target)
    return _tell(call, report, target)


def _tell(call: Invocation, report: "Report", target: Path) -> int:
    from spotproof_cli.game_day.report import fields, mark

    if call.output.is_json:
        call.output.document({name: value for name, value in fields(report).items() if name != "schema"})
    else:
        for each in report.verdicts:
            call.output.line(f"{mark(each)} {each.claim}: {each.seen}")
        call.output.line(f"promise {report.verdict}; report in {target}")
    if report.verdict == "broken":
        return exit_codes.PROMISE_BROKEN
    return exit_codes.OK if report.verdict == "kept" else exit_codes.WAIT_TIMED_OUT
