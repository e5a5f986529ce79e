"""Nothing secret, and nothing of one machine, is in the repository."""

from pathlib import Path

import pytest

from tests.tidy.repository import ROOT, relative, tracked_files
from tests.tidy.scanner import scan
from tests.tidy.secret_detectors import KNOWN, Detected, detect, is_known

PLANTED = {
    "an AWS access key id": "key = '" + "AKIA" + "QWERTYUIOPASDFGH'",
    "an AWS secret key": "aws_secret_access_key = " + "wJalrXUtnFEMIK7MDENGbPxRfiCYzzzzzzzzzzzz"[:40],
    "a private key": "-----BEGIN " + "RSA PRIVATE KEY-----",
    "a token of a code host": "ghp_" + "a1B2" * 9,
    "a path of one machine": 'open("' + "/home/" + 'alex/data.csv")',
    "the host of a registry": "index-url = https://" + "py" + "pi.org/simple",
    "an AWS account id": "arn:aws:iam::" + "7391" * 3 + ":role/x",
}


@pytest.mark.parametrize("what", PLANTED)
def test_a_planted_secret_is_found(what: str) -> None:
    assert [finding.what for finding in scan(f"# fine\n{PLANTED[what]}\n")] == [what]


@pytest.mark.parametrize(
    "harmless", ["AKIAIOSFODNN7EXAMPLE", "arn:aws:iam::123456789012:role/x", "1764000000000", "/tmp/x"]
)
def test_an_example_is_no_secret(harmless: str) -> None:
    assert scan(harmless) == []


def test_no_tracked_file_holds_a_secret_or_names_this_machine() -> None:
    found = [
        f"{relative(path)}:{finding.line}: {finding.what}: {finding.text}"
        for path in tracked_files()
        if path.suffix not in (".parquet", ".gz", ".zip", ".png")
        for finding in scan(path.read_text(errors="replace"))
    ]

    assert found == []


# Written in pieces so that this file does not contain what is looked for.
SECRETS = {
    "AWS Access Key": "key = '" + "AKIA" + "QWERTYUIOPASDFGH'",
    "Private Key": "-----BEGIN " + "RSA PRIVATE KEY-----",
    "GitHub Token": "token = 'ghp" + "_" + "a1B2" * 9 + "'",
    "Basic Auth Credentials": "url = 'https://alice:" + "s3cr3tpw" + "@example.com/x'",
    "Secret Keyword": "password = '" + "correct-horse-" + "battery9'",
    "JSON Web Token": "eyJhbGciOiJIUzI1NiJ9"
    + ".eyJzdWIiOiIxMjM0NTY3ODkwIn0."
    + "dozjgNryP4"
    + "J3jVmNHl0w"
    + "5N_XgL0n3I"
    + "9PlFUP0THsR8U",
    "Hex High Entropy String": "salt = '" + "9f86d081" + "884c7d65" + "9a2feaa0" + "c55ad015" + "a3bf4f1b'",
    "Base64 High Entropy String": "blob = '" + "c3VwZXIgbG9uZyBzdHJpbmcg" + "c2hvdWxkIGNhdXNlIGVub3VnaCBlbnRyb3B5'",
}


def scanned_files() -> list[Path]:
    """Every file that people write; locks are hashes from end to end, results of benchmarks are numbers."""
    machine_made = (
        "requirements",
        "batch_jobs/requirements",
        "lambdas/requirements",
        "bench/",
        "tools/node/package-lock",
    )
    return [
        path
        for path in tracked_files()
        if path.suffix not in (".parquet", ".gz", ".zip", ".png")
        and not (path.suffix in (".txt", ".json") and relative(path).startswith(machine_made))
    ]


@pytest.mark.parametrize("kind", SECRETS)
@pytest.mark.parametrize("name", ["module.py", "settings.yaml", "notes.md"])
def test_a_planted_secret_is_detected(kind: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(f"fine = 1\n{SECRETS[kind]}\n")

    assert kind in {found.kind for found in detect(path, root=tmp_path) if not is_known(found)}


def test_what_is_known_to_be_none_hides_no_other_value_and_no_other_file() -> None:
    known = Detected(path="tests/guard/test_rules.py", line=1, kind="Basic Auth Credentials", value="pass")
    other_value = Detected(path=known.path, line=1, kind=known.kind, value="hunter2")
    other_file = Detected(path="stacks/fleet.py", line=1, kind=known.kind, value="pass")

    assert [is_known(each) for each in (known, other_value, other_file)] == [True, False, False]


@pytest.mark.slow  # twenty seconds of one processor
@pytest.mark.timeout(900)
def test_no_tracked_file_holds_what_the_detectors_know() -> None:
    found = [each for path in scanned_files() for each in detect(path, root=ROOT)]

    assert [each.text for each in found if not is_known(each)] == []
    unused = [known.reason for known in KNOWN if not any(known.covers(each) for each in found)]
    assert unused == [], "nothing is excused that is not there"
