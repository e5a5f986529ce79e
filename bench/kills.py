"""Real kills on the local account: at least 200 events on real worker processes over more than 20 runs.

Run: python -m bench.kills [runs] [first seed]. Each run goes through a storm that its seed fixes (tests/local/storm):
hosts lost to SIGKILL, scaled in with SIGTERM, workers that stand still until they are fenced, out of memory, without
disk, spot notices; and in most runs a function fails for a while, or the account's server stands still or is killed.
Claims: outputs identical to an undisturbed run's, byte for byte; every shard committed exactly once; zombies refused; a
notice's hand-back within a quarter of the window (p99); a kill costs one checkpoint interval and 5 s at most.
"""

import itertools
import sys
import tempfile
import time
from pathlib import Path

from bench.machine import publish
from spotproof.clock import SystemClock
from tests.local.storm.campaign import run_campaign
from tests.local.storm.plan import MIX, Trouble
from tests.local.storm.stage import INTERVAL_S, SCALE, TTL_S, opened_stage

RUNS = 21
TRACES = Path(__file__).resolve().parent.parent / ".build" / "storms"  # of runs that broke a promise
TROUBLES = (
    Trouble.THROTTLED,
    Trouble.NONE,
    Trouble.RAISING,
    Trouble.OUTAGE,
    Trouble.THROTTLED,
    Trouble.RESTART,
    Trouble.RAISING,
)


def main() -> None:
    runs, first = (int(text) for text in (*sys.argv[1:], *(str(RUNS), "1")[len(sys.argv) - 1 :]))
    storms = list(zip(range(first, first + runs), itertools.cycle(TROUBLES), strict=False))
    started = time.perf_counter()
    with (
        tempfile.TemporaryDirectory() as directory,
        opened_stage(Path(directory) / "state", seed=first, clock=SystemClock()) as stage,
    ):
        campaign = run_campaign(stage, storms, mix=MIX, traces=TRACES, say=lambda text: print(text, flush=True))
    scales = {"account_scale": SCALE, "notice_s": 120 / SCALE, "ttl_s": TTL_S, "checkpoint_interval_s": INTERVAL_S}
    publish("kills", {"wall_s": round(time.perf_counter() - started, 1), **scales, **campaign.report()})
    sys.exit(bool(campaign.broken))


if __name__ == "__main__":
    main()
