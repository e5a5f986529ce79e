"""`spotproof resume`: let a run that paused at its budget go on, with a new budget and new workers."""

from decimal import Decimal
from typing import TYPE_CHECKING

import click

from spotproof.errors import InputError, RunConflictError, RunNotFoundError
from spotproof.leases.model import CapacityClass, Run, RunState
from spotproof_cli import exit_codes, names_given
from spotproof_cli.commands.submit import WORKERS_MAX
from spotproof_cli.global_options import SpotproofCommand
from spotproof_cli.parameter_types import USD
from spotproof_cli.services import Invocation

if TYPE_CHECKING:
    from spotproof.capacity.live_jobs import Submission
    from spotproof_cli.deployment import Deployment


@click.command(cls=SpotproofCommand, help="Let a paused run go on, with a budget of its own and new workers.")
@click.argument("run")
@click.option("--max-usd", "usd_max", type=USD, help="The run's new budget, what it has cost so far included.")
@click.option("--workers", type=click.IntRange(1, WORKERS_MAX), help="Workers to submit; default: as the run's first.")
@click.pass_context
def command(context: click.Context, *, run: str, usd_max: float | None, workers: int | None) -> int:
    """Make the run RUNNING in the table first: workers that start earlier would leave again."""
    call = Invocation(context)
    run_id = names_given.run_id(run)
    deployment = call.deployment
    stored = deployment.store.get_run(run_id)
    if stored is None:
        raise RunNotFoundError(f"no run {run_id} has been planned: list the runs with `spotproof status`")
    if stored.state is RunState.PAUSED:
        check_budget(call, stored, usd_max)
    elif usd_max is None and not stored.state.ended:
        raise RunConflictError(f"run {run_id} is {stored.state.value}, not PAUSED: only its budget can be set")
    resumed = deployment.store.resume_run(run_id, usd_max=usd_max)
    if resumed is None:
        raise RunConflictError(f"run {run_id} has ended already ({stored.state.value}): nothing to resume")
    job_id = _submit(call, stored, workers) if stored.state is RunState.PAUSED else None
    return _report(call, resumed, job_id)


def check_budget(call: Invocation, run: Run, usd_max: float | None) -> None:
    """Whether the run would not pause again at once.

    Raises:
        InputError: what it has cost is its budget already.
    """
    from spotproof_cli.run_costs import cost_reader

    budget = usd_max if usd_max is not None else run.budget_usd
    if budget is None:
        return
    spent = cost_reader(call.deployment, call.clock).running(run).usd
    if spent >= Decimal(str(budget)):
        raise InputError(f"run {run.run_id} has cost ${spent:.4f} already: give --max-usd more than that")


def _submit(call: Invocation, run: Run, workers: int | None) -> str | None:
    """New workers like the run's first ones; the id of their Batch job, None if nobody knows how to submit them."""
    from spotproof_cli.worker_jobs import WorkerJobs

    deployment = call.deployment
    like = _submission(deployment, run)
    if like is None:
        call.output.warn(
            f"no worker was submitted: Batch has forgotten how run {run.run_id} was; join it with "
            "`spotproof submit … --run`, with the same input, output and options"
        )
        return None
    jobs = WorkerJobs(batch=deployment.clients.batch, retrier=deployment.retrier, queues=deployment.names.all_queues)
    number = workers if workers is not None else min(like.workers, WORKERS_MAX)
    job_id = jobs.submit(
        run_id=run.run_id,
        job=run.job,
        definition=like.job_definition,
        workers=number,
        queue=_queue(deployment, like, job=run.job),
        parameters={**like.parameters, "run": run.run_id},
        tags=like.tags,
        share=like.share,
    )
    call.output.say(f"resumed run {run.run_id} with {number} workers (Batch job {job_id})")
    return job_id


def _submission(deployment: "Deployment", run: Run) -> "Submission | None":
    from spotproof.capacity.live_jobs import RunJobs

    if run.batch_job_id is None:
        return None
    queues = tuple(deployment.names.all_queues)
    jobs = RunJobs(batch=deployment.clients.batch, queues=queues, retrier=deployment.retrier)
    return jobs.submission_of(run.batch_job_id)


def _queue(deployment: "Deployment", like: "Submission", *, job: str) -> str:
    """The queue of the first workers, if it is still one of the deployment's."""
    name = like.job_queue.rpartition("/")[2]  # of an ARN
    return name if name in deployment.names.all_queues else deployment.names.queues_of(job)[CapacityClass.SPOT]


def _report(call: Invocation, run: Run, job_id: str | None) -> int:
    if call.output.is_json:
        fields = {"run": run.run_id, "state": run.state.value, "budget_usd": run.budget_usd, "batch_job": job_id}
        call.output.document(fields)
    else:
        budget = "no budget" if run.budget_usd is None else f"a budget of ${run.budget_usd:.2f}"
        call.output.line(f"{run.run_id} is {run.state.value}, with {budget}")
    return exit_codes.OK
