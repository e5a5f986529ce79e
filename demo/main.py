"""`make demo` from beginning to end."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Final

from demo.adversary import Adversary
from demo.controls import LocalControls
from demo.data import DemoData, flights_archive, prepare, read_csv
from demo.deployment import ROOT, STATE_DIR, Stage, deploy, local_account, synthesize
from demo.famine import Famine
from demo.findings import Evidence, committed_shards, make_report
from demo.logbook import read_log
from demo.outputs import RunOutput
from demo.progress import Progress
from demo.reference import compute_reference
from demo.report import Report
from demo.runs import SHARDINGS, RunSpec, RunWatch, submit
from demo.schedule import plan_steps
from demo.shard_usage import ShardUsageSummary, summarize_usage
from demo.snapshot import Snapshot
from demo.starvation import StarvationReport, Starved, judge_starvation
from demo.statistics import DelayStatistics
from demo.summary import hit_line, show
from demo.traces import keep_traces
from demo.zombie import is_commit_refused, paused_worker, what_it_noticed
from localcloud.errors import LocalcloudError
from spotproof.clock import Clock, SystemClock
from spotproof.errors import SpotproofError
from spotproof.leases.model import RunId
from spotproof_cli.game_day.log_entries import LogEntry

WORKERS: Final = 8
LIMIT_S: Final = 240.0
ZOMBIE_LIMIT_S: Final = 20.0
# The worker waits this long for each flight, so that the run lasts long enough to be interrupted many times.
PACE_S: Final = 0.0003
DISTURBED_OPTIONS: Final = {
    "pace_s": f"{PACE_S:.4f}",
    "checkpoint_interval_s": "1",
    "ttl_s": "7",
    "heartbeat_s": "2",
    "poll_s": "0.5",
    "hint_s": "4",
}
# Without its ten minutes of patience, the run asks for on-demand workers as soon as somebody looks.
STARVED_WORKERS: Final = 3
STARVED_OPTIONS: Final = {**DISTURBED_OPTIONS, "fallback_after_s": "2"}
UNDISTURBED_OPTIONS: Final = {"poll_s": "0.5"}


@dataclass(frozen=True, kw_only=True)
class Demo:
    """The demo on a deployed stage."""

    stage: Stage
    progress: Progress
    clock: Clock
    seed: int
    shard_by: str
    data: DemoData
    expected: DelayStatistics

    def play(self) -> Report:
        """All runs, the adversary, the famine, and the report.

        Raises:
            SpotproofError: a run did not end.
        """
        self.upload()
        undisturbed, undisturbed_s, usage = self.run_undisturbed()
        report = self.run_disturbed(undisturbed, undisturbed_s, usage)
        return replace(report, starvation=self.run_starved(undisturbed))

    def upload(self) -> None:
        """Put the input into the data bucket."""
        s3, bucket = self.stage.deployment.clients.s3, self.stage.deployment.names.data_bucket
        for file in self.data.files:
            s3.put_object(Bucket=bucket, Key=f"flights/{file.name}", Body=file.read_bytes())
        mib = self.data.size_bytes / 2**20
        self.progress.say(
            f"uploaded {self.expected.flights:,} flights: {len(self.data.files)} Parquet files, {mib:.1f} MiB"
        )

    def spec(self, name: str, options: Mapping[str, str], *, workers: int) -> RunSpec:
        """A run over the flights."""
        bucket = self.stage.deployment.names.data_bucket
        return RunSpec(
            run_id=RunId(name),
            input_uri=f"s3://{bucket}/flights/",
            output_uri=f"s3://{bucket}/delays/{name}/",
            shard_by=SHARDINGS[self.shard_by],
            workers=workers,
            options=dict(options),
        )

    def run_undisturbed(self) -> tuple[RunOutput, float, ShardUsageSummary]:
        """The run that nobody disturbs: its output is what every other run must give."""
        watch = self._submit("undisturbed", UNDISTURBED_OPTIONS)
        started = self.clock.monotonic()
        watch.wait(limit_s=LIMIT_S)
        took_s = self.clock.monotonic() - started
        usage = summarize_usage(self._log(watch))
        self.progress.say(f"undisturbed run complete after {took_s:.1f} s")
        return watch.output(), took_s, usage

    def run_disturbed(self, undisturbed: RunOutput, undisturbed_s: float, usage: ShardUsageSummary) -> Report:
        """The same job while the adversary takes its workers away."""
        started_at, started = self.clock.now().timestamp(), self.clock.monotonic()
        watch = self._submit("disturbed", DISTURBED_OPTIONS)
        adversary = Adversary(steps=plan_steps(self.seed), controls=LocalControls(self.stage.cloud), clock=self.clock)
        trial = ZombieTrial(watch)

        def look(snapshot: Snapshot) -> None:
            hit = adversary.act(snapshot)
            if hit is not None:
                self.progress.say(hit_line(hit, started_at=started_at)[1].strip(), style="dim")
            trial.judge(adversary)

        try:
            watch.wait(limit_s=LIMIT_S, on_look=look)
        finally:
            adversary.resume_zombie()
        trial.judge(adversary)
        run_s = self.clock.monotonic() - started
        self.progress.say(f"disturbed run complete after {run_s:.1f} s; checking")
        entries = self._log_with_zombie(watch, adversary)
        snapshot = watch.snapshot()
        assert snapshot is not None
        output = watch.output()
        manifest, cost = read_manifest(output.success)
        return make_report(
            Evidence(
                seed=self.seed,
                run=watch.run(),
                snapshot=snapshot,
                entries=entries,
                hits=adversary.hits,
                started_at=started_at,
                run_s=run_s,
                undisturbed_s=undisturbed_s,
                output=output,
                undisturbed_output=undisturbed,
                manifest=manifest,
                cost=cost,
                expected=self.expected,
                replay_refused=trial.refused,
                workers=WORKERS,
                usage=usage,
            )
        )

    def run_starved(self, undisturbed: RunOutput) -> StarvationReport:
        """The same job once more, while Spot has no capacity for a while."""
        started_at, started = self.clock.now().timestamp(), self.clock.monotonic()
        watch = self._submit("starved", STARVED_OPTIONS, workers=STARVED_WORKERS)
        famine = Famine(controls=LocalControls(self.stage.cloud), clock=self.clock, say=self.progress.say)
        try:
            watch.wait(limit_s=LIMIT_S, on_look=famine.act)
        finally:
            famine.end()
        run_s = self.clock.monotonic() - started
        self.progress.say(f"starved run complete after {run_s:.1f} s; checking")
        snapshot = watch.snapshot()
        assert snapshot is not None
        output = watch.output()
        return judge_starvation(
            Starved(
                run=watch.run(),
                shards=snapshot.shards,
                sessions=list(snapshot.sessions.values()),
                committed_in_log=committed_shards(self._log(watch)),
                famine=famine,
                history=watch.history(),
                undisturbed=undisturbed.digests(),
                published=output.digests(),
                cost=read_manifest(output.success)[1],
                started_at=started_at,
                run_s=run_s,
            )
        )

    def _submit(self, name: str, options: Mapping[str, str], *, workers: int = WORKERS) -> RunWatch:
        spec = self.spec(name, options, workers=workers)
        job_id = submit(self.stage, spec)
        self.progress.say(f"submitted run {name!r} with `aws batch submit-job`: {workers} workers, job {job_id[:8]}")
        return RunWatch(stage=self.stage, spec=spec, clock=self.clock)

    def _log(self, watch: RunWatch) -> list[LogEntry]:
        return read_log(self.stage.deployment.clients.logs, run=watch.spec.run_id)

    def _log_with_zombie(self, watch: RunWatch, adversary: Adversary) -> list[LogEntry]:
        """The run's log, once the paused worker has had its say."""
        deadline = self.clock.monotonic() + ZOMBIE_LIMIT_S
        while True:
            entries = self._log(watch)
            paused = paused_worker(adversary.hits)
            if paused is None or paused[1] is None or self.clock.monotonic() > deadline:
                return entries
            if what_it_noticed(entries, paused[0], resumed_at=paused[1]) is not None:
                return entries
            self.clock.sleep(0.5)


