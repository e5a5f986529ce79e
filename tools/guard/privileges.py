"""Rules for identity policies and trust: no wildcard that AWS does not force."""

from collections.abc import Iterator
from typing import Any, Final

from tools.guard.assembly import Assembly, Json, Resource, as_list
from tools.guard.open_actions import OPEN_ACTIONS, OPEN_IN_ACCOUNT
from tools.guard.rule import Rule

ROLE: Final = "AWS::IAM::Role"
POLICIES: Final = ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", ROLE)
WILDCARDS: Final = ("*", "?")


def allowed(identity: Resource) -> Iterator[Json]:
    """The Allow statements of a policy, or of the policies written into a role."""
    documents = [identity.get("PolicyDocument")]
    documents += [policy.get("PolicyDocument") for policy in as_list(identity.get("Policies"))]
    for document in documents:
        for statement in as_list((document or {}).get("Statement")):
            if statement.get("Effect") == "Allow":
                yield statement


def names_its_actions(identity: Resource, _assembly: Assembly) -> Iterator[str]:
    for statement in allowed(identity):
        if "NotAction" in statement:
            yield "NotAction allows everything else, also what AWS invents tomorrow"
        for action in as_list(statement.get("Action")):
            if any(wildcard in action for wildcard in WILDCARDS):
                yield f"allows {action}: name the actions"


def names_its_resources(identity: Resource, assembly: Assembly) -> Iterator[str]:
    for statement in allowed(identity):
        if "NotResource" in statement:
            yield "NotResource allows everything else, also what is made tomorrow"
        for resource in as_list(statement.get("Resource")):
            text = assembly.text(resource, by=identity)
            for action in as_list(statement.get("Action")) if _leaves_open(text) else ():
                if action not in (OPEN_ACTIONS if text == "*" else OPEN_IN_ACCOUNT):
                    yield f"allows {action} on {text}: name the resource"


def _leaves_open(resource: str) -> bool:
    """Whether it does not say which service, which account, or what of a service: `*`, `arn:aws:s3:::*`."""
    *place, name = resource.split(":", 5)
    return name.startswith(WILDCARDS) or any(wildcard in part for part in place for wildcard in WILDCARDS)


def passes_named_roles(identity: Resource, _assembly: Assembly) -> Iterator[str]:
    for statement in allowed(identity):
        if "iam:PassRole" in as_list(statement.get("Action")) and "iam:PassedToService" not in str(
            statement.get("Condition")
        ):
            yield "iam:PassRole without iam:PassedToService: the role could be handed to any service"


def is_assumed_by_services(role: Resource, _assembly: Assembly) -> Iterator[str]:
    for statement in as_list(role.get("AssumeRolePolicyDocument.Statement")):
        principal: Any = statement.get("Principal")
        if not isinstance(principal, dict) or set(principal) != {"Service"} or "*" in as_list(principal.get("Service")):
            yield f"may be assumed by {principal}: name a service"


PRIVILEGE_RULES: Final = (
    Rule(
        name="privilege-actions",
        kinds=POLICIES,
        demand="every allowed action is named: no * in it",
        check=names_its_actions,
    ),
    Rule(
        name="privilege-resources",
        kinds=POLICIES,
        demand="every allowed resource is named, with service and account, but for actions that AWS authorizes on no single one",
        check=names_its_resources,
    ),
    Rule(
        name="privilege-pass-role",
        kinds=POLICIES,
        demand="a role is passed on to a named service only",
        check=passes_named_roles,
    ),
    Rule(name="role-trust", kinds=(ROLE,), demand="roles are assumed by services", check=is_assumed_by_services),
)
