"""`make gameday`: a local account, a run over real flights, and a game day on it, as a user would play it."""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from demo.data import DemoData, flights_archive, prepare
from demo.deployment import ROOT, Stage, StepFailedError, local_account, own_environment, stage_in, synthesize
from demo.progress import Progress
from demo.runs import JOB
from demo.traces import keep_traces
from localcloud.deploy import deploy
from localcloud.errors import LocalcloudError
from localcloud.state_dir import StateDir
from spotproof import contract
from spotproof.clock import Clock, SystemClock
from spotproof.errors import SpotproofError
from spotproof.process import leave

STATE_DIR: Final = ROOT / ".localcloud" / "gameday"
REPORTS: Final = ROOT / ".build" / "gameday"
WORKERS: Final = 6
TIMEOUT_S: Final = "240"  # a run takes half a minute; a busy machine many times as long
OPTIONS: Final = {
    "pace_s": "0.0003",  # the worker waits so long for each flight: there must be something to interrupt
    "checkpoint_interval_s": "1",
    "ttl_s": "7",
    "heartbeat_s": "2",
    "poll_s": "0.5",
    "hint_s": "4",
    "fallback_after_s": "10",
}


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """The stage of one game day."""

    stage: Stage
    progress: Progress

    def upload(self, data: DemoData) -> None:
        """Put the flights into the data bucket."""
        s3, bucket = self.stage.deployment.clients.s3, self.stage.deployment.names.data_bucket
        for file in data.files:
            s3.put_object(Bucket=bucket, Key=f"flights/{file.name}", Body=file.read_bytes())

    def spotproof(self, *arguments: str) -> int:
        """Run the `spotproof` command, its output on ours; its exit code."""
        self.progress.say(f"$ spotproof {' '.join(arguments)}", style="bold")
        command = [sys.executable, "-m", "spotproof_cli", *arguments]
        return subprocess.run(command, cwd=ROOT, env=dict(self.stage.environment), check=False).returncode

    def play(self, plan: str) -> int:
        """Submit, rehearse; the game day's exit code.

        Raises:
            StepFailedError: the run could not be submitted.
        """
        run_id, bucket = f"gameday-{plan}", self.stage.deployment.names.data_bucket
        options = [part for name, value in OPTIONS.items() for part in ("-o", f"{name}={value}")]
        submitted = self.spotproof(
            "submit", JOB, "--run", run_id, "--input", f"s3://{bucket}/flights/", "--workers", str(WORKERS),
            "--shard-by", "hash:flight:12", *options,
        )  # fmt: skip
        if submitted != 0:
            raise StepFailedError(f"spotproof submit ended with {submitted}")
        target = str((REPORTS / plan).relative_to(ROOT))
        return self.spotproof("gameday", run_id, "--plan", plan, "--yes", "--output", target, "--timeout", TIMEOUT_S)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit with the game day's code; 3 if it could not be played."""
    given = _parse(arguments)
    from rich.console import Console

    clock = SystemClock()
    progress = Progress(console=Console(highlight=False), clock=clock, started=clock.monotonic())
    try:
        return play(given.plan, given.seed, progress, clock)
    except (SpotproofError, LocalcloudError) as error:
        print(f"game day failed: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print("\nstopped; everything that was started is gone", file=sys.stderr)
        return 130


def play(plan: str, seed: int, progress: Progress, clock: Clock) -> int:
    """Set the stage and play; the local account is gone afterwards."""
    progress.say("starting a local account; synthesizing the stacks; preparing real flights")
    with ThreadPoolExecutor(max_workers=1) as beside:
        assembly = beside.submit(synthesize)
        with local_account(seed=seed, directory=STATE_DIR) as running:
            data = prepare(flights_archive(), ROOT / ".build" / "demo-data")
            deploy(running, assembly.result())
            progress.say("deployed")
            environment = {**own_environment(), **StateDir(STATE_DIR).client_environment(running)}
            rehearsal = Rehearsal(stage=stage_in(running, environment, clock=clock), progress=progress)
            try:
                rehearsal.upload(data)
                code = rehearsal.play(plan)
            finally:
                keep_traces(rehearsal.stage, STATE_DIR)
            progress.say(f"the game day ended with exit code {code}")
            return code


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="demo.game_day", description=__doc__)
    parser.add_argument("--plan", choices=tuple(contract.GAME_DAY_OUTPUTS), default=contract.GAME_DAY_INTERRUPT)
    parser.add_argument("--seed", type=int, default=1, help="of the Spot market, and of whom the experiment picks")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    leave(main())
