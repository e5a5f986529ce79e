"""The cost on timelines worked out by hand, and on random ones against a clock that ticks.

Run: python -m bench.cost [worlds] [first seed]
"""

import random
import sys
import time
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from bench.cost.golden import GOLDEN, LISTED, NOON, SIX_CENTS, FixedPrices, measured_cents, worker
from bench.cost.worlds import RUNS, TYPES, World, random_world, ticking_cost
from bench.machine import publish
from spotproof.costs.price_book import PriceBook
from spotproof.costs.run_cost import bill_hosts, cost_of_bills
from spotproof.costs.running import running_cost

WORLDS = 2000
FLEET = 10_000  # sessions, for the time that one look at a large run takes


def golden_results() -> list[dict[str, Any]]:
    results = []
    for case in GOLDEN:
        measured = measured_cents(case)
        wrong = {name: measured[name] for name, cents in case.cents.items() if measured[name] != cents}
        results.append({"name": case.name, "by_hand": case.by_hand, "cents": dict(case.cents), "wrong": wrong})
    return results


def conservation(worlds: int, first: int) -> dict[str, Any]:
    """Runs and what nobody used against the instances, exactly; every part against the ticking clock."""
    hosts = sessions = unequal = 0
    furthest = Fraction(0)
    for seed in range(first, first + worlds):
        world = random_world(random.Random(seed))
        bills = bill_hosts(world.sessions, PriceBook(on_demand=TYPES, spot=world))
        runs = sum((cost_of_bills(bills, run_id=run).usd for run in RUNS), Decimal(0))
        nobody = sum((bill.charged.unallocated.total for bill in bills), Decimal(0))
        unequal += runs + nobody != sum((bill.usd for bill in bills), Decimal(0))
        furthest = max(furthest, *(_distance(world, bill) for bill in bills))
        hosts += len(bills)
        sessions += len(world.sessions)
    return {
        "worlds": worlds,
        "first_seed": first,
        "hosts": hosts,
        "sessions": sessions,
        "worlds_in_which_runs_and_unallocated_are_not_the_instances": unequal,
        "furthest_from_the_ticking_clock_usd": f"{float(furthest):.1e}",
    }


def _distance(world: World, bill: Any) -> Fraction:
    whole, parts = ticking_cost(world, bill)
    pairs = zip(bill.life.sessions, bill.charged.sessions, strict=True)
    return max(
        abs(Fraction(bill.usd) - whole),
        *(abs(Fraction(usd) - parts[session.session_id]) for session, usd in pairs),
    )


def look_at_a_large_run() -> dict[str, Any]:
    """How long the controller's question takes: two workers on each of many hosts."""
    sessions = [worker(f"w{n}", n % 50, 200, instance_id=f"i-{n // 2}", alive=n % 3 == 0) for n in range(FLEET)]
    book = PriceBook(on_demand=LISTED, spot=FixedPrices(SIX_CENTS))
    started = time.perf_counter()
    running_cost(sessions, run_id="A", book=book, now=NOON + timedelta(minutes=200))
    return {"sessions": FLEET, "running_cost_s": round(time.perf_counter() - started, 2)}


def main() -> int:
    worlds = int(sys.argv[1]) if len(sys.argv) > 1 else WORLDS
    golden = golden_results()
    random_ones = conservation(worlds, int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    publish("cost", {"golden": golden, "random": random_ones, "large_run": look_at_a_large_run()})
    wrong = [each["name"] for each in golden if each["wrong"]]
    exact = random_ones["worlds_in_which_runs_and_unallocated_are_not_the_instances"] == 0
    near = float(random_ones["furthest_from_the_ticking_clock_usd"]) < 1e-10
    print(f"golden: {len(golden) - len(wrong)} of {len(golden)}{f', wrong: {wrong}' if wrong else ''}")
    print(f"random: {'exact' if exact else 'NOT exact'} in {worlds} worlds, {'near' if near else 'NOT near'} the clock")
    return 0 if not wrong and exact and near else 1


if __name__ == "__main__":
    sys.exit(main())