@dataclass
class ZombieTrial:
    """Tries the paused worker's commit once, right after its shard went to another."""

    watch: RunWatch
    refused: bool = False
    tried: bool = False

    def judge(self, adversary: Adversary) -> None:
        """Do it if the time has come."""
        paused = paused_worker(adversary.hits)
        if self.tried or paused is None or paused[1] is None:
            return
        self.tried = True
        self.refused = is_commit_refused(self.watch.stage.deployment.store, self.watch.run(), paused[0])


def read_manifest(success: bytes | None) -> tuple[dict[str, str], dict[str, Any]]:
    """Names with hashes, and the cost, from `_SUCCESS`; both empty if there is none."""
    if success is None:
        return {}, {}
    manifest = json.loads(success)
    files = {file["name"]: file["sha256"] for shard in manifest["shards"] for file in shard["files"]}
    return files, manifest.get("cost") or {}


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit 0 if every promise holds, 1 if not, 3 if the demo could not be played."""
    given = _parse(arguments)
    from rich.console import Console

    clock = SystemClock()
    progress = Progress(console=Console(highlight=False), clock=clock, started=clock.monotonic())
    try:
        report = play(given.seed, given.shard_by, progress, clock)
    except (SpotproofError, LocalcloudError) as error:
        print(f"demo failed (seed {given.seed}): {error}", file=sys.stderr)
        print(f"the logs are in {STATE_DIR.relative_to(ROOT)}/", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print("\nstopped; everything that was started is gone", file=sys.stderr)
        return 130
    show(report, progress.console)
    return 0 if report.holds else 1


def play(seed: int, shard_by: str, progress: Progress, clock: Clock) -> Report:
    """Set the stage and play; the local account is gone afterwards."""
    progress.say(f"starting a local account; synthesizing the stacks; preparing real flights (seed {seed})")
    with ThreadPoolExecutor(max_workers=1) as beside:
        assembly = beside.submit(synthesize)
        with local_account(seed=seed) as running:
            progress.say(f"local account at {running.endpoint}")
            archive = flights_archive()
            data = prepare(archive, ROOT / ".build" / "demo-data")
            expected = compute_reference(read_csv(archive))
            stage = deploy(running, assembly.result(), clock=clock)
            progress.say("deployed with the CDK command line")
            demo = Demo(
                stage=stage,
                progress=progress,
                clock=clock,
                seed=seed,
                shard_by=shard_by,
                data=data,
                expected=expected,
            )
            try:
                return demo.play()
            finally:
                keep_traces(stage, STATE_DIR)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="what the adversary does, and the market")
    parser.add_argument("--shard-by", choices=sorted(SHARDINGS), default="time")
    return parser.parse_args(arguments)
