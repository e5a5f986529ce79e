"""Finds what must never be committed: secrets, account ids, paths of one machine, hosts of registries."""

import re
from dataclasses import dataclass
from typing import Final

# Account ids that AWS itself uses in its documentation, and obviously made-up ones.
FAKE_ACCOUNTS: Final = frozenset(
    {"123456789012", "111122223333", "444455556666", "555555555555", "999999999999", "012345678901", "210987654321"}
    | {"137112412989", "515336597381", "896453262835"}  # in the examples of AWS's user guides
    | {str(digit) * 12 for digit in range(10)}
)
# Written in pieces so that this file does not contain what it looks for.
_HOSTS: Final = (
    "py" + r"pi\.org",
    "python" + r"hosted\.org",
    "registry" + r"\.npm",
    "npm" + r"mirror",
    "arti" + "factory",
)
_PATTERNS: Final = (
    ("an AWS access key id", re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b")),
    ("an AWS secret key", re.compile(r"(?i)secret_?(?:access_?)?key\W{1,6}[A-Za-z0-9/+]{40}\b")),
    ("a private key", re.compile("-----BEGIN " + r"(?:[A-Z]+ )?PRIVATE KEY-----")),
    ("a token of a code host", re.compile(r"\bgh[opsu]_[A-Za-z0-9]{36}\b")),
    ("a path of one machine", re.compile(r"(?<![\w.$}/-])/(?:home/\w+|Users/\w+|root/|work/|tmp/" + r"w/)")),
    ("the host of a registry", re.compile("|".join(_HOSTS))),
)
_ACCOUNT: Final = re.compile(r"(?<![\w.-])(?!000000)\d{12}(?![\w.])")  # a padded counter is no account
# AWS's own documentation uses these as example keys.
_EXAMPLE_KEY: Final = re.compile(r"EXAMPLE\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    line: int
    what: str
    text: str


def scan(text: str) -> list[Finding]:
    """What should not be in this text, line by line."""
    findings = []
    for number, line in enumerate(text.splitlines(), start=1):
        for what, pattern in _PATTERNS:
            match = pattern.search(line)
            if match is not None and not _EXAMPLE_KEY.search(match.group()):
                findings.append(Finding(line=number, what=what, text=match.group()))
        findings.extend(
            Finding(line=number, what="an AWS account id", text=account)
            for account in _ACCOUNT.findall(line)
            if account not in FAKE_ACCOUNTS
        )
    return findings
