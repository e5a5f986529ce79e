"""All targets, by the surface that they are on."""

from collections.abc import Callable
from typing import Final

from tests.fuzz.target import Target
from tests.fuzz.targets import (
    checkpoints,
    command_line,
    configuration,
    events,
    host_documents,
    input_data,
    job_parameters,
    logs,
    names,
    plans,
    run_records,
    table_items,
)

SURFACES: Final[dict[str, Callable[[], tuple[Target, ...]]]] = {
    "events": events.targets,
    "job parameters": job_parameters.targets,
    "names": names.targets,
    "checkpoints": checkpoints.targets,
    "table items": table_items.targets,
    "plans": plans.targets,
    "input data": input_data.targets,
    "host documents": host_documents.targets,
    "configuration": configuration.targets,
    "run records": run_records.targets,
    "log lines": logs.targets,
    "command line": command_line.targets,
}
