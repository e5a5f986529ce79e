"""What stays on disk after a demo, for whoever wants to know more: the account's journal and the workers' log."""

import json
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from demo.deployment import Stage
from demo.logbook import raw_lines
from localcloud.errors import LocalcloudError

JOURNAL: str = "journal.jsonl"
WORKER_LOG: str = "workers.log"


def keep_traces(stage: Stage, directory: Path) -> None:
    """Write both files; an account that is gone already leaves only its own log."""
    try:
        entries = stage.cloud.events(limit=100_000)
        (directory / JOURNAL).write_text("".join(json.dumps(entry) + "\n" for entry in entries))
        lines = raw_lines(stage.deployment.clients.logs, stage.deployment.names.log_group)
        (directory / WORKER_LOG).write_text("".join(f"{stream} {text}\n" for stream, text in lines))
    except (LocalcloudError, ClientError, BotoCoreError):
        return  # keeping traces must never hide why the demo failed
