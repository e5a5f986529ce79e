"""`spotproof status`: what a run is doing, or which runs there are."""

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING

import click

from spotproof import contract
from spotproof.clock import to_epoch_ms
from spotproof.errors import RunNotFoundError
from spotproof.leases.model import Run, RunId
from spotproof_cli import exit_codes, names_given
from spotproof_cli.global_options import SpotproofCommand
from spotproof_cli.parameter_types import SECONDS
from spotproof_cli.services import Invocation

if TYPE_CHECKING:
    from spotproof_cli.deployment import Deployment
    from spotproof_cli.run_view import RunReader
    from spotproof_cli.waiting_workers import WaitingExplainer
    from spotproof_cli.worker_jobs import WorkerJobs

LIMIT_DEFAULT = 20
DECISIONS_SHOWN = 5  # the newest; `spotproof history` shows all
_PLAN_PAGES_MAX = 20  # of 1000 objects


@click.command(cls=SpotproofCommand, help="Show a run's shards, workers and interruptions; without RUN, list the runs.")
@click.argument("run", required=False)
@click.option("--limit", type=click.IntRange(1, 1000), default=LIMIT_DEFAULT, show_default=True, help="Runs to list.")
@click.option("--wait", is_flag=True, help="Wait until the run has ended; the exit code tells how.")
@click.option("--timeout", "timeout_s", type=SECONDS, help="With --wait: give up waiting after so many seconds.")
@click.option("--exit-code", is_flag=True, help="Exit with the run's state: 0, 100, 101, 103; otherwise 0.")
@click.pass_context
def command(
    context: click.Context, *, run: str | None, limit: int, wait: bool, timeout_s: float | None, exit_code: bool
) -> int:
    """Show one run, follow it, or list them."""
    if timeout_s is not None and not wait:
        raise click.UsageError("--timeout needs --wait", context)
    if run is None and (wait or exit_code):
        raise click.UsageError("--wait and --exit-code need RUN", context)
    call = Invocation(context)
    if run is None:
        return _list(call, limit)
    run_id = names_given.run_id(run)
    if wait:
        return wait_for(call, run_id, job_ids=(), timeout_s=timeout_s)
    code = show(call, run_id, run_reader(call), explainer(call))
    return code if exit_code else exit_codes.OK


def show(call: Invocation, run_id: RunId, reader: "RunReader", waiting_explainer: "WaitingExplainer") -> int:
    """Print one reading of the run; the code of its state.

    Raises:
        RunNotFoundError: neither a run nor a Batch job of it exists.
    """
    from spotproof_cli.history_view import history_fields, print_decisions
    from spotproof_cli.run_reports import print_unplanned, print_view, view_fields

    deployment = call.deployment
    run = deployment.store.get_run(run_id)
    found = [] if run is not None and run.state.ended else worker_jobs(deployment).of_run(run_id)
    waiting = waiting_explainer.of(found)
    if run is None:
        if not found:
            raise RunNotFoundError(f"no run {run_id}, and no Batch job of it: list the runs with `spotproof status`")
        print_unplanned(call.output, run_id, found, waiting)
        return exit_codes.RUN_NOT_FINISHED
    view = reader.view(run, details=True)
    decisions = list(deployment.store.history(run_id))[-DECISIONS_SHOWN:]
    if call.output.is_json:
        call.output.document({**view_fields(view, waiting), "decisions": [history_fields(each) for each in decisions]})
    else:
        print_view(call.output, view, waiting, now_ms=to_epoch_ms(call.clock.now()))
        print_decisions(call.output, decisions)
    return exit_codes.of_run(run.state)


def wait_for(call: Invocation, run_id: RunId, *, job_ids: Sequence[str], timeout_s: float | None) -> int:
    """Follow the run to its end, print its last reading, and return the code of how it ended."""
    from spotproof_cli.following import Follower
    from spotproof_cli.progress import progress_display

    deployment = call.deployment
    display = progress_display(call.output, call.clock)
    reader, told = run_reader(call), explainer(call)
    follower = Follower(
        reader=reader,
        jobs=worker_jobs(deployment),
        explainer=told,
        clock=call.clock,
        display=display,
    )
    attach = f"re-attach with: spotproof status {run_id} --wait"
    try:
        ending = follower.until_ended(run_id, job_ids=job_ids, timeout_s=timeout_s)
    except KeyboardInterrupt:
        display.close()
        call.output.say(f"the run goes on; {attach}")
        return exit_codes.INTERRUPTED
    finally:
        display.close()
    if ending.code == exit_codes.WAIT_TIMED_OUT:
        call.output.error(f"run {run_id}: {ending.reason}; the run goes on; {attach}")
    elif ending.code != exit_codes.OK:
        call.output.error(f"run {run_id} {_ended_words(ending.code)}{f': {ending.reason}' if ending.reason else ''}")
    if ending.run is not None:
        show(call, run_id, reader, told)
    return ending.code


def run_reader(call: Invocation) -> "RunReader":
    """A reader of the deployment's runs."""
    from spotproof_cli.run_view import RunReader

    return RunReader(store=call.deployment.store, clock=call.clock)


def worker_jobs(deployment: "Deployment") -> "WorkerJobs":
    """The Batch jobs of this deployment's queues."""
    from spotproof_cli.worker_jobs import WorkerJobs

    return WorkerJobs(batch=deployment.clients.batch, retrier=deployment.retrier, queues=deployment.names.all_queues)


def explainer(call: Invocation) -> "WaitingExplainer":
    """Who tells why workers of this deployment wait."""
    from spotproof_cli.waiting_workers import waiting_explainer

    return waiting_explainer(call.deployment, call.clock, call.output.warn)


def recent_run_ids(deployment: "Deployment") -> list[RunId]:
    """Run ids by the time of their newest plan, newest first."""
    planned_at: dict[str, float] = {}
    token: dict[str, str] = {}
    for _ in range(_PLAN_PAGES_MAX):
        answer = deployment.retrier.call(
            "listing runs",
            deployment.clients.s3.list_objects_v2,
            Bucket=deployment.names.work_bucket,
            Prefix=contract.RUNS_PREFIX,
            **token,
        )
        for item in answer.get("Contents", []):
            run_id = item["Key"].removeprefix(contract.RUNS_PREFIX).partition("/")[0]
            planned_at[run_id] = max(planned_at.get(run_id, 0.0), item["LastModified"].timestamp())
        if not answer.get("NextContinuationToken"):
            break
        token = {"ContinuationToken": answer["NextContinuationToken"]}
    return [RunId(run_id) for run_id in sorted(planned_at, key=lambda each: (-planned_at[each], each))]


def _list(call: Invocation, limit: int) -> int:
    from spotproof_cli.run_reports import print_runs

    deployment = call.deployment
    ids = dict.fromkeys([*deployment.store.active_runs(), *recent_run_ids(deployment)])
    runs = [run for run in map(deployment.store.get_run, islice(ids, limit)) if run is not None]
    runs.sort(key=lambda run: run.created_at, reverse=True)
    jobs = [job for job in worker_jobs(deployment).active() if not _known(deployment, runs, job.run_id)]
    submitted = {job.run_id: [each for each in jobs if each.run_id == job.run_id] for job in jobs}
    print_runs(call.output, runs, submitted)
    return exit_codes.OK


def _known(deployment: "Deployment", runs: Sequence[Run], run_id: str) -> bool:
    return any(run.run_id == run_id for run in runs) or deployment.store.get_run(RunId(run_id)) is not None


def _ended_words(code: int) -> str:
    return "was cancelled" if code == exit_codes.RUN_CANCELLED else "failed"
