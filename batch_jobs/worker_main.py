"""The worker's entry point: puts the parts together and maps what happened to an exit code for Batch."""

import argparse
import importlib
import logging
import random
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from spotproof import contract, events, json_logs
from spotproof.checkpoints.store import ObjectStore
from spotproof.checkpoints.transports import open_bucket
from spotproof.clients import Clients
from spotproof.clock import Clock, SystemClock
from spotproof.concurrency import ThreadSpawner
from spotproof.errors import (
    AwsError,
    AwsIdentityError,
    AwsUnavailableError,
    ConfigurationError,
    InputError,
    RunConflictError,
    RunNotFoundError,
    SpotproofError,
)
from spotproof.ids import SystemIds
from spotproof.interruptions.imds import HttpMetadataTransport, InstanceMetadata
from spotproof.interruptions.sigterm import SigtermSource
from spotproof.metrics import WorkerMetrics
from spotproof.process import leave
from spotproof.retries import Retrier
from spotproof.settings import WorkerSettings, environment
from spotproof.worker.assembly import WorkerAssembly
from spotproof.worker.options import parse_options
from spotproof.worker.planning import RunRequest, choose_output_uri, choose_patience_s, choose_run_id
from spotproof.worker.registry import JobFunction, find_job
from spotproof.worker.shard_gauge import ProcessGauge

logger = logging.getLogger("spotproof.worker")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one worker; the exit code is Batch's signal (contract.EXIT_*)."""
    clock = SystemClock()
    try:
        arguments = parse_arguments(sys.argv[1:] if argv is None else argv)
        settings = WorkerSettings.from_env(environment())
        formatter = _configure_logs(settings, arguments)
    except SpotproofError as error:
        return refuse(error)
    return _to_exit_code(lambda: _assemble(arguments, settings, clock, formatter).run())


def run_assembly(assembly: WorkerAssembly) -> int:
    """The worker's life; the exit code, also when it fails. What went wrong is logged, and said on standard error."""
    return _to_exit_code(assembly.run)


def exit_code_of(error: SpotproofError) -> int:
    """Which exit code tells Batch, and the Lambda that classifies, what went wrong."""
    match error:
        case InputError():
            return contract.EXIT_INPUT
        case ConfigurationError():
            return contract.EXIT_CONFIGURATION
        case RunConflictError():
            return contract.EXIT_CONFLICT
        case AwsUnavailableError() | AwsIdentityError() | RunNotFoundError():
            return contract.EXIT_INTERRUPTED  # a later attempt may find AWS or itself well, or plans a lost run anew
        case AwsError():
            return contract.EXIT_AWS
        case _:
            return contract.EXIT_UNEXPECTED


def _to_exit_code(work: Callable[[], int]) -> int:
    try:
        return work()
    except SpotproofError as error:
        logger.error(events.WORKER_FAILED, extra={"error": str(error), "exit_code": exit_code_of(error)})
        return refuse(error)
    except Exception as error:
        logger.exception(events.WORKER_FAILED, extra={"error": repr(error), "exit_code": contract.EXIT_UNEXPECTED})
        return contract.EXIT_UNEXPECTED


def _assemble(
    arguments: argparse.Namespace, settings: WorkerSettings, clock: Clock, formatter: json_logs.JsonFormatter
) -> WorkerAssembly:
    function = _find_function(arguments)
    request = request_of(arguments, settings)
    formatter.bound["run_id"] = request.run_id
    sigterm = SigtermSource(clock=clock, window_s=settings.stop_grace_s)
    sigterm.install()
    clients = Clients(settings.aws)

    def make_objects(retrier: Retrier) -> ObjectStore:
        return open_bucket(settings.work_bucket, clients=clients, retrier=retrier, transport=settings.transport)

    return WorkerAssembly(
        settings=settings,
        request=request,
        function=function,
        clock=clock,
        ids=SystemIds(),
        spawner=ThreadSpawner(),
        rng=random.Random(),  # noqa: S311 - spreads load, protects nothing
        bound=formatter.bound,
        clients=clients,
        metadata=InstanceMetadata(transport=HttpMetadataTransport(base_url=settings.imds_url), clock=clock),
        sigterm=sigterm,
        gauge=ProcessGauge(),
        make_objects=make_objects,
    )


def _find_function(arguments: argparse.Namespace) -> JobFunction:
    try:
        importlib.import_module(arguments.module)
    except ImportError as error:
        raise ConfigurationError(
            f"cannot import module {arguments.module!r} of job {arguments.job!r}: {error}; is it in the worker bundle?"
        ) from error
    return find_job(arguments.job)


def request_of(arguments: argparse.Namespace, settings: WorkerSettings) -> RunRequest:
    """What the job's parameters ask for.

    Raises:
        InputError: no input, or a parameter that is malformed; the text says which.
    """
    run_id = choose_run_id(arguments.run, parent_job_id=settings.batch.parent_job_id)
    if arguments.input == contract.AUTO:
        raise InputError("no input given: submit with --parameters input=s3://bucket/prefix/")
    return RunRequest(
        run_id=run_id,
        job=arguments.job,
        input_uri=arguments.input,
        output_uri=choose_output_uri(arguments.output, data_bucket=settings.data_bucket, run_id=run_id),
        shard_by=arguments.shard_by,
        options=parse_options(arguments.options),
        queue=settings.batch.queue,
        job_definition=settings.job_definition,
        batch_job_id=settings.batch.job_id,
        workers=settings.batch.array_size,
        planner_patience_s=choose_patience_s(settings.batch.array_index),
    )


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """The command line of the job definition; ConfigurationError if it is malformed."""
    parser = _Parser(prog="worker", description="One Spotproof worker; its job definition starts it.")
    parser.add_argument("--job", required=True, help="name given to @job")
    parser.add_argument("--module", required=True, help="module that declares the job")
    for name in contract.JOB_PARAMETERS:
        parser.add_argument("--" + name.replace("_", "-"), default=contract.AUTO)
    return parser.parse_args(argv)


class _Parser(argparse.ArgumentParser):
    """Refuses with our own error type instead of ending the process."""

    def error(self, message: str) -> NoReturn:
        raise ConfigurationError(f"worker arguments: {message}")


def _configure_logs(settings: WorkerSettings, arguments: argparse.Namespace) -> json_logs.JsonFormatter:
    batch = settings.batch
    bound = {
        "job": arguments.job,
        "batch_job_id": batch.job_id,
        "attempt": batch.attempt,
        "array_index": batch.array_index,
    }
    try:
        return json_logs.configure(level=settings.log_level, bound=bound, metrics=WorkerMetrics(stack=settings.stack))
    except ValueError as error:
        raise ConfigurationError(f"environment variable {contract.ENV_LOG_LEVEL}: {error}") from error


def refuse(error: SpotproofError) -> int:
    """Say on one line why there will be no work; the exit code."""
    print(f"spotproof: error: {error}", file=sys.stderr, flush=True)
    return exit_code_of(error)


if __name__ == "__main__":
    leave(main())
