"""Notes that EC2 took a Spot host of ours, for the breaker of its pool."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from lambdas.controlling.crew import pool_of
from lambdas.telemetry import Telemetry
from lambdas.wiring import Wiring
from spotproof import events
from spotproof.capacity.breaker import BreakerSettings, BreakerState, Interruption, judge_pool
from spotproof.capacity.host_ends import HostEnds
from spotproof.capacity.pool_records import PoolRecords
from spotproof.capacity.records import Records
from spotproof.errors import AwsError, ItemError
from spotproof.leases.model import SessionKey
from spotproof.leases.store import LeaseStore

SESSIONS_MAX: Final = 4  # of the host, asked for its pool: all say the same, if they know it


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolNotes:
    """Asks EC2, then up to five reads and a write, once for each host.

    Losing a note makes the breaker open a little later, so a failure is only said; so does waiting for the end of a host
    instead of believing its notice, which nobody could confirm.
    """

    store: LeaseStore
    hosts: HostEnds
    pools: PoolRecords
    breaker: BreakerSettings

    def ended(self, instance_id: str, keys: Iterable[SessionKey], *, at: int, telemetry: Telemetry) -> None:
        """The host ends, so they say: noted if EC2 says so too, and that it took the host back.

        Args:
            keys: of the sessions that registered it.
            at: epoch ms of the event.
        """
        try:
            pool = self._pool(list(keys)[:SESSIONS_MAX])
            if not pool or not self.hosts.taken_back(instance_id):
                return
            record = self.pools.note_interruption(pool, Interruption(at=at, instance_id=instance_id), self.breaker)
            if record is not None and record.opened_at == at:
                verdict = judge_pool(record, self.breaker, now_ms=at)
                if verdict.state is BreakerState.OPEN:
                    telemetry.warning(events.POOL_OPENED, pool=pool, instance_id=instance_id, reason=verdict.reason)
        except (AwsError, ItemError) as error:
            telemetry.warning(events.CONTROLLER_FAILED, instance_id=instance_id, error=f"pool record: {error}")

    def _pool(self, keys: Iterable[SessionKey]) -> str:
        for key in keys:
            session = self.store.get_session(key)
            pool = "" if session is None else pool_of(session)
            if pool:
                return pool
        return ""


def pool_notes_of(wiring: Wiring) -> PoolNotes:
    """For the handler of hosts' ends, which loads nothing else of what steers capacity."""
    records = Records(dynamodb=wiring.clients.dynamodb, table_name=wiring.settings.table, retrier=wiring.retrier)
    hosts = HostEnds(ec2=wiring.clients.ec2, retrier=wiring.retrier)
    return PoolNotes(store=wiring.store, hosts=hosts, pools=PoolRecords(records), breaker=wiring.settings.breaker)
