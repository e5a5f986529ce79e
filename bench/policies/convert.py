"""Turns spot-traces into our format: how bench/policies/sample was made.

Run: python -m bench.policies.convert --traces PATH --into DIRECTORY [--hours 336] [--only NAME ...]
"""

import argparse
from pathlib import Path

from bench.policies.trace import read_traces, write_trace


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.policies.convert", description=__doc__)
    parser.add_argument("--traces", type=Path, required=True, help="a directory of spot-traces JSON")
    parser.add_argument("--into", type=Path, required=True)
    parser.add_argument("--hours", type=float, default=336, help="keep so much from the beginning")
    parser.add_argument("--only", nargs="*", default=[], help="names; all if none is given")
    chosen = parser.parse_args()
    chosen.into.mkdir(parents=True, exist_ok=True)
    for trace in read_traces(chosen.traces):
        if not chosen.only or trace.name in chosen.only:
            write_trace(trace.first(chosen.hours), chosen.into / f"{trace.kind}-{trace.name}.json")


if __name__ == "__main__":
    main()
