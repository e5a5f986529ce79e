"""What functions and workers may do, as names."""

from enum import StrEnum, auto


class Grant(StrEnum):
    """Something a function or a worker may do."""

    SHARDS_READ = auto()
    SHARDS_WRITE = auto()
    STOP_FILES_WRITE = auto()
    SHARD_WORK = auto()  # plan, read input, checkpoint, stage and publish output: a worker's objects
    CHECKPOINTS_SWEEP = auto()  # find and delete what dead epochs left
    OUTPUT_PUBLISH = auto()  # publish, then clean up: the finalizer's objects
    BATCH_SUBMIT = auto()
    BATCH_CANCEL = auto()  # what waits for a host, never what runs
    QUEUES_READ = auto()  # why workers wait: queues, environments, launches, sizes of instance types
    EC2_PRICES = auto()
    EVENTS_PUT = auto()
