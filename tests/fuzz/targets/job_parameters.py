"""Targets: what a submitter writes: options, sharding, addresses, names, tags, a worker's arguments."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from batch_jobs.worker_main import parse_arguments, request_of
from batch_jobs.wrap.command import fill_in
from batch_jobs.wrap.exits import how_it_ended
from batch_jobs.wrap.places import option_variables
from spotproof.capacity.breaker import parse_breaker
from spotproof.errors import ConfigurationError, InputError, SpotproofError
from spotproof.settings import AwsSettings, BatchSettings, WorkerSettings
from spotproof.shards.sources.objects import parse_s3_uri
from spotproof.shards.spec import EXAMPLES, parse_shard_by
from spotproof.worker.options import format_options, options_to_json, parse_options
from spotproof_cli.names_given import instance_id, job_name, option_pairs, run_id, s3_uri
from spotproof_cli.tags_given import tags
from tests.fuzz.mutations import text_mutation, words_mutation
from tests.fuzz.target import Target

SUBMITTER: Final = "what a submitter writes"
SETTINGS: Final = WorkerSettings(
    table="table",
    work_bucket="work",
    data_bucket="data",
    aws=AwsSettings(region=None, endpoint_url=None),
    batch=BatchSettings(
        job_id="4c7599ae-0a82-49aa-ba5a-4727fcce14a8:7",
        attempt=1,
        array_index=7,
        queue="spot",
        compute_environment="spot",
        vcpus=1.0,
        array_size=8,
    ),
    imds_url="http://169.254.169.254",
    notice_lead_s=120.0,
    stop_grace_s=30.0,
    log_level="INFO",
    scratch_dir="scratch",
    job_definition="spotproof-flight-delays",
)
ARGUMENTS: Final = (
    ["--job", "flight-delays", "--module", "batch_jobs.examples.flight_delays", "--input", "s3://data/flights/"],
    ["--job", "j", "--module", "m", "--input", "s3://d/x", "--output", "s3://d/out/", "--run", "2026-11-22"],
    [
        "--job",
        "j",
        "--module",
        "m",
        "--input",
        "s3://d/x",
        "--shard-by",
        "hash:id:8",
        "--options",
        "ttl_s=30,pace_ms=5",
    ],
)
OPTIONS: Final = (
    "auto", "", "ttl_s=30,pace_ms=5", "ttl_s=90,heartbeat_s=30,checkpoint=naive", "checkpoint_interval_s=60,window_s=120",
    "deadline_s=3600,on_demand_share_max=0.5,on_demand_workers_max=4,usd_max=10", "on_failure=fail,failures_max=2,losses_max=9",
    "on_notice=leave,poll_s=1,hint_s=60,usd_per_hour_max=1.5,fallback_after_s=30,on_demand_after=2",
)  # fmt: skip


def targets() -> tuple[Target, ...]:
    return (
        _texts("options", OPTIONS, _options, (InputError,)),
        _texts("shard-by", [*EXAMPLES, "size:1.5GB", "time:a:b:15min", "hash:a:b:2"], _shard_by, (ConfigurationError,)),
        _texts("s3-address", ["s3://bucket/prefix/", "s3://bucket", "s3://b.c-d/é"], _s3_address, (InputError,)),
        _texts("given-name", ["run-1", "i-1234567890abcdef0", "team=a", "x=1,y=2", "s3://b12/k"], _given, (InputError,)),
        _texts("breaker", ["3/600/1800", "1/0.5/9"], lambda text: parse_breaker(text).count > 1, (ConfigurationError,)),
        _texts("program-words", ["./solve $SPOTPROOF_INPUT", "${SPOTPROOF_SHARD}", "max-steps=5"], _program, (ConfigurationError,)),
        Target(
            name="worker-arguments",
            surface=SUBMITTER + ", as Batch hands it to a worker",
            seeds=ARGUMENTS,
            mutate=words_mutation,
            attempt=_request,
            refusals=(SpotproofError,),
            share=0.3,
        ),
    )  # fmt: skip


def _texts(
    name: str, seeds: Any, attempt: Callable[[str], object], refusals: tuple[type[Exception], ...], share: float = 1.0
) -> Target:
    return Target(
        name=name,
        surface=SUBMITTER,
        seeds=tuple(seeds),
        mutate=text_mutation,
        attempt=attempt,
        refusals=refusals,
        share=share,
    )


def _options(text: str) -> object:
    options = parse_options(text)
    stored = options_to_json(options)
    assert parse_options(format_options(options.job)).job == options.job, "a job's own options survive their text"
    return len(stored)


def _shard_by(text: str) -> object:
    spec = parse_shard_by(text)
    assert parse_shard_by(spec.text) == spec, "the canonical form means the same"
    return spec.strategy


def _s3_address(text: str) -> object:
    uri = parse_s3_uri(text)
    assert f"s3://{uri.bucket}/{uri.key}".startswith(text), "no part of the address is lost"
    return bool(uri.key)


def _given(text: str) -> object:
    """Each checker that takes it; the last refusal if none does."""
    checkers: tuple[Callable[[str], object], ...] = (
        run_id,
        job_name,
        instance_id,
        partial(s3_uri, option="--input"),
        lambda each: option_pairs((each,)),
        lambda each: tags((each,)),
    )
    taken = []
    refusal: InputError | None = None
    for place, checker in enumerate(checkers):
        try:
            checker(text)
        except InputError as error:
            refusal = error
        else:
            taken.append(place)
    if not taken and refusal is not None:
        raise refusal
    return tuple(taken)


def _program(text: str) -> object:
    """A wrapped program's words, options and exit code."""
    variables = {"SPOTPROOF_SHARD": "7", "SPOTPROOF_INPUT": "/in/x"}
    filled = fill_in(text.split(" "), variables)
    assert len(filled) == len(text.split(" ")), "no value becomes another word"
    named = option_variables({text.partition("=")[0]: text, text.upper(): text})
    assert all(name.isascii() and "=" not in name and "\0" not in name for name in named), "variables have plain names"
    assert how_it_ended(len(text)), "every end has words"
    assert how_it_ended(-len(text)), "every signal has words"
    return None


def _request(argv: list[str]) -> object:
    request = request_of(parse_arguments(argv), SETTINGS)
    return len(request.parameters_sha256)
