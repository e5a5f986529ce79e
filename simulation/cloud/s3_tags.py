"""Object tags."""

from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import parse_qsl

from simulation.cloud.s3_requests import refusal

TAGS_MAX: Final = 10  # an object; S3 user guide, "Categorizing your storage using tags"


def tags_of(operation: str, tag_set: Iterable[Mapping[str, str]]) -> tuple[tuple[str, str], ...]:
    """The pairs of a TagSet, in order.

    Raises:
        ClientError: there are too many, or two of a name.
    """
    return _checked(operation, tuple((tag["Key"], tag["Value"]) for tag in tag_set))


def tags_from_header(operation: str, text: str) -> tuple[tuple[str, str], ...]:
    """The pairs of `a=1&b=2`, quoted as in a query string; errors as `tags_of`."""
    return _checked(operation, tuple(parse_qsl(text, keep_blank_values=True)))


def _checked(operation: str, tags: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    if len({name for name, _ in tags}) != len(tags):
        raise refusal(operation, "InvalidTag")
    if len(tags) > TAGS_MAX:
        raise refusal(operation, "BadRequest")
    return tags
