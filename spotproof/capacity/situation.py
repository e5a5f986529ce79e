"""The situation of a run's workers: the facts that the capacity decisions look at, as plain values."""

from dataclasses import dataclass

from spotproof.capacity.deadline import DeadlineFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityLimits:
    """What the submitter allows, from the run's options."""

    fallback_after_s: float
    on_demand_share_max: float = 1.0  # of the workers the run was submitted with; 0 = never on demand
    on_demand_workers_max: int | None = None
    usd_per_hour_max: float | None = None  # of all the run's workers together
    budget_usd: float | None = None  # the run pauses there


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueBlocked:
    """Batch said that nothing can start in the Spot queue, and it still can't."""

    since_s: float
    reason: str  # Batch's words


@dataclass(frozen=True, slots=True, kw_only=True)
class Workforce:
    """The run's workers of one lifecycle."""

    alive: int = 0  # with a session, told neither to stop nor to retire
    coming: int = 0  # Batch jobs that have not brought a session yet
    working: int = 0  # of those alive, how many hold a shard

    @property
    def total(self) -> int:
        return self.alive + self.coming


@dataclass(frozen=True, slots=True, kw_only=True)
class CapFacts:
    """What the caps on on-demand workers look at."""

    limits: CapacityLimits
    workers_wanted: int  # the run's width: workers it was submitted with
    on_demand: Workforce
    usd_per_hour: float | None = None  # of all workers alive; None = not known
    on_demand_usd_per_hour: float | None = None  # of one more on-demand worker


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacitySituation:
    """One look at a run that goes on. Times in seconds, on one clock; dollars are US dollars."""

    now_s: float
    limits: CapacityLimits
    workers_wanted: int  # the run's width: workers it was submitted with
    shards_open: int  # not done and not quarantined
    claimable_spot: int  # shards any worker may take now, those never leased included
    claimable_on_demand: int  # shards left to on-demand workers, claimable now
    waited_s: float  # of the longest waiting claimable shard for any worker; 0 if there is none
    spot: Workforce
    on_demand: Workforce
    blocked: QueueBlocked | None = None  # of the Spot queue, while workers of this run wait in it
    open_pools: tuple[str, ...] = ()  # pools with an open breaker in which Spot workers of the run live
    last_cause_s: float | None = None  # when on-demand workers were last needed; None = not known to be ever
    spent_usd: float | None = None  # so far; None = not known
    usd_per_hour: float | None = None  # of all workers alive
    on_demand_usd_per_hour: float | None = None  # of one more on-demand worker
    deadline: DeadlineFacts | None = None

    @property
    def places(self) -> int:
        """Workers that have, or would have, a shard to work on."""
        return min(self.workers_wanted, self.shards_open)

    @property
    def short(self) -> int:
        """Places that no live Spot worker fills."""
        return max(0, self.places - self.spot.alive)

    @property
    def cap_facts(self) -> CapFacts:
        return CapFacts(
            limits=self.limits,
            workers_wanted=self.workers_wanted,
            on_demand=self.on_demand,
            usd_per_hour=self.usd_per_hour,
            on_demand_usd_per_hour=self.on_demand_usd_per_hour,
        )
