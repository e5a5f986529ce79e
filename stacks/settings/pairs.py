"""Context values that are names with a value each: tags, and the shares of those who share a queue."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from spotproof import contract
from stacks.settings.declaration import Refusal, refuse, shown
from stacks.settings.kinds import words_of

TAGS_TAKEN = (contract.TAG_DEPLOYMENT, contract.TAG_LIFECYCLE)
TAGS_MAX = 15  # of a deployment: with a run's and ours they must stay within the 50 that a job takes
SHARES_MAX = 100  # of the 500 that Batch takes
WEIGHT_LEAST, WEIGHT_MOST = 0.0001, 999.9999  # AWS Batch: ShareAttributes.weightFactor

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class TagPairs:
    """Tags of every resource."""

    allowed: str = "name=value,… of letters, digits, spaces and _ . : / + - @"

    def parse(self, value: object) -> Pairs:
        pairs = _pairs(value)
        if pairs is None:
            raise refuse(self.allowed, value)
        check_tag_names(tuple(name for name, _ in pairs))
        for name, text in pairs:
            if not text or not re.fullmatch(contract.TAG_VALUE, text):
                raise Refusal(f"must be {self.allowed}, got {shown(name)}={shown(text)}")
        return pairs


@dataclass(frozen=True, slots=True)
class TagNames:
    """Names of tags."""

    allowed: str = f"at most {TAGS_MAX} different names of tags"

    def parse(self, value: object) -> tuple[str, ...]:
        names = words_of(value)
        if names is None:
            raise refuse(self.allowed, value)
        check_tag_names(names)
        return names


@dataclass(frozen=True, slots=True)
class Shares:
    """Who shares a queue, and how much each counts: half the weight gets twice the vCPUs (AWS Batch)."""

    allowed: str = (
        f"name=weight,… of letters and digits, at most {SHARES_MAX} names, each weight from {WEIGHT_LEAST} "
        f"to {WEIGHT_MOST}"
    )

    def parse(self, value: object) -> Pairs:
        pairs = _pairs(value)
        names = [name for name, _ in pairs or ()]
        if pairs is None or len(set(names)) < len(names) or len(names) > SHARES_MAX:
            raise refuse(self.allowed, value)
        for name, weight in pairs:
            if not re.fullmatch(contract.SHARE_NAME, name) or not _is_weight(weight):
                raise refuse(self.allowed, f"{name}={weight}")
        return pairs


def check_tag_names(names: tuple[str, ...]) -> None:
    """Raises Refusal if AWS does not take one, or it is taken."""
    for name in names:
        if not re.fullmatch(contract.TAG_NAME, name) or "=" in name:
            raise Refusal(f"has a name that AWS does not take as a tag's: {shown(name)}")
        if name.lower().startswith(contract.TAG_PREFIXES_TAKEN) or name in TAGS_TAKEN:
            taken = ", ".join((*TAGS_TAKEN, *(f"{prefix}…" for prefix in contract.TAG_PREFIXES_TAKEN)))
            raise Refusal(f"can't have the names {taken}, which are taken, got {shown(name)}")
    if len(set(names)) < len(names) or len(names) > TAGS_MAX:
        raise Refusal(f"must be at most {TAGS_MAX} different names, got {len(names)}")


def _pairs(value: object) -> Pairs | None:
    """From a mapping of cdk.json, or from `name=value,…` of the command line; None if it is neither."""
    if isinstance(value, Mapping):
        if not all(isinstance(part, str | int | float) for pair in value.items() for part in pair):
            return None
        return tuple((str(name), str(text)) for name, text in value.items())
    words = words_of(value)
    return None if words is None else tuple((name, text) for name, _, text in (word.partition("=") for word in words))


def _is_weight(text: str) -> bool:
    return bool(re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,4})?", text)) and WEIGHT_LEAST <= float(text) <= WEIGHT_MOST
