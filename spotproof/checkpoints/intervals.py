"""How often to save: the closed forms of checkpoint theory, with their limits.

Units: seconds for times, interruptions per hour for rates, shares from 0 to 1. The symbols of the sources:
C = `save_s` (what one save costs the job), λ = `rate_per_h`, M = 1/λ, p = `reliability` (share of interruptions whose
warning led to a durable last save), R = `restart_s` (requeue, boot, restore).

All forms suppose interruptions that come at a constant rate and saves that are short beside the time between
interruptions. `bench/intervals.py` checks them against a simulation.
"""

import math
from typing import Final

HOUR_S: Final = 3600.0
FIRST_ORDER_MAX: Final = 0.001  # λ C up to which the terms left out stay below 0.1 points of waste


def young_s(*, save_s: float, rate_per_h: float) -> float:
    """Seconds of work between saves that minimise expected loss without warnings, to first order: sqrt(2 C M).

    J. W. Young 1974, "A first order approximation to the optimum checkpoint interval", doi 10.1145/361147.361115.
    Valid while C is small beside M, see `first_order_holds`.

    Raises:
        ValueError: an argument is not positive and finite.
    """
    _require_positive(save_s=save_s, rate_per_h=rate_per_h)
    return math.sqrt(2.0 * save_s * HOUR_S / rate_per_h)


def daly_s(*, save_s: float, rate_per_h: float) -> float:
    """As `young_s` with two more terms; for C >= 2 M the time between interruptions itself.

    sqrt(2 C M) (1 + sqrt(C / 2M) / 3 + (C / 2M) / 9) - C. J. T. Daly 2006, "A higher order estimate of the optimum
    checkpoint interval for restart dumps", doi 10.1016/j.future.2004.11.016, equation 37.

    Raises:
        ValueError: an argument is not positive and finite.
    """
    _require_positive(save_s=save_s, rate_per_h=rate_per_h)
    mean_s = HOUR_S / rate_per_h
    if save_s >= 2.0 * mean_s:
        return mean_s
    ratio = save_s / (2.0 * mean_s)
    return math.sqrt(2.0 * save_s * mean_s) * (1.0 + math.sqrt(ratio) / 3.0 + ratio / 9.0) - save_s


def with_prediction_s(*, save_s: float, rate_per_h: float, reliability: float) -> float:
    """Seconds between saves when a share of the interruptions is announced in time for a last save.

    sqrt(2 C M / (1 - p)): only the unannounced ones cost half an interval. G. Aupy, Y. Robert, F. Vivien,
    D. Zaidouni, "Checkpointing algorithms and fault prediction", arXiv 1302.3752 (and 1207.6936), with their recall
    as p; false alarms are left out, because a save costs little here. At p = 1 it is infinite: warnings do it all.

    Raises:
        ValueError: `save_s` or `rate_per_h` is not positive and finite, or `reliability` is not from 0 to 1.
    """
    _require_positive(save_s=save_s, rate_per_h=rate_per_h)
    _require_share(reliability)
    if reliability == 1.0:
        return math.inf
    return young_s(save_s=save_s, rate_per_h=rate_per_h * (1.0 - reliability))


def first_order_holds(*, save_s: float, rate_per_h: float) -> bool:
    """Whether `expected_waste` is good to 0.1 points: a save takes at most a thousandth of the time between interruptions.

    The first-order forms charge λ C / 2 and more too much: saves that never took place because the host went, and the
    stalls in what is redone. Beyond the limit T* is still close to the best interval, but its waste is overstated.

    Raises:
        ValueError: an argument is not positive and finite.
    """
    _require_positive(save_s=save_s, rate_per_h=rate_per_h)
    return save_s * rate_per_h <= FIRST_ORDER_MAX * HOUR_S


def expected_waste(
    *,
    interval_s: float,
    save_s: float,
    rate_per_h: float,
    reliability: float = 0.0,
    restart_s: float = 0.0,
    warned_idle_s: float = 0.0,
    lag_s: float = 0.0,
) -> float:
    """Share of time spent on saving, redoing and restarting: C/T + λ (R + (1 - p)(T/2 + U) + p I).

    First order in λ, see `first_order_holds`.

    Args:
        interval_s: T, seconds between the beginnings of two saves, > 0; infinite only if everything is announced.
        save_s: C, seconds that one save holds the job up, >= 0.
        rate_per_h: interruptions per hour, >= 0.
        reliability: p, from 0 to 1.
        restart_s: R, seconds from losing the host to working again, >= 0.
        warned_idle_s: I, seconds not worked between the last save and the announced end, >= 0.
        lag_s: U, seconds from a save's beginning until it is durable (asynchronous saves), >= 0.

    Raises:
        ValueError: an argument is out of its range.
    """
    _require_share(reliability)
    for name, value in (
        ("save_s", save_s),
        ("rate_per_h", rate_per_h),
        ("restart_s", restart_s),
        ("warned_idle_s", warned_idle_s),
        ("lag_s", lag_s),
    ):
        if not (value >= 0.0 and math.isfinite(value)):
            raise ValueError(f"{name} must be a finite number of at least 0, got {value!r}")
    if not interval_s > 0.0:
        raise ValueError(f"interval_s must be positive, got {interval_s!r}")
    unannounced = 1.0 - reliability
    redone_s = unannounced * (interval_s / 2.0 + lag_s) if unannounced else 0.0
    return save_s / interval_s + rate_per_h / HOUR_S * (restart_s + redone_s + reliability * warned_idle_s)


def waste_without_saves(*, work_s: float, rate_per_h: float, restart_s: float) -> float:
    """Share of extra time when an interrupted shard of `work_s` starts again: (e^(λS) - 1)(1/λ + R) / S - 1.

    The expected time to get S seconds in a row without an interruption, each one costing R; exact for a constant
    rate (Daly 2006, section 2, without saves).

    Raises:
        ValueError: `work_s` or `rate_per_h` is not positive and finite, or `restart_s` is negative.
    """
    _require_positive(work_s=work_s, rate_per_h=rate_per_h)
    if not (restart_s >= 0.0 and math.isfinite(restart_s)):
        raise ValueError(f"restart_s must be a finite number of at least 0, got {restart_s!r}")
    mean_s = HOUR_S / rate_per_h
    return math.expm1(work_s / mean_s) * (mean_s + restart_s) / work_s - 1.0


def _require_positive(**values: float) -> None:
    for name, value in values.items():
        if not (value > 0.0 and math.isfinite(value)):
            raise ValueError(f"{name} must be positive and finite, got {value!r}")


def _require_share(reliability: float) -> None:
    if not 0.0 <= reliability <= 1.0:
        raise ValueError(f"reliability must be from 0 to 1, got {reliability!r}")
