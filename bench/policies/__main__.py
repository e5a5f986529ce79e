"""Replays every policy on recorded Spot markets and writes bench/results/policies.json.

Run: python -m bench.policies [--traces PATH] [--starts 20]. PATH is a directory of traces in our format or that of
skypilot-org/spot-traces; without it the sample beside this file is played, and the results go to policies-sample.json.
Exits with 1 if a bar is broken: no deadline missed that uniform progress meets, cost at most that of uniform progress
in the mean (for tight and for loose deadlines), and at most 1.25 times the clairvoyant optimum on loose ones.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bench.machine import publish
from bench.policies import grid
from bench.policies.ours import Ours
from bench.policies.random_markets import play_random
from bench.policies.report import RIVALS, against, broken_bars, by, cell_name, summary
from bench.policies.trace import SAMPLE, Trace, read_traces
from bench.policies.wide import play_wide
from spotproof.capacity import deadline

SEED = 5
OTHER_PRICE_RATIOS = (2.0, 5.0)
OTHER_PRIORS_H = (1, 16)
RANDOM_RUNS = 10_000


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.policies", description=__doc__)
    parser.add_argument("--traces", type=Path, default=SAMPLE)
    parser.add_argument("--starts", type=int, default=20, help="jobs on each trace in each cell")
    chosen = parser.parse_args()
    traces = read_traces(chosen.traces)
    played = list(grid.play_all(traces, starts=chosen.starts, seed=SEED))
    broken = broken_bars(played)
    results: dict[str, Any] = {
        "seed": SEED,
        "starts_per_trace_and_cell": chosen.starts,
        "price_ratio": round(grid.PRICE_RATIO, 4),
        "traces": [_facts(trace) for trace in traces],
        "broken_bars": broken,
        "loose": summary([each for each in played if each.cell.loose]),
        "tight": summary([each for each in played if not each.cell.loose]),
        "ours_against": {
            rival: {
                "loose": against([each for each in played if each.cell.loose], rival),
                "tight": against([each for each in played if not each.cell.loose], rival),
            }
            for rival in RIVALS
        },
        "cells": by(played, cell_name),
        "by_trace": by(played, lambda each: each.trace),
        "other_price_ratios": _other_price_ratios(traces, max(1, chosen.starts // 4)),
        "other_priors_of_ours": _other_priors(traces, max(1, chosen.starts // 4)),
        "wide": play_wide(traces, starts=chosen.starts, seed=SEED),
        "random_markets": play_random(RANDOM_RUNS, seed=SEED),
    }
    publish("policies-sample" if chosen.traces == SAMPLE else "policies", results)
    sys.exit(bool(broken))


def _facts(trace: Trace) -> dict[str, Any]:
    return {
        "name": trace.name,
        "kind": trace.kind,
        "step_s": trace.step_s,
        "ticks": len(trace.up),
        "hours": round(len(trace.up) * trace.step_s / 3600, 1),
        "share_up": round(trace.share_up, 3),
        "losses": trace.losses,
        "source": trace.source,
    }


def _other_price_ratios(traces: Sequence[Trace], starts: int) -> dict[str, Any]:
    return {
        str(ratio): _tight_and_loose(list(grid.play_all(traces, starts=starts, seed=SEED, price_ratio=ratio)))
        for ratio in OTHER_PRICE_RATIOS
    }


def _other_priors(traces: Sequence[Trace], starts: int) -> dict[str, Any]:
    """Ours with another assumption about Spot before any was seen."""
    results = {}
    for hours in OTHER_PRIORS_H:
        with patch.object(deadline, "PRIOR_LIFETIME_S", hours * 3600.0):
            played = list(grid.play_all(traces, starts=starts, seed=SEED, policies={"ours": Ours}))
        results[f"{hours} h"] = _tight_and_loose(played, policies=("ours",))
    return results


def _tight_and_loose(played: list[grid.Played], policies: Sequence[str] = tuple(grid.POLICIES)) -> dict[str, Any]:
    return {
        "loose": summary([each for each in played if each.cell.loose], policies),
        "tight": summary([each for each in played if not each.cell.loose], policies),
    }


if __name__ == "__main__":
    main()
