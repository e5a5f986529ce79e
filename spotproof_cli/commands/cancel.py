"""`spotproof cancel`: end a run early; what was committed stays, nothing is published."""

from typing import TYPE_CHECKING

import click

from spotproof.errors import AwsError, InputError, RunConflictError, RunNotFoundError
from spotproof.leases.model import Run, RunId
from spotproof.leases.requeue import Requeuer
from spotproof_cli import exit_codes, names_given
from spotproof_cli.commands.status import worker_jobs
from spotproof_cli.global_options import SpotproofCommand
from spotproof_cli.services import Invocation

if TYPE_CHECKING:
    from spotproof_cli.worker_jobs import WorkerJob, WorkerJobs

REASON_DEFAULT = "cancelled from the command line"
_REASON_MAX = 200


@click.command(cls=SpotproofCommand, help="Cancel a run and terminate its workers.")
@click.argument("run")
@click.option("--reason", default=REASON_DEFAULT, show_default=True, help="Kept with the run and shown by status.")
@click.pass_context
def command(context: click.Context, *, run: str, reason: str) -> int:
    """Cancel in the table first, so that no new lease is taken; then end the processes."""
    call = Invocation(context)
    run_id = names_given.run_id(run)
    if not reason or len(reason) > _REASON_MAX or not reason.isprintable():
        raise InputError(f"--reason must be 1 to {_REASON_MAX} printable characters")
    deployment = call.deployment
    jobs = worker_jobs(deployment)
    stored = deployment.store.get_run(run_id)
    found = [job for job in jobs.of_run(run_id) if not job.ended]
    if stored is None and not found:
        raise RunNotFoundError(f"no run {run_id}, and no active Batch job of it: list the runs with `spotproof status`")
    if not call.confirm(f"cancel run {run_id} with {sum(job.size for job in found)} workers?"):
        call.output.say("not cancelled")
        return exit_codes.OK
    cancelled = _cancel_in_table(call, run_id, reason)
    terminated = _terminate(call, jobs, found, reason)
    if cancelled is None:  # nobody had planned it; a worker may have done so just before it was terminated
        cancelled = _cancel_in_table(call, run_id, reason)
    return _report(call, run_id, cancelled, terminated)


def _cancel_in_table(call: Invocation, run_id: RunId, reason: str) -> Run | None:
    """The cancelled run; None if nobody has planned it.

    Raises:
        RunConflictError: it ended in another way.
    """
    store = call.deployment.store
    stored = store.get_run(run_id)
    if stored is None:
        return None
    cancelled = Requeuer(store).cancel_run(run_id, reason=reason)
    if cancelled is None:
        raise RunConflictError(f"run {run_id} has ended already ({stored.state.value}): nothing to cancel")
    return cancelled


def _terminate(call: Invocation, jobs: "WorkerJobs", found: "list[WorkerJob]", reason: str) -> int:
    """End the jobs; a job that can't be ended is named, and the others go on."""
    terminated = 0
    for job in found:
        try:
            jobs.terminate(job.job_id, reason=f"spotproof: {reason}")
            terminated += 1
        except AwsError as error:
            call.output.warn(f"{error}; its workers see the cancelled run by themselves and exit")
    return terminated


def _report(call: Invocation, run_id: RunId, run: Run | None, terminated: int) -> int:
    if call.output.is_json:
        state = run.state.value if run is not None else None
        call.output.document({"run": run_id, "state": state, "terminated_jobs": terminated})
    else:
        call.output.line(f"cancelled {run_id}; Batch jobs terminated: {terminated}")
    return exit_codes.OK
