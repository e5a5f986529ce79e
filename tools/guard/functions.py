"""Rules for Lambda functions and log groups."""

from collections.abc import Iterator
from typing import Final

from tools.guard.assembly import Assembly, Resource
from tools.guard.rule import Rule

FUNCTIONS: Final = ("AWS::Lambda::Function",)
LOG_GROUPS: Final = ("AWS::Logs::LogGroup",)
INVOKE: Final = "AWS::Lambda::EventInvokeConfig"


def _answers_cloudformation(function: Resource, assembly: Assembly) -> bool:
    """Whether it only serves custom resources: CloudFormation waits for it, and tells its failure itself."""
    return any(
        assembly.refers_to(custom.get("ServiceToken"), function, by=custom)
        for custom in assembly.resources
        if custom.kind.startswith(("Custom::", "AWS::CloudFormation::CustomResource"))
    )


def keeps_what_it_cannot_handle(function: Resource, assembly: Assembly) -> Iterator[str]:
    if _answers_cloudformation(function, assembly):
        return
    configs = [
        each for each in assembly.of_kind(INVOKE) if assembly.refers_to(each.get("FunctionName"), function, by=each)
    ]
    if not configs:
        yield "no EventInvokeConfig: an event that fails three times is lost"
    for config in configs:
        if not config.get("DestinationConfig.OnFailure.Destination"):
            yield "no failure destination: an event that fails to the end is lost"
        if not isinstance(config.get("MaximumEventAgeInSeconds"), int):
            yield "no MaximumEventAgeInSeconds: a notice would be handled hours later"


def has_limits(function: Resource, _assembly: Assembly) -> Iterator[str]:
    for name in ("Timeout", "MemorySize"):
        if not isinstance(function.get(name), int):
            yield f"no {name}: Lambda's default is 3 seconds and 128 MB"


def has_own_logs(function: Resource, assembly: Assembly) -> Iterator[str]:
    if _answers_cloudformation(function, assembly):
        return
    group = function.get("LoggingConfig.LogGroup")
    if not any(each.kind in LOG_GROUPS for each in assembly.referred(group, by=function)):
        yield "no log group of the deployment: Lambda would make one, kept for ever"


def forgets(group: Resource, _assembly: Assembly) -> Iterator[str]:
    days = group.get("RetentionInDays")
    if not isinstance(days, int):
        yield f"RetentionInDays is {days}: logs would be kept and paid for, for ever"


FUNCTION_RULES: Final = (
    Rule(
        name="function-failures",
        kinds=FUNCTIONS,
        demand="every function has a destination for events it failed on, and an age after which they are too old",
        check=keeps_what_it_cannot_handle,
    ),
    Rule(name="function-limits", kinds=FUNCTIONS, demand="time and memory are said", check=has_limits),
    Rule(
        name="function-logs",
        kinds=FUNCTIONS,
        demand="every function logs to a group of the deployment",
        check=has_own_logs,
    ),
    Rule(name="log-retention", kinds=LOG_GROUPS, demand="every log group forgets", check=forgets),
)
