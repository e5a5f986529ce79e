"""Runs the cases, prints the table, adds them to bench/results/checkpoint.json; exit code 1 if a claim is broken."""

import argparse
import json
import sys
from typing import Any

from bench.checkpoint.claims import judge
from bench.checkpoint.endpoints import SERVERS, open_bench
from bench.checkpoint.rounds import Rounds
from bench.checkpoint.table import print_table
from bench.machine import RESULTS, facts


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.checkpoint", description=__doc__)
    parser.add_argument("--server", choices=SERVERS, default="null")
    parser.add_argument("--tracker", choices=("pagemap", "compare"), default="pagemap")
    parser.add_argument("--size-mib", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5, help="that count; one more warms up")
    chosen = parser.parse_args()
    with open_bench(chosen.server) as bench:
        result = Rounds(bench, tracker=chosen.tracker, size_bytes=chosen.size_mib * 2**20).run(chosen.rounds)
    print_table(result)
    # The claims are about 1 GiB in memory at the null server; other endpoints are reported as they are.
    broken = judge(result, chosen.tracker) if chosen.server == "null" else []
    publish({**result, "machine": facts(), "broken_claims": broken})
    for each in broken:
        print(f"BROKEN: {each}")
    return 1 if broken else 0


def publish(result: dict[str, Any]) -> None:
    """One entry for each server and tracker: the newest run whole, and the medians of all runs, so that none is picked."""
    path = RESULTS / "checkpoint.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    name = f"{result['server']}, {result['tracker']}"
    runs = [*known.get(name, {}).get("runs", []), medians(result)]
    known[name] = {**result, "runs": runs}
    RESULTS.mkdir(exist_ok=True)
    path.write_text(json.dumps(dict(sorted(known.items())), indent=1) + "\n")


def medians(result: dict[str, Any]) -> dict[str, Any]:
    """What one run is compared with others by: how many times faster than boto3, and CPU milliseconds of stall per GiB."""
    saves = result["saves"]
    return {
        "times_faster": {name: each["times_faster"]["median"] for name, each in saves.items()},
        "restore_times_faster": result["restore"]["times_faster"]["median"],
        "stall_cpu_ms_per_gib": {name: each["stall_cpu_ms_per_gib"]["median"] for name, each in saves.items()},
        "load_average": result["machine"]["load_average"][0],
    }


if __name__ == "__main__":
    sys.exit(main())
