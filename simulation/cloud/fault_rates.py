"""The faults of EC2, its metadata service and Batch, and how often each strikes at full rate."""

from collections.abc import Mapping
from typing import Final

from simulation.cloud.batch_api import NOT_LISTED_YET
from simulation.cloud.batch_attempts import CANNOT_PULL, HOST_TOO, ContainerFate
from simulation.cloud.fates import Fate
from simulation.cloud.fleet import BOOT_FAILED, METADATA_BLIND
from simulation.cloud.imds import FAULT as METADATA_FAULT
from simulation.cloud.market import NO_ON_DEMAND, NO_SPOT

PER_INSTANCE_HOUR: Final[Mapping[Fate, float]] = {
    Fate.NOTICE: 4.0,
    Fate.REBALANCE_THEN_NOTICE: 2.0,
    Fate.LATE_NOTICE: 2.0,
    Fate.REBALANCE_ONLY: 2.0,
    Fate.WARNING_ONLY: 2.0,
    Fate.RECLAIMED_UNANNOUNCED: 2.0,
    Fate.HOST_FAILURE: 2.0,
    Fate.SUSPENDED: 2.0,
    Fate.ALL_NOTICED: 1.0,
    Fate.ALL_FAILED: 1.0,
}
PER_CONTAINER_HOUR: Final[Mapping[ContainerFate, float]] = {
    ContainerFate.STOPPED: 2.0,
    ContainerFate.OUT_OF_MEMORY: 2.0,
    ContainerFate.TAKEN_FOR_LOST: 1.0,
}
PER_OPPORTUNITY: Final[Mapping[str, float]] = {
    METADATA_FAULT: 0.1,  # request to instance metadata
    METADATA_BLIND: 0.2,  # notice
    BOOT_FAILED: 0.05,  # launch
    CANNOT_PULL: 0.05,  # attempt
    HOST_TOO: 0.5,  # planned SIGKILL at an AWS call
    NO_SPOT: 0.1,  # launch
    NO_ON_DEMAND: 0.05,  # launch
    NOT_LISTED_YET: 0.2,  # ListJobs
}
FULL_RATES: Final[Mapping[str, float]] = {
    **{str(fate): rate for fate, rate in PER_INSTANCE_HOUR.items()},
    **{str(fate): rate for fate, rate in PER_CONTAINER_HOUR.items()},
    **PER_OPPORTUNITY,
}
