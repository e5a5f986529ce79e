"""`python -m simulation.hunt`: seeds in order until one breaks a promise; the end as one line of JSON."""

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from simulation.world import run_seed


def hunt(seeds: Iterable[int]) -> dict[str, Any]:
    """The first seed with a violation, and which; `seed` is None if all held."""
    for seed in seeds:
        outcome = run_seed(seed)
        for violation in outcome.violations:
            return {"seed": seed, "invariant": violation.invariant, "words": violation.words}
    return {"seed": None, "invariant": "", "words": ""}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m simulation.hunt", description=__doc__)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--seeds", type=int, required=True)
    arguments = parser.parse_args(argv)
    print(json.dumps(hunt(range(arguments.first, arguments.first + arguments.seeds))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
