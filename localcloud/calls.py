"""Which grants of a role its calls made use of, and which calls were refused."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from localcloud.seams import Seams

REFUSALS_MAX: Final = 1000  # different ones; more say nothing new

Use = tuple[str, str, str]  # role, action, resource; of a grant as its policy writes them


class Calls:
    """Watches the emulator's own evaluation of policies, so what is recorded is what was decided.

    A grant is one action on one resource of one Allow statement, as the policy writes them.
    """

    def __init__(self, seams: Seams) -> None:
        self._iam = seams.iam_evaluator
        self._seams = seams
        self._lock = threading.Lock()
        self._used: Counter[Use] = Counter()
        self._refused: Counter[Use] = Counter()

    def install(self) -> None:
        """Put the recorder around evaluation and enforcement."""
        evaluate, enforce = self._iam.evaluate, self._iam.enforce

        def evaluated(context: Any, policies: Any, *limits: Any) -> Any:
            decision = evaluate(context, policies, *limits)
            if decision.decision == "Allow":
                self._note_uses(context, policies)
            return decision

        def enforced(key: str, action: str, service: str, region: str, resource_arn: str = "*", **more: Any) -> Any:
            refusal = enforce(key, action, service, region, resource_arn=resource_arn, **more)
            if role := role_of(getattr(refusal, "principal_arn", "")):  # an error of authentication has none
                self._note_refusal((role, action, resource_arn))
            return refusal

        self._iam.evaluate, self._iam.enforce = evaluated, enforced

    def report(self, *, account: str, region: str) -> dict[str, Any]:
        """By role: `grants` and `refused`, each a list of `{"action", "resource", "calls"}`."""
        with self._seams.scope(account, region):
            granted = {role: sorted(set(self._granted(role, account))) for role in self._roles()}
        with self._lock:
            used, refused = dict(self._used), dict(self._refused)
        return {
            role: {
                "grants": [
                    _entry(action, resource, used.get((role, action, resource), 0)) for action, resource in grants
                ],
                "refused": [_entry(use[1], use[2], calls) for use, calls in sorted(refused.items()) if use[0] == role],
            }
            for role, grants in sorted(granted.items())
        }

    def _roles(self) -> list[str]:
        return list(self._seams.iam._roles)

    def _granted(self, role: str, account: str) -> Iterator[tuple[str, str]]:
        for statement in _allowing(self._iam._gather_role_policies(role, account)):
            yield from ((action, resource) for action in statement.actions for resource in statement.resources)

    def _note_uses(self, context: Any, policies: Iterable[Any]) -> None:
        role = role_of(context.principal_arn)
        if not role:
            return
        uses = [
            (role, action, resource)
            for statement in _allowing(policies)
            if self._iam._conditions_met(statement.conditions, context)
            for action in _matching(statement.actions, context.action, self._iam.fnmatch_iam)
            for resource in _matching(statement.resources, context.resource_arn, self._iam.fnmatch_iam_cs)
        ]
        with self._lock:
            self._used.update(uses)

    def _note_refusal(self, refusal: Use) -> None:
        with self._lock:
            if refusal in self._refused or len(self._refused) < REFUSALS_MAX:
                self._refused[refusal] += 1


def role_of(principal_arn: str) -> str:
    """The role's name in `arn:aws:sts::<account>:assumed-role/<role>/<session>`; "" for another principal."""
    kind, _, rest = principal_arn.rpartition(":")[2].partition("/")
    return rest.partition("/")[0] if kind == "assumed-role" else ""


def _allowing(policies: Iterable[Any]) -> Iterator[Any]:
    return (statement for policy in policies for statement in policy if statement.effect == "Allow")


def _matching(patterns: Iterable[str], value: str, matches: Callable[[str, str], bool]) -> Iterator[str]:
    return (pattern for pattern in patterns if matches(value, pattern))


def _entry(action: str, resource: str, calls: int) -> dict[str, Any]:
    return {"action": action, "resource": resource, "calls": calls}
