"""One surface in a process of its own: `python -m bench.fuzz.process SURFACE SEED TARGET=COUNT…`, a JSON line for each target.

The process may have MEMORY_BYTES above what it needs to start: more for one input is a finding (MemoryError). A process
that does not end in time is a hang of a kind that the CPU limit does not see, such as waiting.
"""

import json
import logging
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from tests.fuzz.campaign import play
from tests.fuzz.target import Target
from tests.fuzz.targets import SURFACES

MEMORY_BYTES: Final = 512 * 2**20
PATIENCE_S: Final = 1800.0  # for one process
KIB: Final = 1024


def run_alone(surface: str, counts: Mapping[str, int], *, seed: int) -> list[dict[str, Any]]:
    """The results of the surface's targets; a process that died or hangs is a finding too."""
    portions = [f"{name}={count}" for name, count in counts.items()]
    command = [sys.executable, "-m", "bench.fuzz.process", surface, str(seed), *portions]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    except subprocess.TimeoutExpired as error:
        return [*_results(error.stdout or b""), _broken(surface, f"it did not end within {PATIENCE_S:g} s")]
    except subprocess.CalledProcessError as error:
        died = f"its process ended with {error.returncode}: {error.stderr[-300:]}"
        return [*_results(error.stdout), _broken(surface, died)]
    return _results(done.stdout)


def _results(output: str | bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


def _broken(surface: str, what: str) -> dict[str, Any]:
    finding = {"number": 0, "error": what, "place": surface, "shown": "the target after the last one that was told"}
    return {"target": "a process", "surface": surface, "inputs": 0, "findings": [finding]}


def main(surface: str, seed: int, portions: Sequence[str]) -> None:
    logging.disable(logging.CRITICAL)  # a reader may log what it refuses, thousands of times
    targets = {target.name: target for target in SURFACES[surface]()}
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_mapped_bytes() + MEMORY_BYTES, hard))
    for portion in portions:
        name, _, count = portion.partition("=")
        print(json.dumps(_result(targets[name], surface, count=int(count), seed=seed)), flush=True)


def _result(target: Target, surface: str, *, count: int, seed: int) -> dict[str, Any]:
    before, started = _peak_bytes(), time.process_time()
    played = play(target, count=count, seed=seed)
    used_s = time.process_time() - started
    return {
        "target": target.name,
        "surface": surface,
        "inputs": played.inputs,
        "accepted": played.accepted,
        "refused": played.refused,
        "ways": played.ways,
        "inputs_per_cpu_s": round(played.inputs / max(used_s, 1e-9)),
        "slowest_ms": round(played.slowest_ms, 1),
        "memory_grown_mib": round((_peak_bytes() - before) / 2**20, 1),
        "findings": [{**asdict(finding), "inputs": played.found[place]} for place, finding in played.findings.items()],
    }


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIB


def _mapped_bytes() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[0]) * resource.getpagesize()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
