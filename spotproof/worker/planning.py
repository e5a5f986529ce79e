"""Planning or joining a run: whichever worker comes first plans, all others find its plan."""

import hashlib
import json
import logging
import re
from dataclasses import asdict, dataclass
from typing import Final

from spotproof import contract, events
from spotproof.clock import Clock, to_epoch_ms
from spotproof.errors import InputError, RunConflictError
from spotproof.leases.model import Run, RunId, RunOptions, RunState
from spotproof.leases.sizing import choose_partitions
from spotproof.leases.store import LeaseStore
from spotproof.retries import Retrier
from spotproof.shards.model import ShardPlan
from spotproof.shards.plan_file import StoredPlan, write_plan
from spotproof.shards.planner import plan_run
from spotproof.shards.reader import S3Reads

logger = logging.getLogger(__name__)
_RUN_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
