"""What stays on disk after a demo, for whoever wants to know more: the account's journal, the workers' and the functions' log."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError

from demo.deployment import Stage
from demo.logbook import LogLine, log_groups, raw_lines
from localcloud.errors import LocalcloudError

JOURNAL: Final = "journal.jsonl"
WORKER_LOG: Final = "workers.log"
FUNCTION_LOG: Final = "functions.log"


def keep_traces(stage: Stage, directory: Path) -> None:
    """Write the three files; an account that is gone already leaves only its own log."""
    try:
        entries = stage.cloud.events(limit=100_000)
        (directory / JOURNAL).write_text("".join(json.dumps(entry) + "\n" for entry in entries))
        logs, workers = stage.deployment.clients.logs, stage.deployment.names.log_group
        _keep_lines(directory / WORKER_LOG, raw_lines(logs, workers))
        functions = [group for group in log_groups(logs) if group != workers]
        _keep_lines(directory / FUNCTION_LOG, (line for group in functions for line in raw_lines(logs, group)))
    except (LocalcloudError, ClientError, BotoCoreError):
        return  # keeping traces must never hide why the demo failed


def _keep_lines(path: Path, lines: Iterable[LogLine]) -> None:
    path.write_text("".join(f"{line.stream} {line.text}\n" for line in lines))
