"""A million bad inputs over everything that reads what others wrote; none may crash, hang or eat memory.

Run: make fuzz (N=1000000 SEED=1), or python -m bench.fuzz --target NAME for one. The same seed gives the same inputs.
With --publish it writes bench/results/fuzz.json; the exit code is 1 if there is any finding.
"""

import argparse
import sys
from typing import Any, Final

from bench.fuzz.budget import inputs_by_target
from bench.fuzz.process import MEMORY_BYTES, run_alone
from bench.machine import publish
from tests.fuzz.targets import SURFACES

INPUTS: Final = 1_000_000


def main() -> int:
    asked = _parse()
    wanted = {
        surface: [each for each in make() if asked.target in (None, each.name)] for surface, make in SURFACES.items()
    }
    results = []
    for surface, counts in inputs_by_target(wanted, count=asked.inputs).items():
        for result in run_alone(surface, counts, seed=asked.seed):
            results.append(result)
            _show(result)
    if not results:
        print(f"no target is called {asked.target!r}", file=sys.stderr)
        return 2
    total = sum(result["inputs"] for result in results)
    findings = sum(len(result["findings"]) for result in results)
    print(f"{total:,} inputs over {len(results)} targets, seed {asked.seed}: {findings} findings", flush=True)
    if asked.publish:
        publish("fuzz", _summary(results, asked.seed, total, findings))
    return 1 if findings else 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=INPUTS, help="of all targets together")
    parser.add_argument("--seed", type=int, default=1, help="others give other inputs")
    parser.add_argument("--target", help="only this one")
    parser.add_argument("--publish", action="store_true", help="write bench/results/fuzz.json")
    asked = parser.parse_args()
    if asked.publish and asked.target:
        parser.error("--publish is for the whole: leave --target out")
    return asked


def _show(result: dict[str, Any]) -> None:
    counts = " ".join(f"{result.get(name, 0):>8,} {name}" for name in ("inputs", "accepted", "refused", "ways"))
    print(f"{result['target']:22}{counts}  slowest {result.get('slowest_ms', 0):8.1f} ms", flush=True)
    for finding in result["findings"]:
        print(f"  FOUND input {finding['number']}: {finding['error']} at {finding['place']}\n    {finding['shown']}")


def _summary(results: list[dict[str, Any]], seed: int, total: int, findings: int) -> dict[str, Any]:
    return {
        "seed": seed,
        "inputs": total,
        "targets": len(results),
        "findings": findings,
        "memory_limit_mib": MEMORY_BYTES // 2**20,
        "memory_grown_mib_max": max(result.get("memory_grown_mib", 0) for result in results),
        "slowest_ms": max(result.get("slowest_ms", 0) for result in results),
        "by_target": results,
    }


if __name__ == "__main__":
    sys.exit(main())
