"""What functions and workers may do, as names."""

from enum import StrEnum, auto


class Grant(StrEnum):
    """Something a function or a worker may do."""

    SHARDS_READ = auto()  # one row by its key
    SHARDS_LIST = auto()  # the rows of a partition
    SHARDS_WRITE = auto()  # change a row
    ROWS_ADD = auto()  # shards, sessions, notes, pools
    CLAIMABLE_FIND = auto()  # shards nobody holds
    HOSTS_FIND = auto()  # sessions on an instance
    RUNS_FIND = auto()  # runs that go on, or are to be cleaned up after
    STOP_FILES_WRITE = auto()
    SHARD_WORK = auto()  # plan, read input, checkpoint, stage and publish output: a worker's objects
    CHECKPOINTS_SWEEP = auto()  # find and delete what dead epochs left
    OUTPUT_PUBLISH = auto()  # publish, then clean up: the finalizer's objects
    BATCH_SUBMIT = auto()
    ON_DEMAND_SUBMIT = auto()  # to the queues for on-demand workers only
    BATCH_CANCEL = auto()  # what waits for a host, never what runs
    JOBS_READ = auto()  # jobs by their ids
    HOSTS_READ = auto()  # why EC2 ended an instance
    QUEUES_READ = auto()  # why workers wait: queues, environments, launches, sizes of instance types
    EC2_PRICES = auto()
    EVENTS_PUT = auto()
