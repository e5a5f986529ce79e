"""The demo for ten seeds in a row: whether every claim holds each time, and how long it takes.

Run: python -m bench.seeds [first seed] [count]. Each game is `make demo SEED=...` as a user would type it.
"""

import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.machine import publish, spread

ROOT = Path(__file__).resolve().parent.parent
NUMBERS = {
    "redone_share_percent": re.compile(r"work done again .*\(([\d.]+) %\)"),
    "requests_per_shard": re.compile(r"table, per shard +([\d.]+) requests"),
    "write_units_per_shard": re.compile(r"([\d.]+) write units \(most"),
}


def play(seed: int) -> dict[str, Any]:
    started = time.perf_counter()
    done = subprocess.run(["make", "demo", f"SEED={seed}"], cwd=ROOT, capture_output=True, text=True, check=False)
    took_s = time.perf_counter() - started
    found = {name: pattern.search(done.stdout) for name, pattern in NUMBERS.items()}
    claims = [line.strip() for line in done.stdout.splitlines() if line.strip().startswith(("✓", "✗", "!"))]
    game = {
        "seed": seed,
        "exit_code": done.returncode,
        "wall_s": round(took_s, 1),
        "claims_held": sum(claim.startswith("✓") for claim in claims),
        "not_held": [claim for claim in claims if not claim.startswith("✓")],
        **{name: float(match[1]) if match else None for name, match in found.items()},
    }
    print(game, flush=True)
    if done.returncode != 0:
        print(done.stdout[-4000:] + done.stderr[-2000:], flush=True)
    return game


def main() -> None:
    first, count = (int(text) for text in (*sys.argv[1:], *("1", "10")[len(sys.argv) - 1 :]))
    games = [play(seed) for seed in range(first, first + count)]
    publish("seeds", {"wall_s": spread([game["wall_s"] for game in games]), "games": games})
    sys.exit(any(game["exit_code"] != 0 for game in games))


if __name__ == "__main__":
    main()
