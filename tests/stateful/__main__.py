"""The long run: `python -m tests.stateful --examples 1000 [--seed N] [--machine Leases]`."""

import argparse
import sys

from tests.stateful.campaign import LONG_RUN, STEPS, Campaign, run_campaign
from tests.stateful.machines import BUDGETS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.stateful", description=__doc__)
    names = [budget.machine.__name__ for budget in BUDGETS]
    parser.add_argument("--examples", type=int, default=LONG_RUN, help="histories of each machine")
    parser.add_argument("--steps", type=int, default=STEPS, help="steps of each history")
    parser.add_argument("--seed", type=int, help="other histories; without it the same ones every time")
    parser.add_argument("--machine", choices=names, action="append", help="only these")
    wanted = parser.parse_args()
    complete = True
    for budget in BUDGETS:
        if wanted.machine is None or budget.machine.__name__ in wanted.machine:
            campaign = run_campaign(
                budget.machine, examples=wanted.examples, steps=wanted.steps, first_seed=wanted.seed
            )
            show(campaign)
            complete = complete and not campaign.missing
    return 0 if complete else 1


def show(campaign: Campaign) -> None:
    sys.stdout.write(
        f"{campaign.machine}: {campaign.examples} histories, {campaign.seconds:.1f} s, no invariant broke\n"
    )
    for what, count in sorted(campaign.happened.items()):
        sys.stdout.write(f"  {count:7,} x {what}\n")
    for what in campaign.missing:
        sys.stdout.write(f"  never: {what}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
