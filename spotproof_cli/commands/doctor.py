"""`spotproof doctor`: is everything in place for runs, and if not, what mends it?"""

import random

import click

from spotproof_cli import exit_codes
from spotproof_cli.global_options import SpotproofCommand
from spotproof_cli.services import Invocation


@click.command(cls=SpotproofCommand, help="Check the account and the deployment; every fault comes with what mends it.")
@click.option("--drift", is_flag=True, help="Also compare the stacks with what is there; takes minutes on AWS.")
@click.pass_context
def command(context: click.Context, *, drift: bool) -> int:
    """Look at everything, whatever is broken; nothing is changed."""
    from spotproof.retries import Retrier
    from spotproof_cli.deployment import PATIENCE
    from spotproof_cli.doctor import examination, report
    from spotproof_cli.doctor.subject import Subject

    call = Invocation(context)
    retrier = Retrier(clock=call.clock, rng=random.Random(), policy=PATIENCE)  # noqa: S311 - jitter only
    clients = call.services.clients(call.target)
    subject = Subject(clients=clients, prefix=call.target.prefix, clock=call.clock, retrier=retrier)
    findings = []
    for finding in examination.examine(subject, [each for each in examination.CHECKS if drift or not each.slow]):
        findings.append(finding)
        if not call.output.is_json:
            report.print_finding(call.output, finding)
    if call.output.is_json:
        call.output.document(report.document(subject, findings))
    else:
        call.output.say(report.summary(findings))
    return exit_codes.OK if examination.is_healthy(findings) else exit_codes.FAULT_FOUND
