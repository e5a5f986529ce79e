"""`spotproof submit`: plain Batch SubmitJob, with the parameters a person would give in the console."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from spotproof import contract
from spotproof.errors import AwsAccessError, AwsMissingError, ConfigurationError, InputError, RunConflictError
from spotproof.leases.model import CapacityClass, Run, RunId, RunState
from spotproof.shards.spec import parse_shard_by
from spotproof.worker.options import format_options, parse_options
from spotproof_cli import exit_codes, names_given, tags_given
from spotproof_cli.global_options import SpotproofCommand
from spotproof_cli.parameter_types import SECONDS, USD
from spotproof_cli.services import Invocation

if TYPE_CHECKING:
    from spotproof.worker.planning import RunRequest
    from spotproof_cli.deployment import Deployment

WORKERS_DEFAULT = 8
WORKERS_MAX = 10_000  # Batch's largest array


@click.command(cls=SpotproofCommand, help="Submit workers for a run of a job; the same run again joins it.")
@click.argument("job")
@click.option("--input", "input_uri", required=True, metavar="S3URI", help="Prefix or object to process.")
@click.option("--run", "run", metavar="ID", help="Run id; default: <job>-<UTC time>-<chance>.")
@click.option("--output", "output_uri", metavar="S3URI", help="Where outputs go; default: the data bucket.")
@click.option("--shard-by", metavar="TEXT", help="How to cut the input, e.g. size:64MiB; default: the job's own way.")
@click.option("--workers", type=click.IntRange(1, WORKERS_MAX), default=WORKERS_DEFAULT, show_default=True)
@click.option("--option", "-o", "pairs", multiple=True, metavar="K=V", help="Run option, or one of the job's own.")
@click.option("--max-usd", "usd_max", type=USD, help="Pause the run when it has cost so many dollars.")
@click.option(
    "--deadline", "deadline_s", type=SECONDS, help="Be done so many seconds after the run began, if need be on demand."
)
@click.option("--tag", "tag_pairs", multiple=True, metavar="K=V", help="Tag of the Batch jobs and their tasks.")
@click.option("--queue", type=click.Choice([each.value for each in CapacityClass]), default="spot", show_default=True)
@click.option("--share", metavar="NAME", help="Whose part of shared queues to take; a deployment says which there are.")
@click.option("--wait", is_flag=True, help="Wait until the run has ended; the exit code tells how.")
@click.option("--timeout", "timeout_s", type=SECONDS, help="With --wait: give up waiting after so many seconds.")
@click.pass_context
def command(
    context: click.Context,
    *,
    job: str,
    input_uri: str,
    run: str | None,
    output_uri: str | None,
    shard_by: str | None,
    workers: int,
    pairs: tuple[str, ...],
    usd_max: float | None,
    deadline_s: float | None,
    tag_pairs: tuple[str, ...],
    queue: str,
    share: str | None,
    wait: bool,
    timeout_s: float | None,
) -> int:
    """Check everything that can be checked here, submit, and wait if asked to."""
    if timeout_s is not None and not wait:
        raise click.UsageError("--timeout needs --wait", context)
    call = Invocation(context)
    job = names_given.job_name(job)
    options = run_options(pairs, usd_max=usd_max, deadline_s=deadline_s)
    parameters = job_parameters(input_uri=input_uri, output_uri=output_uri, shard_by=shard_by, options=options)
    tags = tags_given.tags(tag_pairs)
    run_id = (
        names_given.run_id(run) if run else names_given.new_run_id(job, call.clock.now(), call.services.ids.nonce())
    )
    deployment = call.deployment
    tags_given.check_required(tags, deployment.names.required_tags)
    definition = deployment.names.job_definition(job)
    share = check_share(share, deployment.names.shares)
    stored = deployment.store.get_run(run_id)
    if stored is not None:
        check_joinable(stored, job=job, parameters=parameters, data_bucket=deployment.names.data_bucket)
    if stored is not None and stored.state.ended:
        call.output.say(f"run {run_id} is {stored.state.value} already: nothing to submit")
        return _report(call, run_id, job_id=None, job=job, workers=0, queue=queue, parameters=parameters, joined=True)
    check_input(call, deployment, input_uri)

    from spotproof_cli.worker_jobs import WorkerJobs

    jobs = WorkerJobs(batch=deployment.clients.batch, retrier=deployment.retrier, queues=deployment.names.all_queues)
    job_id = jobs.submit(
        run_id=run_id,
        job=job,
        definition=definition,
        workers=workers,
        queue=deployment.names.queues_of(job)[CapacityClass(queue)],
        parameters={"run": run_id, **parameters},
        tags=tags,
        share=share,
    )
    verb = "joined" if stored is not None else "submitted"
    call.output.say(f"{verb} run {run_id} with {workers} workers (Batch job {job_id})")
    if wait:
        from spotproof_cli.commands.status import wait_for

        return wait_for(call, run_id, job_ids=(job_id,), timeout_s=timeout_s)
    call.output.say(f"follow it with: spotproof status {run_id} --wait")
    return _report(
        call,
        run_id,
        job_id=job_id,
        job=job,
        workers=workers,
        queue=queue,
        parameters=parameters,
        joined=stored is not None,
    )


def check_share(share: str | None, deployed: Sequence[str]) -> str:
    """The share to submit in; empty where queues are not shared.

    Raises:
        InputError: it is not one of the deployment's, or missing where there are some.
    """
    if share is not None and not deployed:
        raise InputError(
            "--share: this deployment's queues are not shared: leave it out, or deploy with -c fair_shares"
        )
    if deployed and share not in deployed:
        raise InputError(f"--share: give one of {', '.join(deployed)}, which share the queues, not {share or 'none'}")
    return share or ""


def run_options(pairs: tuple[str, ...], *, usd_max: float | None, deadline_s: float | None) -> dict[str, str]:
    """The run's options as names and values: `-o`, and the two that have an option of their own.

    Raises:
        InputError: a pair is malformed, or an option is given in both ways.
    """
    options = names_given.option_pairs(pairs)
    for option, name, value in (("--max-usd", "usd_max", usd_max), ("--deadline", "deadline_s", deadline_s)):
        if value is None:
            continue
        if name in options:
            raise InputError(f"{option} and -o {name} are the same option: give one of them")
        options[name] = f"{value:.15g}"
    return options


def job_parameters(
    *, input_uri: str, output_uri: str | None, shard_by: str | None, options: Mapping[str, str]
) -> dict[str, str]:
    """The parameters of the Batch job besides the run; "auto" lets the worker decide.

    Raises:
        InputError: one is malformed.
    """
    names_given.s3_uri(input_uri, option="--input")
    if output_uri is not None:
        names_given.s3_uri(output_uri, option="--output")
    try:
        parse_shard_by(shard_by or contract.AUTO)
    except ConfigurationError as error:
        raise InputError(f"--shard-by: {error}") from error
    return {
        "input": input_uri,
        "output": output_uri or contract.AUTO,
        "shard_by": shard_by or contract.AUTO,
        "options": format_options(options),
    }


def check_joinable(run: Run, *, job: str, parameters: dict[str, str], data_bucket: str) -> None:
    """Whether a submission means the same run as the stored one: the very comparison that each worker makes.

    Raises:
        RunConflictError: it has another job, input, output, sharding or options, or can't be joined any more.
    """
    from spotproof.worker.planning import RunRequest, choose_output_uri

    request = RunRequest(
        run_id=run.run_id,
        job=job,
        input_uri=parameters["input"],
        output_uri=choose_output_uri(parameters["output"], data_bucket=data_bucket, run_id=run.run_id),
        shard_by=parameters["shard_by"],
        options=parse_options(parameters["options"]),
        queue="",
        job_definition="",
    )
    if request.parameters_sha256 != run.parameters_sha256:
        raise RunConflictError(f"run {run.run_id} exists with {_difference(run, request)}: choose another --run")
    if run.state is RunState.PAUSED:
        raise RunConflictError(
            f"run {run.run_id} is paused, and workers that join it would leave: `spotproof resume {run.run_id}` lets it go on"
        )
    if run.state in (RunState.FAILED, RunState.CANCELLED):
        raise RunConflictError(f"run {run.run_id} is {run.state.value} and can't be joined: choose another --run")


def _difference(run: Run, request: "RunRequest") -> str:
    """The first difference that the run's row shows; the sharding is in its hash only."""
    stored = {"job": run.job, "input": run.input_uri, "output": run.output_uri}
    given = {"job": request.job, "input": request.input_uri, "output": request.output_uri}
    for name, value in stored.items():
        if value != given[name]:
            return f"{name} {value!r}, not {given[name]!r}"
    return "other options" if run.options != request.options else "another --shard-by"


