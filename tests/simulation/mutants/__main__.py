"""`make mutants`: every planted bug must be caught by the simulation, and the code without them must not be."""

import argparse
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.simulation.mutants.copies import PatchRefusedError, copy_code, copy_of
from tests.simulation.mutants.patch import Mutant, all_mutants

SEEDS: Final = 500
AT_ONCE: Final = 2
HEALTHY: Final = Mutant(name="(none)", bug="the code as it is", caught_by=frozenset(), diff="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How one mutant fared. `seed`: which caught it; None if none did."""

    mutant: Mutant
    seed: int | None
    invariant: str
    words: str
    seconds: float

    @property
    def passed(self) -> bool:
        """Caught for the right reason; the healthy code: not at all."""
        if self.mutant is HEALTHY or not self.mutant.caught_by:
            return self.seed is None and not self.words
        return self.invariant in self.mutant.caught_by

    def told(self) -> str:
        outcome = f"seed {self.seed}: {self.invariant}" if self.seed is not None else "survived"
        failed = "" if self.passed else f"   FAILED: {self._why()}"
        return f"{self.mutant.name:<44} {outcome:<24} {self.seconds:6.1f} s{failed}"

    def _why(self) -> str:
        if self.mutant.caught_by and self.seed is not None:
            return f"expected {sorted(self.mutant.caught_by)}, not: {self.words}"
        return self.words or self.mutant.bug


def main(argv: Sequence[str] | None = None) -> int:
    """0: every mutant was caught by the checker it was made for; 1: one was not, or its patch does not fit."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("names", nargs="*", help="only these (all, and the healthy code)")
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"so many at most ({SEEDS})")
    arguments = parser.parse_args(argv)
    mutants = [HEALTHY, *all_mutants()]
    chosen = [each for each in mutants if not arguments.names or each.name in arguments.names]
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="spotproof-mutants-") as folder:
        verdicts = _judge(chosen, Path(folder), arguments.seeds)
    failed = sum(not verdict.passed for verdict in verdicts)
    print(f"{len(verdicts)} versions of the code, {failed} failed, {time.perf_counter() - started:.1f} s")
    return 1 if failed or not verdicts else 0


def _judge(mutants: Sequence[Mutant], folder: Path, seeds: int) -> list[Verdict]:
    base = folder / "base"
    copy_code(base)
    verdicts = []
    with ProcessPoolExecutor(AT_ONCE, mp_context=multiprocessing.get_context("fork")) as pool:
        judged = [pool.submit(judge, mutant, base=base, seeds=seeds) for mutant in mutants]
        try:
            for done in as_completed(judged):
                verdict = done.result()
                print(verdict.told(), flush=True)
                verdicts.append(verdict)
        finally:
            pool.shutdown(cancel_futures=True)
    return verdicts


def judge(mutant: Mutant, *, base: Path, seeds: int) -> Verdict:
    """Run the mutant's own copy of the code until a seed catches it."""
    started = time.perf_counter()
    place = base.parent / f"mutant {mutant.name}"
    try:
        found = _hunt(copy_of(base, place, mutant.diff), seeds)
    except PatchRefusedError as error:
        found = {"seed": None, "invariant": "", "words": f"the patch does not apply: {error}"}
    shutil.rmtree(place, ignore_errors=True)
    return Verdict(mutant=mutant, seconds=time.perf_counter() - started, **found)


def _hunt(copy: Path, seeds: int) -> dict[str, Any]:
    environment = {**os.environ, "PYTHONPATH": str(copy), "TMPDIR": str(copy)}
    environment.pop("PYTHONPYCACHEPREFIX", None)  # the byte code lies beside the copied sources
    command = [sys.executable, "-m", "simulation.hunt", "--seeds", str(seeds)]
    ran = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode:
        return {"seed": None, "invariant": "", "words": f"it does not even run: {ran.stderr.strip()[-500:]}"}
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


if __name__ == "__main__":
    sys.exit(main())
