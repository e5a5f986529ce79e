"""`spotproof plan`: sizes, time and cost of a run that nobody has submitted, from earlier runs of its job."""

import random

import click

from spotproof import contract
from spotproof.errors import ConfigurationError, InputError
from spotproof.shards.spec import StrategyName, parse_shard_by
from spotproof_cli import exit_codes, names_given
from spotproof_cli.global_options import SpotproofCommand
from spotproof_cli.parameter_types import SECONDS
from spotproof_cli.services import Invocation

WORKERS_MAX = 10_000  # Batch's largest array
SEED = 1  # the same question gets the same answer


@click.command(cls=SpotproofCommand, help="Recommend sizes for a run, and say what it will take; changes nothing.")
@click.argument("job")
@click.option("--input", "input_uri", required=True, metavar="S3URI", help="Prefix or object to process.")
@click.option("--shard-by", metavar="TEXT", help="How to cut the input, e.g. size:64MiB; default: the job's own way.")
@click.option("--workers", type=click.IntRange(1, WORKERS_MAX), help="As many; default: what the work is worth.")
@click.option("--within", "within_s", type=SECONDS, help="The fewest workers that end in time nine times in ten.")
@click.pass_context
def command(
    context: click.Context,
    *,
    job: str,
    input_uri: str,
    shard_by: str | None,
    workers: int | None,
    within_s: float | None,
) -> int:
    """Cut the input without storing anything, look at earlier runs and today's prices, and report."""
    if workers is not None and within_s is not None:
        raise click.UsageError("give --workers or --within, not both", context)
    call = Invocation(context)
    job = names_given.job_name(job)
    names_given.s3_uri(input_uri, option="--input")
    try:
        spec = parse_shard_by(shard_by or contract.AUTO)
    except ConfigurationError as error:
        raise InputError(f"--shard-by: {error}") from error

    from spotproof.capacity.sizing.history import JobHistory
    from spotproof.capacity.sizing.pools import rank_pools
    from spotproof.capacity.sizing.recommendation import Wishes, recommend
    from spotproof.checkpoints.s3 import S3ObjectStore
    from spotproof.commits.run_record import read_run_records
    from spotproof.shards.planner import plan_run
    from spotproof_cli.plan_facts import deployed_size, fleet_facts
    from spotproof_cli.plan_report import plan_fields, print_plan

    deployment = call.deployment
    deployed = deployed_size(deployment, deployment.names.job_definition(job))
    plan = plan_run(s3=deployment.clients.s3, retrier=deployment.retrier, input_uri=input_uri, shard_by=spec)
    work_bucket = S3ObjectStore(
        client=deployment.clients.s3, bucket=deployment.names.work_bucket, retrier=deployment.retrier
    )
    found = read_run_records(work_bucket, job)
    history = JobHistory.of(found.records)
    advice = recommend(
        [shard.scan_bytes for shard in plan.shards()],
        history,
        deployed=deployed,
        cut_by_size=plan.header.strategy.startswith(f"{StrategyName.SIZE}:"),
        wishes=Wishes(workers=workers, within_s=within_s),
        rng=random.Random(SEED),  # noqa: S311 - draws of a forecast, no secret
    )
    fleet = fleet_facts(deployment, call.clock, job=job)
    pools = rank_pools(
        fleet.prices,
        history.pool_uses(),
        size=advice.size(deployed),
        busy_share=history.busy_share if history.runs else 1.0,
        relative_times=history.relative_times if history.runs else {},
        open_pools=fleet.open_pools,
    )
    unknown = [*fleet.unknown, *(f"an earlier run: {text}" for text in found.unreadable)]
    if call.output.is_json:
        call.output.document(plan_fields(plan.header, advice, pools, job=job, unknown=unknown))
        return exit_codes.OK
    for warning in (*plan.header.warnings, *advice.warnings):
        call.output.warn(warning)
    for text in unknown:
        call.output.warn(f"unknown: {text}")
    print_plan(call.output, plan.header, advice, pools)
    return exit_codes.OK
