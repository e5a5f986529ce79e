"""What the doctor finds in a made-up account."""

import random

from spotproof.retries import Retrier, RetryPolicy
from spotproof_cli.doctor.examination import CHECKS, Finding, examine
from spotproof_cli.doctor.subject import Subject
from spotproof_cli.doctor.verdict import Level
from tests.cli.doctor.healthy import Account, FrozenClock

FAIL, WARN, SKIP, OK = Level.FAIL, Level.WARN, Level.SKIP, Level.OK


def findings_of(account: Account) -> list[Finding]:
    """All checks, the slow one too."""
    clock = FrozenClock()
    retrier = Retrier(clock=clock, rng=random.Random(0), policy=RetryPolicy(patience_s=5))
    subject = Subject(clients=account.clients(), prefix="Spotproof", clock=clock, retrier=retrier)
    return list(examine(subject, CHECKS))


def said_by(account: Account, check: str) -> list[tuple[Level, str, str]]:
    found = [each.verdict for each in findings_of(account) if each.check == check]
    return [(verdict.level, verdict.text, verdict.fix) for verdict in found]
