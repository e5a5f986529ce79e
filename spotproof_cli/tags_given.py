"""Tags that a person gives at submit: what AWS takes, and what the deployment asks for."""

import re
from collections.abc import Collection, Mapping
from typing import Final

from spotproof import contract
from spotproof.errors import InputError

GIVEN_MAX: Final = 30  # a job takes 50 with its definition's; more fail it when it starts (AWS Batch, TagResource)
_NAME: Final = re.compile(contract.TAG_NAME)
_VALUE: Final = re.compile(contract.TAG_VALUE)


def tags(pairs: tuple[str, ...]) -> dict[str, str]:
    """The `--tag name=value` arguments as a mapping.

    Raises:
        InputError: one is not a tag that AWS takes, is one of ours, or comes twice.
    """
    given: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise InputError(f"--tag must be name=value of letters, digits, spaces and _ . : / = + - @, got {pair!r}")
        if name.lower().startswith(contract.TAG_PREFIXES_TAKEN):
            raise InputError(
                f"--tag {name}: names that start with {' or '.join(contract.TAG_PREFIXES_TAKEN)} are taken"
            )
        if name in given:
            raise InputError(f"--tag {name} is given twice")
        given[name] = value
    if len(given) > GIVEN_MAX:
        raise InputError(f"{len(given)} tags are given; at most {GIVEN_MAX} are possible")
    return given


def check_required(given: Mapping[str, str], required: Collection[str]) -> None:
    """Nothing, if every tag that the deployment requires is given with a value.

    Raises:
        InputError: naming the ones that are missing.
    """
    missing = [name for name in required if not given.get(name)]
    if missing:
        wanted = " ".join(f"--tag {name}=…" for name in missing)
        raise InputError(f"this deployment requires tags on every run: give {wanted}")
