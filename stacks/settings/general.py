"""What a deployment is called, how it is checked, and what becomes of its data."""

import re
from dataclasses import dataclass
from typing import Literal

from spotproof import contract
from stacks.settings.declaration import setting
from stacks.settings.kinds import Choice, Text
from stacks.settings.pairs import Pairs, TagNames, TagPairs

Removal = Literal["retain", "destroy"]
Compliance = Literal["none", "baseline", "strict"]

PREFIX = Text(re.compile(r"[A-Za-z][A-Za-z0-9-]{0,49}"), "a letter, then up to 49 letters, digits or hyphens")


@dataclass(frozen=True, kw_only=True)
class GeneralSettings:
    """Deployment"""

    prefix: str = setting(
        PREFIX,
        contract.DEFAULT_STACK_PREFIX,
        "Begins the stacks' names; a second deployment in one account needs its own.",
    )
    removal: Removal = setting(
        Choice[Removal](("retain", "destroy")),
        "retain",
        "What happens to the table and the buckets when their stack is destroyed.",
    )
    compliance: Compliance = setting(
        Choice[Compliance](("none", "baseline", "strict")),
        "baseline",
        "Rule packs that every synthesis must pass; `strict` adds NIST 800-53, HIPAA and PCI, and deploys what they ask for.",
    )
    tags: Pairs = setting(TagPairs(), (), "On every resource, instance and job.")
    required_tags: tuple[str, ...] = setting(TagNames(), (), "Names that `spotproof submit` asks of every run.")

    @property
    def strict(self) -> bool:
        """Whether the deployment is for those who must prove a lot."""
        return self.compliance == "strict"

    def stack_name(self, suffix: str) -> str:
        return f"{self.prefix}-{suffix}"
