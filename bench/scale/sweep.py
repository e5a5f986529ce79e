"""python -m bench.scale.sweep: what each choice costs and brings, one changed at a time.

Half of a fleet of 500 is reclaimed within ten seconds, every second host without notice, while 5,000 shards of 30 s are
worked on, so that a hundred shards are leased again while hundreds of workers look. Ten shards a worker make what a worker
costs by itself (its end above all) weigh ten times as much as with a hundred.
"""

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any, Final

from bench.machine import RESULTS, facts
from bench.scale.__main__ import play
from bench.scale.scenario import INTERVAL_S, Scenario, Spot, Storm
from spotproof.leases.model import RunOptions
from spotproof.worker import idle, leasing

BASE: Final = Scenario(
    name="as chosen",
    shards=5_000,
    workers=500,
    storms=(Storm(at_s=200.0, share=0.5, window_s=10.0),),
    spot=Spot(unannounced=0.5),
)
SHOWN: Final = (
    "requests_per_shard",
    "write_units_per_shard",
    "read_units_per_shard",
    "usd_per_million_shards",
    "conflicts_per_shard",
    "throttled_per_shard",
    "claim_p99_ms",
    "leased_again",
    "claimable_wait_p50_s",
    "claimable_wait_max_s",
    "leased_again_after_capacity_is_back_max_s",
    "behind_ideal_queue_p99_s",
    "hottest_partition_writes_per_s",
    "hottest_partition_by_writes",
    "hottest_partition_reads_per_s",
    "hottest_partition_by_reads",
    "end_announced_after_last_commit_s",
    "per_worker_hour_usd",
    "redone_share",
    "last_commit_s",
    "worker_s",
    "done_twice",
    "cpu_s",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The base with something changed."""

    name: str
    options: RunOptions = field(default_factory=RunOptions)
    partitions: tuple[int, int] | None = None
    constants: tuple[tuple[ModuleType, str, float], ...] = ()

    @property
    def scenario(self) -> Scenario:
        options = replace(self.options, checkpoint_interval_s=INTERVAL_S)
        return replace(BASE, name=self.name, options=options, partitions=self.partitions)


CHOICES: Final = (
    Choice(name="as chosen"),
    *(Choice(name=f"k={k}", partitions=(k, 10)) for k in (1, 10)),
    *(Choice(name=f"buckets={buckets}", partitions=(40, buckets)) for buckets in (1,)),
    *(Choice(name=f"ttl={ttl:g}", options=RunOptions(ttl_s=ttl, heartbeat_s=ttl / 3)) for ttl in (30.0, 180.0)),
    *(Choice(name=f"poll={poll:g}", options=RunOptions(poll_s=poll)) for poll in (1.0, 5.0)),
    *(Choice(name=f"spare={s:g}", constants=((idle, "SPARE_S", s),)) for s in (0.0, 600.0)),
    *(Choice(name=f"back-off={b:g}", constants=((idle, "BACKOFF_MAX", b),)) for b in (1.0,)),
    *(Choice(name=f"read={n}", constants=((leasing, "CANDIDATES_READ", n),)) for n in (12,)),
    Choice(name="everybody tries", constants=((leasing, "TRY_SHARE_DOUBLINGS", 0),)),
    Choice(name="all try after 4 s", constants=((leasing, "TRY_SHARE_DOUBLES_MS", 500),)),
)


@contextmanager
def changed(constants: tuple[tuple[ModuleType, str, float], ...]) -> Iterator[None]:
    before = [getattr(module, name) for module, name, _ in constants]
    for module, name, value in constants:
        setattr(module, name, value)
    try:
        yield
    finally:
        for (module, name, _), value in zip(constants, before, strict=True):
            setattr(module, name, value)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.scale.sweep", description=__doc__)
    parser.add_argument("--only", action="append", help="choices whose names begin so; default all")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    path = RESULTS / "scale-sweep.json"
    runs: dict[str, Any] = json.loads(path.read_text())["runs"] if path.exists() else {}
    for choice in CHOICES:
        if given.only and not choice.name.startswith(tuple(given.only)):
            continue
        with changed(choice.constants):
            numbers = play(choice.scenario, seed=given.seed)
        runs[choice.name] = {name: numbers[name] for name in SHOWN}
        print(choice.name, runs[choice.name], flush=True)
        path.write_text(json.dumps({"machine": facts(), "seed": given.seed, "runs": runs}, indent=1) + "\n")


if __name__ == "__main__":
    main()
