"""Where an emulator is known to be wrong: each as narrow as it can be, with the reason."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from botocore.exceptions import ClientError

Request = Mapping[str, Any]


class Emulator(StrEnum):
    """Who can be the other side."""

    MOTO = "moto 5.2.5, in this process"
    LOCAL_ACCOUNT = "the local account, over HTTP"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotAsked:
    """A request whose refusal by the simulated side stands: the other side would wrongly obey it."""

    of: frozenset[Emulator]
    operation: str
    refused: str  # with this error code
    when: Callable[[Request], bool]
    reason: str

    def covers(self, emulator: Emulator, operation: str, request: Request, error: ClientError) -> bool:
        refused = error.response["Error"]["Code"]
        return emulator in self.of and (operation, refused) == (self.operation, self.refused) and self.when(request)


@dataclass(frozen=True, slots=True, kw_only=True)
class TooMuch:
    """A field that the other side adds to an answer."""

    of: frozenset[Emulator]
    operation: str
    field: str
    when: Callable[[Request], bool]
    reason: str

    def covers(self, emulator: Emulator, operation: str, request: Request) -> bool:
        return emulator in self.of and operation == self.operation and self.when(request)


# Gives numbers back as they were sent, such as 1.0; the service keeps 1.
KEEPS_ZEROS: Final = frozenset({Emulator.MOTO})
NOT_ASKED: Final = (
    NotAsked(
        of=frozenset(Emulator),
        operation="copy_object",
        refused="PreconditionFailed",
        when=lambda request: "IfNoneMatch" in request,
        reason="ignores If-None-Match on a copy and overwrites the target",
    ),
)
TOO_MUCH: Final = (
    TooMuch(
        of=frozenset({Emulator.MOTO}),
        operation="delete_objects",
        field="Deleted",
        when=lambda request: request["Delete"].get("Quiet", False),
        reason="lists what it deleted although the request asks for errors alone",
    ),
    TooMuch(
        of=frozenset({Emulator.MOTO}),
        operation="transact_write_items",
        field="ItemCollectionMetrics",
        when=lambda request: "ReturnItemCollectionMetrics" not in request,
        reason="answers with empty metrics that nobody asked for",
    ),
)
