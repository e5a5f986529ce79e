"""What the doctor looks at: one account and region, and the stacks of one deployment in it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any, Final, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from spotproof import contract
from spotproof.clients import Clients
from spotproof.clock import Clock
from spotproof.errors import AwsError, ConfigurationError
from spotproof.retries import Retrier, as_aws_error, error_code
from spotproof_cli.doctor.verdict import Verdict

T = TypeVar("T")

REQUIRED_STACKS: Final = (
    contract.STACK_STATE,
    contract.STACK_COMPUTE,
    contract.STACK_EVENTS,
    contract.STACK_MONITORING,
    contract.STACK_GAME_DAYS,
)
OPTIONAL_STACKS: Final = (contract.STACK_BUDGET,)
_NO_STACK: Final = "ValidationError"


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeting:
    """Who AWS says we are, and what time it is there."""

    account: str = ""
    arn: str = ""
    error: AwsError | None = None  # instead of them
    seconds_ahead: float | None = None  # of our clock before AWS's; None if nothing answered


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """A deployed stack."""

    name: str
    status: str
    reason: str
    outputs: Mapping[str, str]
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A resource of a stack."""

    logical_id: str
    physical_id: str
    kind: str


class Subject:
    """Reads each fact once, however many checks ask for it."""

    def __init__(self, *, clients: Clients, prefix: str, clock: Clock, retrier: Retrier) -> None:
        self.clients = clients
        self.prefix = prefix
        self.clock = clock
        self.retrier = retrier
        self._stacks: dict[str, Stack | None] = {}
        self._resources: dict[str, Sequence[Resource]] = {}

    def call(self, doing: str, request: Callable[..., T], **parameters: Any) -> T:
        """The answer of AWS.

        Raises:
            ClientError, AwsError: as `Retrier.call`.
        """
        return self.retrier.call(doing, request, **parameters)

    @cached_property
    def region(self) -> str | None:
        """The region that requests go to, None if nobody says which.

        Asked of a service without a global endpoint: for STS and IAM botocore makes one up, "aws-global".
        """
        from botocore.exceptions import NoRegionError, ProfileNotFound

        try:
            return str(self.clients.cloudformation.meta.region_name)
        except NoRegionError:
            return None
        except ProfileNotFound:  # the credentials tell about it
            return self.clients.settings.region

    @cached_property
    def greeting(self) -> Greeting:
        """What AWS answers to whom our credentials belong; the answer to a refusal tells the time as well."""
        before = self.clock.now()
        try:
            answer: Mapping[str, Any] = self.call("asking who we are", self.clients.sts.get_caller_identity)
        except ClientError as error:
            return self._refused(before, as_aws_error(error, doing="asking who we are"), error)
        except AwsError as error:
            return self._refused(before, error, error.__cause__)
        except BotoCoreError as error:  # for example a profile that does not exist
            return Greeting(error=as_aws_error(error, doing="asking who we are"))
        return Greeting(
            account=str(answer["Account"]), arn=str(answer["Arn"]), seconds_ahead=self._seconds_ahead(before, answer)
        )

    def _refused(self, before: datetime, error: AwsError, cause: BaseException | None) -> Greeting:
        answer = getattr(cause, "response", {})
        return Greeting(error=error, seconds_ahead=self._seconds_ahead(before, answer))

    def _seconds_ahead(self, before: datetime, answer: Mapping[str, Any]) -> float | None:
        """How far our clock is ahead of the Date of an answer, which carries whole seconds, cut off."""
        said = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        if not said:
            return None
        between = before + (self.clock.now() - before) / 2
        return (between - parsedate_to_datetime(said)).total_seconds() - 0.5

    def stack(self, suffix: str) -> Stack | None:
        """The stack `<prefix>-<suffix>`, None if there is none.

        Raises:
            AwsError: AWS would not say.
        """
        if suffix not in self._stacks:
            self._stacks[suffix] = self._find_stack(f"{self.prefix}-{suffix}")
        return self._stacks[suffix]

    def _find_stack(self, name: str) -> Stack | None:
        doing = f"looking for the stack {name}"
        try:
            (found,) = self.call(doing, self.clients.cloudformation.describe_stacks, StackName=name)["Stacks"]
        except ClientError as error:
            if error_code(error) == _NO_STACK:
                return None
            raise as_aws_error(error, doing=doing) from error
        given = found.get("Parameters", [])
        return Stack(
            name=name,
            status=found["StackStatus"],
            reason=found.get("StackStatusReason", ""),
            outputs={each.get("OutputKey", ""): each.get("OutputValue", "") for each in found.get("Outputs", [])},
            parameters={each.get("ParameterKey", ""): each.get("ParameterValue", "") for each in given},
        )

    @property
    def stacks(self) -> Mapping[str, Stack]:
        """Those that are deployed, by suffix. Raises as `stack`."""
        found = {suffix: self.stack(suffix) for suffix in (*REQUIRED_STACKS, *OPTIONAL_STACKS)}
        return {suffix: stack for suffix, stack in found.items() if stack is not None}

    def output(self, suffix: str, name: str) -> str:
        """An output of a stack that is there.

        Raises:
            ConfigurationError: it has no such output.
            AwsError: as `stack`.
        """
        stack = self.stack(suffix)
        value = "" if stack is None else stack.outputs.get(name, "")
        if not value:
            raise ConfigurationError(f"the stack {self.prefix}-{suffix} has no output {name}")
        return value

    def resources(self, suffix: str, *kinds: str) -> list[Resource]:
        """Resources of these kinds in a stack; none if it is not deployed.

        Raises:
            AwsError: AWS would not say.
        """
        if suffix not in self._resources:
            self._resources[suffix] = () if self.stack(suffix) is None else self._list(f"{self.prefix}-{suffix}")
        return [each for each in self._resources[suffix] if each.kind in kinds]

    def resources_anywhere(self, *kinds: str) -> list[Resource]:
        """Resources of these kinds in all stacks. Raises as `resources`."""
        return [each for suffix in self.stacks for each in self.resources(suffix, *kinds)]

    def _list(self, name: str) -> Sequence[Resource]:
        found: list[Resource] = []
        token: dict[str, str] = {}
        while True:
            answer = self.call(
                f"listing the resources of {name}",
                self.clients.cloudformation.list_stack_resources,
                StackName=name,
                **token,
            )
            found += [
                Resource(
                    logical_id=each["LogicalResourceId"],
                    physical_id=each.get("PhysicalResourceId", ""),
                    kind=each["ResourceType"],
                )
                for each in answer["StackResourceSummaries"]
                if each["ResourceStatus"] != "DELETE_COMPLETE"
            ]
            if not answer.get("NextToken"):
                return found
            token = {"NextToken": answer["NextToken"]}


Examine = Callable[[Subject], Sequence[Verdict]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that the doctor looks at."""

    name: str
    claim: str  # what holds where it finds nothing
    examine: Examine  # a verdict for each fault, or one that all is well
    actions: tuple[str, ...]  # of IAM, that it needs
    needs: tuple[str, ...] = ()  # suffixes of stacks without which there is nothing to look at
    without_credentials: bool = False  # tells something even where AWS does not accept the caller
    slow: bool = False  # only when asked for
