"""What the replays come to: costs, hit rates, and whether the bars hold."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from bench.policies.grid import POLICIES, Played

OURS: Final = "ours"
RIVALS: Final = ("uniform-progress", "uniform-progress-eager")
OVER_OPTIMUM_MAX: Final = 1.25  # in the mean, on loose deadlines


def summary(played: Sequence[Played], policies: Iterable[str] = POLICIES) -> dict[str, Any]:
    """Means over these replays; costs as shares of all on demand."""
    return {
        "n": len(played),
        "optimum_cost": round(statistics.fmean(each.optimum for each in played), 4),
        "policies": {name: _of_policy(played, name) for name in policies},
    }


def by(played: Sequence[Played], key: Callable[[Played], str]) -> dict[str, Any]:
    groups: dict[str, list[Played]] = {}
    for each in played:
        groups.setdefault(key(each), []).append(each)
    return {name: summary(group) for name, group in groups.items()}


def cell_name(played: Played) -> str:
    cell = played.cell
    return f"{cell.work_h:g} h, deadline x {cell.deadline_ratio:.3f}, changeover {cell.changeover_h:g} h"


def against(played: Sequence[Played], rival: str) -> dict[str, Any]:
    """Ours beside a rival, job by job."""
    ratios = sorted(each.costs[OURS] / each.costs[rival] for each in played)
    return {
        "deadlines_only_the_rival_met": sum(each.met[rival] and not each.met[OURS] for each in played),
        "cheaper_share": round(sum(ratio < 1 - 1e-9 for ratio in ratios) / len(ratios), 4),
        "equal_share": round(sum(abs(ratio - 1) <= 1e-9 for ratio in ratios) / len(ratios), 4),
        "dearer_share": round(sum(ratio > 1 + 1e-9 for ratio in ratios) / len(ratios), 4),
        "cost_ratio_median": round(statistics.median(ratios), 4),
        "cost_ratio_p95": round(ratios[int(0.95 * (len(ratios) - 1))], 4),
        "cost_ratio_worst": round(ratios[-1], 4),
    }


def broken_bars(played: Sequence[Played]) -> list[str]:
    """Each bar that does not hold, in words; empty if all do."""
    broken = []
    for rival in RIVALS:
        missed = against(played, rival)["deadlines_only_the_rival_met"]
        if missed:
            broken.append(f"{missed} deadlines missed that {rival} met")
        for loose in (False, True):
            some = [each for each in played if each.cell.loose is loose]
            ours, theirs = (statistics.fmean(each.costs[name] for each in some) for name in (OURS, rival))
            if ours > theirs:
                broken.append(f"loose={loose}: cost {ours:.4f}, {rival} {theirs:.4f}")
    over = statistics.fmean(each.over_optimum(OURS) for each in played if each.cell.loose)
    if over > OVER_OPTIMUM_MAX:
        broken.append(f"loose deadlines: {over:.3f} times the optimum, at most {OVER_OPTIMUM_MAX}")
    return broken


def _of_policy(played: Sequence[Played], name: str) -> dict[str, float]:
    over = sorted(each.over_optimum(name) for each in played)
    return {
        "met": round(sum(each.met[name] for each in played) / len(played), 4),
        "cost": round(statistics.fmean(each.costs[name] for each in played), 4),
        "over_optimum": round(statistics.fmean(over), 4),
        "over_optimum_p95": round(over[int(0.95 * (len(over) - 1))], 4),
        "over_optimum_worst": round(over[-1], 4),
    }
