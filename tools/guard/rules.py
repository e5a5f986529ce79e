"""All rules, and what they find in an assembly."""

from typing import Final

from tools.guard.assembly import Assembly
from tools.guard.batch_environments import ENVIRONMENT_RULES
from tools.guard.batch_jobs import JOB_RULES
from tools.guard.deliveries import DELIVERY_RULES
from tools.guard.functions import FUNCTION_RULES
from tools.guard.hosts import HOST_RULES
from tools.guard.privileges import PRIVILEGE_RULES
from tools.guard.rehearsals import REHEARSAL_RULES
from tools.guard.rule import Finding, Rule
from tools.guard.secrets import SECRET_RULES
from tools.guard.storage import STORAGE_RULES

RULES: Final[tuple[Rule, ...]] = (
    *JOB_RULES,
    *ENVIRONMENT_RULES,
    *HOST_RULES,
    *STORAGE_RULES,
    *DELIVERY_RULES,
    *FUNCTION_RULES,
    *PRIVILEGE_RULES,
    *SECRET_RULES,
    *REHEARSAL_RULES,
)


def findings(assembly: Assembly, *, strict: bool) -> tuple[Finding, ...]:
    """What does not meet the rules, in the order of stacks and resources."""
    return tuple(
        sorted(
            Finding(where=resource.where, rule=rule.name, what=what)
            for rule in RULES
            if strict or not rule.strict
            for resource in assembly.of_kind(*rule.kinds)
            for what in rule.check(resource, assembly)
        )
    )
