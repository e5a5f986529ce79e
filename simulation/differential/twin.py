"""Two data planes under one world: each request goes to both, the answers are compared, the world gets the other's."""

import io
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError
from botocore.response import StreamingBody

from simulation.differential.answers import comparable, comparable_error, with_dates_of, with_kept_numbers
from simulation.differential.known import KEEPS_ZEROS, NOT_ASKED, TOO_MUCH, Emulator
from simulation.differential.names import renamed, renamed_back
from simulation.world import World
from spotproof.retries import error_code

Differ = Callable[[str], None]
Asked = tuple[str, str, str]  # service, operation, and the error code of its refusal or nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class DataPlane:
    """The other side: an empty table and two empty buckets.

    `names`: of the table and the buckets there, by their names in the simulation, if they differ.
    """

    emulator: Emulator
    dynamodb: Any
    s3: Any
    names: Mapping[str, str] = field(default_factory=dict)


class Twin:
    """One service's client: asks the simulated side, then the other, and reports every difference."""

    def __init__(
        self, service: str, simulated: Any, plane: DataPlane, *, asked: Counter[Asked], differ: Differ
    ) -> None:
        """`asked`: counts the requests."""
        self.under_way = False
        self._service = service
        self._simulated = simulated
        self._plane = plane
        self._other = getattr(plane, service)
        self._asked = asked
        self._differ = differ

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def send(**request: Any) -> Any:
            if hasattr(request.get("Body"), "read"):
                request["Body"] = request["Body"].read()
            return self._ask_both(operation, request)

        return send

    def apply(self, operation: str, **request: Any) -> None:
        """What happened on the simulated side by itself, for the other side alone."""
        getattr(self._other, operation)(**renamed(request, self._plane.names))

    def _ask_both(self, operation: str, request: dict[str, Any]) -> Any:
        self.under_way = True
        try:
            ours = _answer(self._simulated, operation, request)
        finally:
            self.under_way = False
        if isinstance(ours, ClientError) and self._is_not_asked(operation, request, ours):
            raise ours
        try:
            theirs = self._theirs(operation, request)
        except Exception as error:  # it answers nothing at all: the product would take it for a fault, and go on
            self._differ(f"{operation}({request}): the simulated side says {_told(ours)}, the other fails: {error!r}")
            raise
        self._asked[self._service, operation, error_code(theirs) if isinstance(theirs, ClientError) else ""] += 1
        if _told(ours) != _told(theirs):
            self._differ(
                f"{operation}({request}): the simulated side says {_told(ours)}, {self._plane.emulator} {_told(theirs)}"
            )
        if isinstance(theirs, ClientError):
            raise theirs
        return _handed_out(theirs, ours)

    def _is_not_asked(self, operation: str, request: dict[str, Any], refusal: ClientError) -> bool:
        return any(known.covers(self._plane.emulator, operation, request, refusal) for known in NOT_ASKED)

    def _theirs(self, operation: str, request: dict[str, Any]) -> Any:
        answer = _answer(self._other, operation, renamed(request, self._plane.names))
        keeps_zeros = self._service == "dynamodb" and self._plane.emulator in KEEPS_ZEROS
        if isinstance(answer, ClientError):
            if keeps_zeros:
                answer.response = with_kept_numbers(answer.response)
            return answer
        if keeps_zeros:
            answer = with_kept_numbers(answer)
        for known in TOO_MUCH:
            if known.covers(self._plane.emulator, operation, request):
                answer.pop(known.field, None)
        return renamed_back(answer, self._plane.names)


def attach(world: World, plane: DataPlane) -> Counter[Asked]:
    """Let the world, which has not begun, run on another data plane beside the simulated one; counts the requests."""
    asked: Counter[Asked] = Counter()

    def differ(words: str) -> None:
        world.report.broken("differential", words)

    table = Twin("dynamodb", world.table, plane, asked=asked, differ=differ)
    bucket = Twin("s3", world.s3, plane, asked=asked, differ=differ)

    def wrote(_key: tuple[str, str], _old: Any, new: Any, _intent: str) -> None:
        if not table.under_way:
            table.apply("put_item", TableName=world.table.name, Item=new)

    def changed(name: str, key: str, _old: bytes | None, new: bytes | None, _operation: str) -> None:
        if bucket.under_way:
            return
        if new is None:
            bucket.apply("delete_object", Bucket=name, Key=key)
            return
        facts = world.s3.head_object(Bucket=name, Key=key)
        bucket.apply(
            "put_object",
            Bucket=name,
            Key=key,
            Body=new,
            ContentType=facts["ContentType"],
            Metadata=facts["Metadata"],
        )

    world.table.watch.append(wrote)
    world.s3.watch.append(changed)
    world.services.update(dynamodb=table, s3=bucket)
    return asked


def _answer(client: Any, operation: str, request: Mapping[str, Any]) -> Any:
    """The answer, its body read, or the refusal."""
    try:
        answer = getattr(client, operation)(**request)
    except ClientError as error:
        return error
    return {**answer, "Body": answer["Body"].read()} if "Body" in answer else answer


def _handed_out(theirs: dict[str, Any], ours: Any) -> dict[str, Any]:
    """The other side's answer, with the simulated time in it."""
    answer: dict[str, Any] = with_dates_of(theirs, ours)
    if "Body" in answer:
        body: bytes = answer["Body"]
        answer["Body"] = StreamingBody(io.BytesIO(body), len(body))
    return answer


def _told(answer: Any) -> Any:
    if isinstance(answer, ClientError):
        return comparable_error(answer)
    return comparable(answer)
