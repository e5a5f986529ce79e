"""Nothing secret, and nothing of one machine, is in the repository."""

import pytest

from tests.tidy.repository import relative, tracked_files
from tests.tidy.scanner import scan

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
