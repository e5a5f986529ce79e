"""The clairvoyant optimum: the least a job can cost in a market that is known in advance."""

from collections import deque
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bench.policies.replay import Job

Costs = npt.NDArray[np.float64]  # (work + 1,): least cost of that many ticks of work from here; inf = late


def optimum(job: Job, market: Sequence[bool]) -> float:
    """Least cost in Spot ticks of any schedule that meets the deadline; inf if none does.

    A dynamic programme backwards over ticks, in the rules of `replay`. A start is one step over the whole changeover,
    because to break it off is to pay for nothing.
    """
    late: Costs = np.full(job.work + 1, np.inf)
    late[0] = 0.0
    # What goes on at tick t, t + 1, ... while on that place; the newest first.
    on_spot = deque([late] * (job.changeover + 1), maxlen=job.changeover + 1)
    on_demand = deque([late] * (job.changeover + 1), maxlen=job.changeover + 1)
    nowhere = spot_next = on_demand_next = late
    up_ticks = 0  # in a row, from this tick on
    for tick in range(job.deadline - 1, -1, -1):
        up_ticks = up_ticks + 1 if tick < len(market) and market[tick] else 0
        on_spot.appendleft(_worked(spot_next, 1.0) if up_ticks else late)
        on_demand.appendleft(_worked(on_demand_next, job.price_ratio))
        nowhere = np.minimum(nowhere, job.price_ratio * job.changeover + on_demand[-1])
        if up_ticks > job.changeover:  # and a tick to work in
            nowhere = np.minimum(nowhere, job.changeover + on_spot[-1])
        spot_next, on_demand_next = np.minimum(on_spot[0], nowhere), np.minimum(on_demand[0], nowhere)
    return float(nowhere[job.work])


def _worked(after: Costs, price: float) -> Costs:
    """One tick of work at this price, and then the best."""
    costs = np.empty_like(after)
    costs[0] = 0.0
    costs[1:] = price + after[:-1]
    return costs
