"""Puts the parts that several functions share together, from one wiring."""

from dataclasses import dataclass
from functools import cached_property

from lambdas.controlling.additions import Additions
from lambdas.controlling.beginnings import Beginnings
from lambdas.controlling.capacity import Capacity
from lambdas.controlling.headroom import Headroom
from lambdas.controlling.look import Lookout
from lambdas.controlling.money import Till
from lambdas.controlling.notes import Notes
from lambdas.controlling.pausing import Pausing
from lambdas.controlling.replacements import Replacements
from lambdas.controlling.retirement import Retirement
from lambdas.controlling.routing import Router
from lambdas.controlling.situations import Situations
from lambdas.controlling.steering import Steering
from lambdas.controlling.stuck import StuckRuns
from lambdas.controlling.submissions import Submissions
from lambdas.controlling.unbegun import UnbegunRuns
from lambdas.controlling.waits import Waits
from lambdas.controlling.withdrawals import Withdrawals
from lambdas.controlling.work import WorkReader
from lambdas.queue_pairs import QueuePairs
from lambdas.run_events import RunEvents
from lambdas.wiring import Wiring
from spotproof.capacity.live_jobs import RunJobs
from spotproof.capacity.pool_records import PoolRecords
from spotproof.capacity.queue_blocks import QueueBlocks
from spotproof.capacity.records import Records
from spotproof.capacity.topup import WorkerTopUp
from spotproof.capacity.waiting_reader import WaitingReader
from spotproof.clients import Clients
from spotproof.costs.price_book import PriceBook
from spotproof.costs.prices import EC2SpotPrices, load_on_demand_prices
from spotproof.leases.requeue import Requeuer


@dataclass(frozen=True)
class Parts:
    """Each part made once, when first asked for. Functions that submit workers need the names of the queues."""

    wiring: Wiring

    @cached_property
    def queues(self) -> QueuePairs:
        """Spot and on-demand of every family; raises ConfigurationError, naming the variable that is missing."""
        return self.wiring.settings.worker_queues()

    @cached_property
    def records(self) -> Records:
        wiring = self.wiring
        return Records(dynamodb=wiring.clients.dynamodb, table_name=wiring.settings.table, retrier=wiring.retrier)

    @cached_property
    def pools(self) -> PoolRecords:
        return PoolRecords(self.records)

    @cached_property
    def blocks(self) -> QueueBlocks:
        return QueueBlocks(self.records)

    @cached_property
    def jobs(self) -> RunJobs:
        return RunJobs(batch=self.wiring.clients.batch, queues=self.queues.names, retrier=self.wiring.retrier)

    @cached_property
    def topup(self) -> WorkerTopUp:
        wiring = self.wiring
        return WorkerTopUp(
            dynamodb=wiring.clients.dynamodb,
            batch=wiring.clients.batch,
            table_name=wiring.settings.table,
            clock=wiring.clock,
            ids=wiring.ids,
            retrier=wiring.retrier,
        )

    @cached_property
    def till(self) -> Till:
        wiring, listed = self.wiring, load_on_demand_prices()
        spot = EC2SpotPrices(client=wiring.clients.ec2, retrier=wiring.retrier)
        return Till(book=PriceBook(on_demand=listed, spot=spot), list_prices=tuple(listed.values()), clock=wiring.clock)

    @cached_property
    def headroom(self) -> Headroom:
        return Headroom(topup=self.topup, queues=self.queues, till=self.till, clock=self.wiring.clock)

    @cached_property
    def router(self) -> Router:
        wiring = self.wiring
        return Router(
            store=wiring.store,
            pools=self.pools,
            headroom=self.headroom,
            breaker=wiring.settings.breaker,
            clock=wiring.clock,
        )

    @cached_property
    def run_events(self) -> RunEvents:
        wiring = self.wiring
        return RunEvents(client=wiring.clients.events, bus=wiring.settings.own_bus(), retrier=wiring.retrier)

    @cached_property
    def notes(self) -> Notes:
        return Notes(store=self.wiring.store)

    @cached_property
    def additions(self) -> Additions:
        return Additions(topup=self.topup, queues=self.queues)

    @cached_property
    def beginnings(self) -> Beginnings:
        return Beginnings(
            store=self.wiring.store,
            additions=self.additions,
            notes=self.notes,
            queues=self.queues,
            clock=self.wiring.clock,
        )

    @cached_property
    def waits(self) -> Waits:
        return Waits(source=self._waiting_source(), queues=self.queues.names, notes=self.notes)

    @cached_property
    def stuck(self) -> StuckRuns:
        return StuckRuns(
            store=self.wiring.store,
            jobs=self.jobs,
            topup=self.topup,
            router=self.router,
            queues=self.queues,
            notes=self.notes,
        )

    @cached_property
    def replacements(self) -> Replacements:
        """Raises ConfigurationError, naming the variable, where the memory of the instance types is not known."""
        self.wiring.settings.check_memory()
        return Replacements(
            topup=self.topup,
            router=self.router,
            notes=self.notes,
            queues=self.queues,
        )

    def steering(self) -> Steering:
        wiring = self.wiring
        lookout = Lookout(
            jobs=self.jobs,
            pools=self.pools,
            blocks=self.blocks,
            breaker=wiring.settings.breaker,
            queues=self.queues,
            clock=wiring.clock,
        )
        return Steering(
            lookout=lookout,
            capacity=self._capacity(),
            beginnings=self.beginnings,
            unbegun=UnbegunRuns(store=wiring.store, clock=wiring.clock),
            waits=self.waits,
        )

    def _capacity(self) -> Capacity:
        store, withdrawals = self.wiring.store, Withdrawals(jobs=self.jobs, topup=self.topup)
        return Capacity(
            situations=Situations(reader=WorkReader(store), till=self.till, queues=self.queues),
            submissions=Submissions(jobs=self.jobs, queues=self.queues),
            additions=self.additions,
            retirement=Retirement(store=store, withdrawals=withdrawals, queues=self.queues),
            pausing=Pausing(requeuer=Requeuer(store), withdrawals=withdrawals, run_events=self.run_events),
            notes=self.notes,
        )

    def _waiting_source(self) -> WaitingReader | None:
        """A simulated account has no Auto Scaling groups to ask."""
        wiring, clients = self.wiring, self.wiring.clients
        if not isinstance(clients, Clients):
            return None
        return WaitingReader(
            batch=clients.batch,
            ec2=clients.ec2,
            scaling=clients.autoscaling,
            retrier=wiring.retrier,
            clock=wiring.clock,
        )
