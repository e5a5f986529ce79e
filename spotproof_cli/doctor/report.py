"""How findings are shown: a line each for people and for other programs, one document as JSON."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from spotproof_cli.doctor.examination import Finding, is_healthy
from spotproof_cli.doctor.subject import Subject
from spotproof_cli.doctor.verdict import Level
from spotproof_cli.output import Format, Output

MARKS: Final = {Level.OK: "✓", Level.WARN: "!", Level.FAIL: "✗", Level.SKIP: "-"}
_NAME_WIDTH: Final = 18


def print_finding(output: Output, finding: Finding) -> None:
    """One finding; what mends it stands on a line of its own for people, in the last column otherwise."""
    verdict = finding.verdict
    if output.form is Format.PLAIN:
        output.table((), [(verdict.level.value, finding.check, verdict.text, verdict.fix)])
        return
    output.line(f"{MARKS[verdict.level]} {finding.check.ljust(_NAME_WIDTH)} {verdict.text}")
    if verdict.fix:
        output.line(f"{' ' * (_NAME_WIDTH + 3)}fix: {verdict.fix}")


def document(subject: Subject, findings: Sequence[Finding]) -> dict[str, Any]:
    """All of it; names and order of the keys belong to the schema."""
    return {
        "deployment": subject.prefix,
        "region": subject.region,
        "account": subject.greeting.account or None if subject.region else None,
        "healthy": is_healthy(findings),
        "checks": [
            {
                "check": finding.check,
                "level": finding.verdict.level.value,
                "text": finding.verdict.text,
                "fix": finding.verdict.fix,
            }
            for finding in findings
        ],
    }


def summary(findings: Sequence[Finding]) -> str:
    """How many of each, worst first."""
    counted = Counter(finding.verdict.level for finding in findings)
    words = {
        Level.FAIL: ("fault", "faults"),
        Level.WARN: ("warning", "warnings"),
        Level.SKIP: ("not looked at", "not looked at"),
        Level.OK: ("fine", "fine"),
    }
    return ", ".join(
        f"{counted[level]} {one if counted[level] == 1 else more}"
        for level, (one, more) in words.items()
        if counted[level]
    )
