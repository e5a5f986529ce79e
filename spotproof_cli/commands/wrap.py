"""`spotproof wrap`: this process becomes a worker whose job is any program."""

import re
from collections.abc import Mapping
from pathlib import PurePath

import click

from spotproof import contract
from spotproof.errors import ConfigurationError
from spotproof.process import leave
from spotproof_cli import names_given
from spotproof_cli.commands.submit import job_parameters
from spotproof_cli.global_options import GlobalOptions, SpotproofCommand
from spotproof_cli.services import Invocation

NEEDED = (contract.ENV_TABLE, contract.ENV_WORK_BUCKET, contract.ENV_DATA_BUCKET)
DIVIDER = "--"


@click.command(cls=SpotproofCommand, help="Run any program as a worker's job, here: spotproof wrap … -- CMD…")
@click.argument("words", nargs=-1, required=True, metavar="-- CMD…", type=click.UNPROCESSED)
@click.option("--input", "input_uri", required=True, metavar="S3URI", help="Prefix or object to process.")
@click.option("--run", "run", metavar="ID", help="Run id; default, inside AWS Batch: the id of its job.")
@click.option("--job", "job", metavar="NAME", help="Name of the job; default: the program's.")
@click.option("--output", "output_uri", metavar="S3URI", help="Where outputs go; default: the data bucket.")
@click.option("--shard-by", metavar="TEXT", help="How to cut the input, e.g. objects or size:64MiB.")
@click.option("--option", "-o", "pairs", multiple=True, metavar="K=V", help="Run option, or one of the program's own.")
@click.pass_context
def command(
    context: click.Context,
    *,
    words: tuple[str, ...],
    input_uri: str,
    run: str | None,
    job: str | None,
    output_uri: str | None,
    shard_by: str | None,
    pairs: tuple[str, ...],
) -> None:
    """Check what can be checked here, then work until there is nothing left; the exit code is the worker's."""
    call = Invocation(context)
    check_target(call.options, context)
    check_environment(call.services.env)
    parameters = job_parameters(
        input_uri=input_uri, output_uri=output_uri, shard_by=shard_by, options=names_given.option_pairs(pairs)
    )
    parameters["run"] = contract.AUTO if run is None else names_given.run_id(run)
    given = [word for name, value in parameters.items() for word in (f"--{name.replace('_', '-')}", value)]
    name = job_of(words[0]) if job is None else names_given.job_name(job)

    from batch_jobs.wrap.__main__ import main  # loads boto3

    leave(main(["--job", name, *given, DIVIDER, *words]))


def check_environment(env: Mapping[str, str]) -> None:
    """Raises ConfigurationError unless this is a worker's environment; the text says what to do instead."""
    missing = [name for name in NEEDED if not env.get(name)]
    if missing:
        raise ConfigurationError(
            f"wrap works where a worker does, but {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set: "
            "run it in the job's container, or declare the job with command=(…) in stacks/jobs.py, deploy, and submit it"
        )


def check_target(options: GlobalOptions, context: click.Context) -> None:
    """Raises click.UsageError for global options that a worker takes from its environment."""
    given = {
        "--local": options.local, "--profile": options.profile, "--region": options.region,
        "--endpoint-url": options.endpoint_url, "--prefix": options.prefix,
    }  # fmt: skip
    for name, value in given.items():
        if value:
            raise click.UsageError(f"wrap takes where to work from its environment: drop {name}", context)


def job_of(program: str) -> str:
    """A job's name for a program."""
    return re.sub(r"[^a-z0-9]+", "-", PurePath(program).name.lower()).strip("-") or "wrap"
