"""A run's limits as the capacity decisions take them."""

from spotproof.capacity.situation import CapacityLimits
from spotproof.leases.model import Run


def limits_of(run: Run) -> CapacityLimits:
    options = run.options
    return CapacityLimits(
        fallback_after_s=options.fallback_after_s,
        on_demand_share_max=options.on_demand_share_max,
        on_demand_workers_max=options.on_demand_workers_max,
        usd_per_hour_max=options.usd_per_hour_max,
        budget_usd=run.budget_usd,
    )
