"""Rules for secrets: none is written into a template."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from tools.guard.assembly import Assembly, Resource, as_list
from tools.guard.rule import Rule

KINDS: Final = (
    "AWS::Lambda::Function",
    "AWS::Batch::JobDefinition",
    "AWS::EC2::LaunchTemplate",
    "AWS::ECS::TaskDefinition",
)
SECRET_NAME: Final = re.compile(
    r"(?i)(?:^|_|-)(?:secret|password|passwd|token|credential|api_?key|access_?key)s?(?:$|_|-)"
)
_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")  # in dbPassword
SECRET_VALUE: Final = (
    ("an access key", re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b")),
    ("a token of a code host", re.compile(r"\b(?:gh[pousr]|github_pat|glpat)[_-][A-Za-z0-9_-]{20,}")),
    ("a private key", re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")),
    ("a password in an address", re.compile(r"\b[a-z][a-z0-9+.-]*://[^/\s:@]+:[^/\s:@]+@")),
)


def holds_no_secret(resource: Resource, _assembly: Assembly) -> Iterator[str]:
    for name, value in _variables(resource):
        if isinstance(value, str) and value and SECRET_NAME.search(_HUMP.sub("_", name)):
            yield f"{name} has its value in the template: read it from Secrets Manager at run time"
    for text in _texts(resource.properties):
        for what, pattern in SECRET_VALUE:
            if pattern.search(text):
                yield f"{what} is in its properties"


def _variables(resource: Resource) -> Iterator[tuple[str, Any]]:
    """Names and values of environment variables and job parameters."""
    yield from (resource.get("Environment.Variables") or {}).items()
    yield from (resource.get("Parameters") or {}).items()
    for variable in as_list(resource.get("ContainerProperties.Environment")):
        yield variable.get("Name", ""), variable.get("Value")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


SECRET_RULES: Final = (
    Rule(
        name="no-secrets",
        kinds=KINDS,
        demand="no secret in variables, parameters, commands or user data: templates are read by many",
        check=holds_no_secret,
    ),
)
