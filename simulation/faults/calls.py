"""Faults of a single AWS call: what the caller sees, and whether the call took effect."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from botocore.exceptions import ClientError, ConnectTimeoutError, EndpointConnectionError, ReadTimeoutError


class CallFault(StrEnum):
    """Names begin with the catalogue's id."""

    THROTTLED = "A1 throttled"
    FAILED_BEFORE = "A2 failed before"
    UNREACHABLE = "A2 unreachable"
    FAILED_AFTER = "A3 failed after"
    TIMED_OUT_AFTER = "A3 timed out after"
    SLOW_DOWN = "A5 slow down"
    KILLED_BEFORE = "P1 killed before"
    KILLED_AFTER = "P1 killed after"
    PAUSED_BEFORE = "P3 paused before"
    PAUSED_AFTER = "P3 paused after"
    SENT_TWICE = "A4 sent twice"  # the network delivers a late duplicate of the request
    CONFLICTED = "A4 conflict 409"  # S3's answer to a conditional write while another write of the key is under way
    CUT = "A5 answer cut"  # the connection breaks within the body that S3 sends
    EXPIRED = "A8 credentials expired"  # of one process, for a while
    SKEWED = "A10 signature refused"  # for the host's wrong clock, of one process, for a while
    DENIED = "A11 access denied"  # to one prefix, for everybody, for a while
    REFUSED = "A11 save refused"  # one object or the pointer of a save; the worker goes on
    OUTAGE = "A14 outage"  # of one service, for everybody, for a while
    SLOW = "A16 slow"  # S3 takes seconds for each request, for everybody, for a while

    @property
    def prevents(self) -> bool:
        """Whether the call never takes effect."""
        return self in _PREVENTING


SPELLS: Final = frozenset(  # last a while
    {CallFault.EXPIRED, CallFault.SKEWED, CallFault.DENIED, CallFault.OUTAGE, CallFault.SLOW}
)
_PREVENTING: Final = (SPELLS - {CallFault.SLOW}) | {
    CallFault.THROTTLED,
    CallFault.FAILED_BEFORE,
    CallFault.UNREACHABLE,
    CallFault.SLOW_DOWN,
    CallFault.KILLED_BEFORE,
    CallFault.CONFLICTED,
    CallFault.REFUSED,
}
_EXPIRED: Final = {"s3": "ExpiredToken", "ec2": "RequestExpired"}
_SKEWED: Final = {"s3": "RequestTimeTooSkewed", "ec2": "RequestExpired"}
BASIC: Final = (
    CallFault.FAILED_BEFORE,
    CallFault.FAILED_AFTER,
    CallFault.KILLED_BEFORE,
    CallFault.KILLED_AFTER,
    CallFault.PAUSED_BEFORE,
    CallFault.PAUSED_AFTER,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One AWS call as the faults, the checkers and the trace see it."""

    number: int  # in its world, from 1
    process: Any  # simulation.kernel.process.Process
    service: str
    operation: str  # botocore's method name
    intent: str  # the protocol's name for it, such as "commit" or "staging"; empty if it has none
    parameters: dict[str, Any]
    is_duplicate: bool = False  # the network delivers it again, later
    site: str = field(init=False)  # where in the product the call is made, e.g. `worker dynamodb.update_item commit`

    def __post_init__(self) -> None:
        site = f"{self.process.kind} {self.service}.{self.operation} {self.intent}".rstrip()
        object.__setattr__(self, "site", site)  # asked for several times a call


def error_of(fault: CallFault, call: Call) -> Exception:
    """What botocore raises in the caller."""
    match fault:
        case CallFault.THROTTLED:
            return refusal(call, _throttle_code(call.service), 400 if call.service != "s3" else 503)
        case CallFault.SLOW_DOWN:
            return refusal(call, "SlowDown", 503)
        case CallFault.UNREACHABLE | CallFault.OUTAGE:
            endpoint = f"https://{call.service}"
            return (
                EndpointConnectionError(endpoint_url=endpoint)
                if call.number % 2
                else ConnectTimeoutError(endpoint_url=endpoint)
            )
        case CallFault.CONFLICTED:
            return refusal(call, "ConditionalRequestConflict", 409)
        case CallFault.EXPIRED:
            return refusal(call, _EXPIRED.get(call.service, "ExpiredTokenException"), 400)
        case CallFault.SKEWED:
            return refusal(call, _SKEWED.get(call.service, "InvalidSignatureException"), 403)
        case CallFault.REFUSED if call.service == "dynamodb":
            return refusal(call, "AccessDeniedException", 400)
        case CallFault.DENIED | CallFault.REFUSED:
            return refusal(call, "AccessDenied", 403)
        case CallFault.TIMED_OUT_AFTER:
            return ReadTimeoutError(endpoint_url=f"https://{call.service}")
        case _:
            return refusal(call, "InternalError" if call.service == "s3" else "InternalServerError", 500)


def refusal(call: Call, code: str, status: int) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, call.operation)


def _throttle_code(service: str) -> str:
    return {"s3": "SlowDown", "dynamodb": "ProvisionedThroughputExceededException"}.get(service, "ThrottlingException")
