"""What the functions share below their handlers: clients, one retry budget per invocation, the lease store."""

import random
from dataclasses import dataclass
from functools import cache

from lambdas.handler_settings import HandlerSettings
from spotproof.clients import AwsClients, Clients
from spotproof.clock import Clock, SystemClock
from spotproof.concurrency import Spawner, ThreadSpawner
from spotproof.ids import IdSource, SystemIds
from spotproof.leases.dynamodb import DynamoDBLeaseStore
from spotproof.retries import Retrier, RetryPolicy
from spotproof.settings import environment

# A failed invocation is repeated a minute later, half of a notice's time: so a handler retries itself, but not so
# long that it meets its own time-out.
PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """The common part of every composition root; a simulated function gets its own."""

    settings: HandlerSettings
    clock: Clock
    ids: IdSource
    spawner: Spawner
    clients: AwsClients
    retrier: Retrier
    store: DynamoDBLeaseStore

    def begin(self, *, budget_s: float = PATIENCE_S) -> None:
        """Start an invocation: no retry of it starts later than `budget_s` from now."""
        self.retrier.deadline = self.clock.monotonic() + budget_s


def make_wiring(
    *,
    settings: HandlerSettings,
    clock: Clock,
    ids: IdSource,
    spawner: Spawner,
    clients: AwsClients,
    rng: random.Random,
) -> Wiring:
    """Put together what is passed; `rng` jitters retries."""
    retrier = Retrier(clock=clock, rng=rng, policy=RetryPolicy(max_s=2.0, patience_s=PATIENCE_S))
    store = DynamoDBLeaseStore(client=clients.dynamodb, table_name=settings.table, clock=clock, retrier=retrier)
    return Wiring(
        settings=settings, clock=clock, ids=ids, spawner=spawner, clients=clients, retrier=retrier, store=store
    )


@cache
def wire() -> Wiring:
    """The real one, made once per execution environment.

    Raises:
        ConfigurationError: a variable is missing; the text names it.
    """
    settings = HandlerSettings.from_env(environment())
    ids = SystemIds()
    rng = random.Random(ids.nonce())  # noqa: S311 - jitter of retries, no secret
    return make_wiring(
        settings=settings,
        clock=SystemClock(),
        ids=ids,
        spawner=ThreadSpawner(),
        clients=Clients(settings=settings.aws),
        rng=rng,
    )
