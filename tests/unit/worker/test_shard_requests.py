"""What a shard asked of the table is the difference around it, without what came before."""

import logging

import pytest

from spotproof import events
from spotproof.leases.model import Lease, RunId, SessionId
from spotproof.leases.table import Usage
from spotproof.worker.outcome import ShardOutcome
from spotproof.worker.shard_requests import ShardRequests

LEASE = Lease(
    run_id=RunId("r"), index=4, stripe=0, owner=SessionId("s"), fencing_token=3, checkpoint=None, failures=0,
    interruptions=0, losses=0,
)  # fmt: skip


def test_only_requests_since_the_look_that_found_the_shard_are_its_own(caplog: pytest.LogCaptureFixture) -> None:
    readings = iter(
        Usage(requests=requests, refused=0, write_units=writes, read_units=reads)
        for requests, writes, reads in ((2, 2.0, 0.5), (40, 3.0, 20.0), (45, 7.0, 20.5))
    )
    usage = ShardRequests(lambda: next(readings))

    usage.begin()
    with caplog.at_level(logging.INFO, logger="spotproof"):
        usage.report(LEASE, ShardOutcome.COMMITTED)

    (record,) = caplog.records
    seen = {name: vars(record)[name] for name in ("shard", "fencing_token", "requests", "write_units", "read_units")}
    assert record.getMessage() == events.SHARD_USAGE
    assert seen == {"shard": 4, "fencing_token": 3, "requests": 5, "write_units": 4.0, "read_units": 0.5}
