"""The detectors of detect-secrets over a file, and what they find in this repository that is none."""

import fnmatch
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from detect_secrets.core.scan import scan_file
from detect_secrets.settings import default_settings

SHOWN: Final = 8  # characters of what was found: enough to find it, too few to use it


@dataclass(frozen=True, slots=True, kw_only=True)
class Detected:
    """Something that looks like a secret."""

    path: str  # relative to the repository
    line: int
    kind: str  # detect-secrets' name
    value: str

    @property
    def text(self) -> str:
        return f"{self.path}:{self.line}: {self.kind}: {self.value[:SHOWN]}…"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Values that look like secrets and are none."""

    paths: str  # a pattern
    kind: str
    values: frozenset[str]  # empty: any
    reason: str

    def covers(self, found: Detected) -> bool:
        fits = fnmatch.fnmatch(found.path, self.paths) and found.kind == self.kind
        return fits and (not self.values or found.value in self.values)


KNOWN: Final = (
    Known(
        paths="*.py",
        kind="Secret Keyword",
        values=frozenset({"test", "testing", "bench"}),
        reason="keys that embedded accounts and servers on the loopback address take; they open nothing",
    ),
    Known(
        paths="tests/stacks/test_bootstrap.py",
        kind="Secret Keyword",
        values=frozenset({"not/a+secret"}),
        reason="signs a request to a server of the test",
    ),
    Known(
        paths="tests/guard/test_rules.py",
        kind="Basic Auth Credentials",
        values=frozenset({"pass"}),
        reason="a planted secret that the guard has to find in a template",
    ),
    Known(
        paths="tests/events/ecs*.docs.json",
        kind="Hex High Entropy String",
        values=frozenset(),
        reason="ids of containers and tasks in the examples of AWS's documentation",
    ),
    Known(
        paths="tests/*.py",
        kind="Hex High Entropy String",
        values=frozenset(
            {
                "5d41402abc4b2a76b9719d911017c592",
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            }
        ),
        reason="digests of known texts: the MD5 of `hello`, the SHA-256 of nothing",
    ),
    Known(
        paths="tests/tidy/test_secrets.py",
        kind="AWS Access Key",
        values=frozenset({"wJalrXUtnFEMIK7MDENGbPxRfiCYzzzzzzzzzzzz", "AKIAIOSFODNN7EXAMPLE"}),
        reason="AWS's own examples, planted to be found",
    ),
)


def detect(path: Path, *, root: Path) -> Iterator[Detected]:
    """What looks like a secret in the file."""
    with default_settings():
        for found in scan_file(str(path)):
            yield Detected(
                path=path.relative_to(root).as_posix(),
                line=found.line_number,
                kind=found.type,
                value=found.secret_value or "",
            )


def is_known(found: Detected) -> bool:
    """Whether it is listed as none."""
    return any(known.covers(found) for known in KNOWN)
