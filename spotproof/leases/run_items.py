"""Items of runs, to and from the model."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, Final

from spotproof import contract
from spotproof.leases.attribute_values import AttributeValue, Item, to_item
from spotproof.leases.expressions import SCHEMA
from spotproof.leases.item_reader import ItemReader, damage_told, run_id_of
from spotproof.leases.model import CheckpointPreset, FailurePolicy, NoticePolicy, Run, RunOptions, RunState

_OPTION_NAMES: Final = frozenset(field.name for field in fields(RunOptions))
_OPTION_KINDS: Final = {"on_failure": FailurePolicy, "checkpoint": CheckpointPreset, "on_notice": NoticePolicy}


def run_to_item(run: Run) -> Item:
    """A new run's item, in the active index.

    Raises:
        ValueError: the run id holds the separator of our keys.
    """
    if not run.run_id or "#" in run.run_id:
        raise ValueError(f"run id {run.run_id!r} must be non-empty and without '#'")
    return to_item(
        {
            contract.PARTITION_KEY: contract.run_pk(run.run_id),
            contract.SORT_KEY: contract.RUN_SK,
            "schema": SCHEMA,
            "state": run.state.value,
            "job": run.job,
            "plan_key": run.plan_key,
            "plan_sha256": run.plan_sha256,
            "parameters_sha256": run.parameters_sha256,
            "input_uri": run.input_uri,
            "output_uri": run.output_uri,
            "shards": run.shards,
            "stripes": run.stripes,
            "session_buckets": run.session_buckets,
            "options": json.dumps(asdict(run.options), sort_keys=True),
            "closed": run.closed or None,  # DynamoDB has no empty sets
            "exhausted": run.exhausted or None,
            "carer": run.carer,
            "care_until": run.care_until,
            "created_at": run.created_at,
            "batch_queue": run.batch_queue,
            "batch_job_definition": run.batch_job_definition,
            "batch_job_id": run.batch_job_id,
            "workers": run.workers,
            "usd_max": run.usd_max,
            "reason": run.reason,
            "paused_at": run.paused_at,
            "finalizer_epoch": run.finalizer_epoch,
            contract.ACTIVE_INDEX.partition_key: None if run.state.ended else contract.ACTIVE_RUNS,
        }
    )


@damage_told
def run_from_item(item: Mapping[str, AttributeValue]) -> Run:
    """The run of an item.

    Raises:
        ItemError: an attribute is missing, of another type, or nothing that a run can have.
    """
    reader = ItemReader(item)
    return Run(
        run_id=run_id_of(reader.text(contract.PARTITION_KEY)),
        state=RunState(reader.text("state")),
        job=reader.text("job"),
        plan_key=reader.text("plan_key"),
        plan_sha256=reader.text("plan_sha256"),
        parameters_sha256=reader.text("parameters_sha256"),
        input_uri=reader.text("input_uri"),
        output_uri=reader.text("output_uri"),
        shards=_at_least(0, reader.integer("shards")),
        stripes=_at_least(1, reader.integer("stripes")),  # shards and sessions are spread by division
        session_buckets=_at_least(1, reader.integer("session_buckets")),
        options=_options(reader.text("options")),
        closed=reader.integers("closed"),
        exhausted=reader.integers("exhausted"),
        carer=reader.text_or_none("carer"),
        care_until=reader.integer_or_none("care_until"),
        created_at=reader.integer("created_at"),
        ended_at=reader.integer_or_none("ended_at"),
        quarantined=reader.integer("quarantined", 0),
        finalizer=reader.text_or_none("finalizer"),
        finalizer_epoch=reader.integer("finalizer_epoch", 0),
        finalizer_until=reader.integer_or_none("finalizer_until"),
        batch_queue=reader.text_or_none("batch_queue"),
        batch_job_definition=reader.text_or_none("batch_job_definition"),
        batch_job_id=reader.text_or_none("batch_job_id"),
        workers=reader.integer("workers", 1),
        usd_max=reader.real_or_none("usd_max"),
        paused_at=reader.integer_or_none("paused_at"),
        reason=reader.text("reason", "") or None,
    )


def _at_least(least: int, number: int) -> int:
    if number < least:
        raise ValueError(f"{number} is less than {least}")
    return number


def _options(text: str) -> RunOptions:
    defaults = RunOptions()
    stored = {name: value for name, value in json.loads(text).items() if name in _OPTION_NAMES}
    return RunOptions(**{name: _option(name, value, getattr(defaults, name)) for name, value in stored.items()})


def _option(name: str, value: Any, default: object) -> Any:
    """The value as the model has it. Where the default is None, None is a value too."""
    if name in _OPTION_KINDS:
        return _OPTION_KINDS[name](value)
    if name == "job":
        fits = isinstance(value, dict) and all(isinstance(each, str) for each in value.values())
    else:
        fits = (type(value) in (int, float) and math.isfinite(value)) or (value is None and default is None)
    if not fits:
        raise ValueError(f"option {name} is {value!r:.80}")
    return value