def check_input(call: Invocation, deployment: "Deployment", input_uri: str) -> None:
    """Look whether there is anything to process; workers may read what the submitter may not.

    Raises:
        InputError: the bucket does not exist, or nothing is below the prefix.
    """
    bucket, key = names_given.s3_uri(input_uri, option="--input")
    try:
        answer = deployment.retrier.call(
            f"looking at {input_uri}", deployment.clients.s3.list_objects_v2, Bucket=bucket, Prefix=key, MaxKeys=1
        )
    except AwsMissingError as error:
        raise InputError(f"--input: there is no bucket {bucket}") from error
    except AwsAccessError:
        call.output.warn(f"you may not list {input_uri}; whether it exists is for the workers to see")
        return
    if not answer.get("Contents"):
        raise InputError(f"--input: nothing is below {input_uri}")


def _report(
    call: Invocation,
    run_id: RunId,
    *,
    job_id: str | None,
    job: str,
    workers: int,
    queue: str,
    parameters: dict[str, str],
    joined: bool,
) -> int:
    if not call.output.is_json:
        call.output.line(run_id)
        return exit_codes.OK
    call.output.document(
        {
            "run": run_id,
            "job": job,
            "batch_job": job_id,
            "workers": workers,
            "queue": queue,
            "parameters": parameters,
            "joined": joined,
        }
    )
    return exit_codes.OK
