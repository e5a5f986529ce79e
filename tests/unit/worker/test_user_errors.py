"""Failures of a user's function are sorted by what can be done about them."""

import errno

import pytest

from spotproof.errors import (
    AwsAccessError,
    AwsIdentityError,
    AwsUnavailableError,
    ConfigurationError,
    InputChangedError,
    OutputConflictError,
    ScratchFullError,
)
from spotproof.worker.user_errors import TEXT_MAX, FailureKind, classify_failure, retry_after_s


@pytest.mark.parametrize(
    ("error", "kind", "hopeless", "blameless"),
    [
        (ValueError("bad row"), FailureKind.USER_CODE, False, False),
        (SystemExit(3), FailureKind.USER_CODE, False, False),
        (InputChangedError("s3://b/k changed"), FailureKind.INPUT, True, False),
        (ConfigurationError("no pyarrow"), FailureKind.CONFIGURATION, True, False),
        (AwsAccessError("denied"), FailureKind.ACCESS, False, False),
        (AwsUnavailableError("down"), FailureKind.UNAVAILABLE, False, True),
        (AwsIdentityError("expired"), FailureKind.UNAVAILABLE, False, True),
        (OSError(errno.ENOSPC, "No space left on device"), FailureKind.DISK_FULL, False, False),
        (ScratchFullError("scratch disk is full"), FailureKind.DISK_FULL, False, False),
        (FileNotFoundError(errno.ENOENT, "no file"), FailureKind.USER_CODE, False, False),
        (MemoryError(), FailureKind.MEMORY, False, False),
        (OutputConflictError("staging/x holds other bytes"), FailureKind.OUTPUT_CONFLICT, False, False),
    ],
)
def test_each_error_has_its_kind(error: BaseException, kind: FailureKind, hopeless: bool, blameless: bool) -> None:
    failure = classify_failure(error)

    assert (failure.kind, failure.hopeless, failure.blameless) == (kind, hopeless, blameless)


def test_the_text_is_one_short_printable_line_with_the_place() -> None:
    try:
        raise ValueError("first\nsecond\x1b[31m" + "x" * 1000)
    except ValueError as error:
        text = classify_failure(error).text

    assert text.startswith("ValueError: first second")
    assert text.isprintable()
    assert len(text) == TEXT_MAX


def test_the_place_names_file_and_line() -> None:
    def fail() -> None:
        raise KeyError("carrier")

    with pytest.raises(KeyError) as caught:
        fail()

    assert "test_user_errors.py:" in classify_failure(caught.value).text


def test_the_back_off_doubles_and_is_bounded() -> None:
    assert [retry_after_s(n) for n in (1, 2, 3)] == [5, 10, 20]
    assert retry_after_s(50) == 300
