"""`spotproof results`: what a finished run published."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spotproof.errors import InputError, OutputDamagedError, RunNotFoundError
from spotproof.leases.model import Run, RunState
from spotproof_cli import exit_codes, names_given
from spotproof_cli.commands.status import worker_jobs
from spotproof_cli.global_options import SpotproofCommand
from spotproof_cli.services import Invocation
from spotproof_cli.terminal_text import size

if TYPE_CHECKING:
    from spotproof_cli.success_manifest import SuccessManifest

FILES_SHOWN = 50
PROGRESS_EVERY_S = 3.0


@click.command(cls=SpotproofCommand, help="Show or download the outputs of a finished run.")
@click.argument("run")
@click.option("--download", "directory", metavar="DIR", help="Copy the outputs there, every hash verified.")
@click.pass_context
def command(context: click.Context, *, run: str, directory: str | None) -> int:
    """Read the manifest; download what it lists."""
    from spotproof_cli.success_manifest import read_manifest

    call = Invocation(context)
    run_id = names_given.run_id(run)
    if directory is not None and (not directory or "\0" in directory):
        raise InputError("--download needs the path of a directory")
    deployment = call.deployment
    stored = deployment.store.get_run(run_id)
    if stored is None:
        if not worker_jobs(deployment).of_run(run_id):
            raise RunNotFoundError(f"no run {run_id}: list the runs with `spotproof status`")
        call.output.error(f"run {run_id} is submitted, not finished: wait with `spotproof status {run_id} --wait`")
        return exit_codes.RUN_NOT_FINISHED
    code = exit_codes.of_run(stored.state)
    if not _has_results(call, stored):
        return code
    manifest = read_manifest(stored, s3=deployment.clients.s3, retrier=deployment.retrier)
    if manifest is None:
        if stored.state is RunState.COMPLETE:
            raise OutputDamagedError(f"run {run_id} is complete, but its manifest below {stored.output_uri} is gone")
        return code
    downloaded = None if directory is None else _download(call, manifest, Path(directory))
    _report(call, stored, manifest, directory=directory, downloaded=downloaded)
    return code


def _has_results(call: Invocation, run: Run) -> bool:
    """Whether there may be a manifest; says why not."""
    match run.state:
        case RunState.RUNNING | RunState.PAUSED:
            call.output.error(
                f"run {run.run_id} is {run.state.value}, not finished: wait with `spotproof status {run.run_id} --wait`"
            )
        case RunState.CANCELLED:
            call.output.error(f"run {run.run_id} was cancelled{_because(run)}: it has no results")
        case RunState.FAILED:
            call.output.error(f"run {run.run_id} failed{_because(run)}")
            return True
        case _:
            return True
    return False


def _because(run: Run) -> str:
    return f" ({run.reason})" if run.reason else ""


def _download(call: Invocation, manifest: "SuccessManifest", root: Path) -> int:
    """Copy every listed object; how many were not there before."""
    from spotproof_cli.downloads import Downloader

    deployment = call.deployment
    downloader = Downloader(s3=deployment.clients.s3, retrier=deployment.retrier, root=root)
    copied = 0
    next_line_at = call.clock.monotonic() + PROGRESS_EVERY_S
    for number, file in enumerate(manifest.files, start=1):
        copied += downloader.fetch(file)
        if call.clock.monotonic() >= next_line_at:
            call.output.say(f"{number} of {len(manifest.files)} files")
            next_line_at = call.clock.monotonic() + PROGRESS_EVERY_S
    return copied


def _report(
    call: Invocation, run: Run, manifest: "SuccessManifest", *, directory: str | None, downloaded: int | None
) -> None:
    if call.output.is_json:
        call.output.document(_fields(run, manifest, directory=directory, downloaded=downloaded))
        return
    call.output.facts(
        [
            ("run", run.run_id),
            ("state", run.state.value),
            ("output", run.output_uri),
            ("files", f"{len(manifest.files)}, {size(manifest.size_bytes)}"),
            ("records", str(manifest.records)),
            ("quarantined", str(len(manifest.quarantined))),
        ]
    )
    shown = manifest.files if call.output.form.value == "plain" else manifest.files[:FILES_SHOWN]
    if shown:
        call.output.table(
            ("FILE", "SIZE", "SHA-256"), [(each.name, size(each.size_bytes), each.sha256) for each in shown]
        )
    if len(shown) < len(manifest.files):
        call.output.say(f"{len(manifest.files) - len(shown)} more files: see --json or --plain")
    if downloaded is not None:
        call.output.say(
            f"{downloaded} files copied to {directory}, {len(manifest.files) - downloaded} were there; all verified"
        )


def _fields(run: Run, manifest: "SuccessManifest", *, directory: str | None, downloaded: int | None) -> dict[str, Any]:
    return {
        "run": run.run_id,
        "state": run.state.value,
        "output": run.output_uri,
        "records": manifest.records,
        "size_bytes": manifest.size_bytes,
        "files": [
            {"name": each.name, "key": each.key, "sha256": each.sha256, "size_bytes": each.size_bytes}
            for each in manifest.files
        ],
        "quarantined": [dict(each) for each in manifest.quarantined],
        "downloaded": None if downloaded is None else {"directory": directory, "copied": downloaded},
    }
