"""The options of a run that a seed draws, as text."""

import random

SAVING = 0.12  # of the worlds save in another way than at a given interval
FAST_S = ("30", "60", "180")


def draw_options(rng: random.Random, *, poisoned: bool) -> dict[str, str]:
    """Leases, saves and failures."""
    ttl_s = rng.choice((30, 60, 90))
    return {
        "ttl_s": str(ttl_s),
        "heartbeat_s": str(ttl_s // 3),
        "checkpoint_interval_s": str(rng.choice((2, 10, 60))),
        "poll_s": str(rng.choice((2, 5))),
        "failures_max": "2" if poisoned else "1000",  # bugs that come and go must not quarantine a healthy shard here
        "losses_max": "1000",
    }


def draw_capacity_options(rng: random.Random) -> dict[str, str]:
    """When a run gets on-demand workers, how many, and at which price; none of it in a third of the worlds."""
    if rng.random() < 1 / 3:
        return {}
    drawn = {
        "fallback_after_s": (0.8, FAST_S),
        "on_demand_after": (0.5, ("1", "2")),
        "deadline_s": (0.35, ("120", "600", "1800")),
        "on_demand_share_max": (0.15, ("0", "0.25", "0.5", "0.75")),
        "on_demand_workers_max": (0.2, ("0", "1", "2")),
        "usd_per_hour_max": (0.1, ("0.02", "0.1", "0.3")),
        "usd_max": (0.2, ("0.0005", "0.002", "0.01")),
    }
    return {name: rng.choice(values) for name, (share, values) in drawn.items() if rng.random() < share}


def change_saving(options: dict[str, str], rng: random.Random) -> dict[str, str]:
    """Presets instead of an interval, and workers that leave when a notice comes, in a few worlds each."""
    changed = dict(options)
    if rng.random() < SAVING:
        del changed["checkpoint_interval_s"]
        changed["checkpoint"] = rng.choice(("auto", "auto", "incremental", "hourly", "naive"))
    if rng.random() < SAVING:
        changed["on_notice"] = "leave"
    return changed
