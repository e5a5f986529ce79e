"""Faults of calls as the seed draws them."""

import random
from typing import Final

from simulation.faults.book import FaultBook
from simulation.faults.calls import SPELLS, Call, CallFault
from simulation.faults.spells import Spells

# Not transact_write_items: botocore gives it a token, with which DynamoDB knows a duplicate.
WRITES: Final = frozenset(
    {
        "put_item", "update_item", "put_object", "delete_objects", "copy_object",
        "put_object_tagging", "create_multipart_upload", "upload_part", "upload_part_copy",
        "complete_multipart_upload", "abort_multipart_upload", "put_events", "submit_job", "cancel_job", "terminate_job",
    }
)  # fmt: skip
CONDITIONAL: Final = frozenset({"put_object", "copy_object", "complete_multipart_upload"})  # some always, some at times
S3_ONLY: Final = frozenset({CallFault.SLOW_DOWN, CallFault.DENIED, CallFault.CONFLICTED, CallFault.CUT, CallFault.SLOW})
NOT_S3: Final = frozenset({CallFault.THROTTLED})
SAVES: Final = ("worker s3.put_object checkpoint", "worker dynamodb.update_item record checkpoint")
FIRST_TIMES: Final = 4.0  # a world's first call at a site fails so much more often: rare sites are mostly first calls


class DrawnFaults:
    """simulation.gate.CallFaults: at most one fault per call, by the book's rates."""

    def __init__(self, book: FaultBook, rng: random.Random) -> None:
        self._book = book
        self._rng = rng
        self._s3 = _table(book, [fault for fault in CallFault if fault not in NOT_S3])
        self._others = _table(book, [fault for fault in CallFault if fault not in S3_ONLY])
        self._spells = Spells()
        self._known: set[str] = set()  # sites that were called

    def at_call(self, call: Call) -> CallFault | None:
        if self._book.at_peace:
            return None
        spell = self._spells.on(call)
        if spell is not None:
            return spell
        draw = self._rng.random()
        if call.site not in self._known:
            self._known.add(call.site)
            draw /= FIRST_TIMES
        for upto, fault in self._s3 if call.service == "s3" else self._others:
            if draw < upto:
                return self._strike(fault, call)
        return None

    def _strike(self, fault: CallFault, call: Call) -> CallFault | None:
        if not can_strike(fault, call.site):
            return None
        if fault is CallFault.CONFLICTED and call.parameters.keys().isdisjoint(("IfNoneMatch", "IfMatch")):
            return None
        if fault in SPELLS:
            self._spells.begin(fault, call, self._rng.random())
        self._book.count(fault.value, call.site)
        return fault


def can_strike(fault: CallFault, site: str) -> bool:
    """Whether `fault` makes sense for calls from `site` ("who service.operation intent")."""
    service, _, operation = site.split(" ")[1].partition(".")
    if fault in (S3_ONLY if service != "s3" else NOT_S3):
        return False
    match fault:
        case CallFault.DENIED:
            return operation != "delete_objects"  # refuses key by key, in its answer
        case CallFault.REFUSED:
            return site in SAVES
        case CallFault.SENT_TWICE:
            return operation in WRITES
        case CallFault.CONFLICTED:
            return operation in CONDITIONAL
        case CallFault.CUT:
            return operation == "get_object"
    return True


def _table(book: FaultBook, faults: list[CallFault]) -> list[tuple[float, CallFault]]:
    table: list[tuple[float, CallFault]] = []
    upto = 0.0
    for fault in faults:
        rate = book.rates.get(fault.value, 0.0)
        if rate > 0:
            upto += rate
            table.append((upto, fault))
    return table
