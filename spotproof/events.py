"""The vocabulary: names of log events, their fields, and metrics. Dashboards and queries quote these constants."""

from typing import Final

# --- log events of the worker ----------------------------------------------------------------------------------
WORKER_STARTED: Final = "worker_started"
WORKER_FINISHED: Final = "worker_finished"
WORKER_FAILED: Final = "worker_failed"
RUN_PLANNED: Final = "run_planned"
RUN_JOINED: Final = "run_joined"
SHARD_LEASED: Final = "shard_leased"
SHARD_RESUMED: Final = "shard_resumed"
SHARD_COMMITTED: Final = "shard_committed"
SHARD_FAILED: Final = "shard_failed"
SHARD_QUARANTINED: Final = "shard_quarantined"
SHARD_RELEASED: Final = "shard_released"
SHARD_PUBLISHED: Final = "shard_published"
SHARD_USAGE: Final = "shard_usage"  # requests and units that one shard took
PUBLISH_FAILED: Final = "publish_failed"  # the finalizer repeats it
CHANGES_TRACKED: Final = "changes_tracked"  # how, and why so: by the kernel, or by comparing all of it
CHECKPOINT_SAVED: Final = "checkpoint_saved"
CHECKPOINT_FAILED: Final = "checkpoint_failed"
CHECKPOINT_RESTORING: Final = "checkpoint_restoring"  # a long restore goes on
CHECKPOINT_FALLBACK: Final = "checkpoint_fallback"  # an older generation was restored
CHECKPOINT_CLEANUP_FAILED: Final = "checkpoint_cleanup_failed"  # older generations stay until the next save
STOP_SEEN: Final = "stop_seen"
HINT_SEEN: Final = "hint_seen"
STOP_DECIDED: Final = "stop_decided"
LEASE_LOST: Final = "lease_lost"  # a write was refused: another owner may hold the shard
COMMIT_FENCED: Final = "commit_fenced"
SESSION_LOST: Final = "session_lost"
HEARTBEAT_LATE: Final = "heartbeat_late"
WATCHER_DEGRADED: Final = "watcher_degraded"  # a signal source does not answer; never read as "no spot"
REQUEST_RETRIED: Final = "request_retried"
PROGRAM_STARTED: Final = "program_started"  # a wrapped program
PROGRAM_OUTPUT: Final = "program_output"  # one line that it printed
PROGRAM_ASKED_TO_STOP: Final = "program_asked_to_stop"
PROGRAM_ENDED: Final = "program_ended"

# --- log events of whoever takes leases away or closes runs -------------------------------------------------------
STOP_FILE_WRITTEN: Final = "stop_file_written"
SHARDS_DRAINED: Final = "shards_drained"
SHARDS_REQUEUED: Final = "shards_requeued"
SESSION_RESCUED: Final = "session_rescued"
HOLE_REPAIRED: Final = "hole_repaired"
STRIPE_CLOSED: Final = "stripe_closed"
RUN_FINISHED: Final = "run_finished"
RUN_PUBLISHED: Final = "run_published"
RUN_CANCELLED: Final = "run_cancelled"
TRANSPORT_FELL_BACK: Final = "transport_fell_back"  # obstore can't be imported; checkpoints go through boto3, slower
CHECKPOINTS_DELETED: Final = "checkpoints_deleted"
OBJECTS_REFUSED: Final = "objects_refused"  # S3 did not delete them; they are tagged for the bucket's lifecycle
ORPHANS_DELETED: Final = "orphans_deleted"  # of dead epochs of a run that goes on
RUN_COST: Final = "run_cost"
RUN_RECORD_LOST: Final = "run_record_lost"  # the sizing of later runs misses this one
EVENT_REJECTED: Final = "event_rejected"
EVENT_IGNORED: Final = "event_ignored"  # well-formed, not ours
WORKER_REPLACED: Final = "worker_replaced"
WORKER_CLASSIFIED: Final = "worker_classified"
CONTROLLER_RAN: Final = "controller_ran"
CONTROLLER_FAILED: Final = "controller_failed"  # with one run; the others were tended
RUN_STUCK: Final = "run_stuck"  # work is left and nobody works on it
CAPACITY_DECIDED: Final = "capacity_decided"  # on-demand workers for a run: added, retired or none, and why
RUN_PAUSED: Final = "run_paused"  # it has cost its budget
WORKERS_WAITING: Final = "workers_waiting"  # and why, in words a person can act on
QUEUE_BLOCKED: Final = "queue_blocked"  # as Batch says
POOL_OPENED: Final = "pool_opened"  # a Spot pool takes back host after host: nobody is sent there for a while
POOL_CLOSED: Final = "pool_closed"  # it stayed quiet after a probe

# --- metrics -------------------------------------------------------------------------------------------------------
METRIC_INTERRUPTION_WARNINGS: Final = "InterruptionWarnings"
METRIC_REBALANCE_RECOMMENDATIONS: Final = "RebalanceRecommendations"
METRIC_INSTANCES_TERMINATED: Final = "InstancesTerminated"
METRIC_STOP_FILES_WRITTEN: Final = "StopFilesWritten"
METRIC_STOP_FILE_LATENCY_MS: Final = "StopFileLatency"
METRIC_SHARDS_REQUEUED: Final = "ShardsRequeued"
METRIC_EVENTS_REJECTED: Final = "EventsRejected"
METRIC_SESSIONS_RESCUED: Final = "SessionsRescued"
METRIC_WORKERS_REPLACED: Final = "WorkersReplaced"
METRIC_RUNS_FINISHED: Final = "RunsFinished"
METRIC_SHARDS_QUARANTINED: Final = "ShardsQuarantined"
METRIC_CONTROLLER_HEARTBEAT: Final = "ControllerHeartbeat"
METRIC_CONTROLLER_FAILURES: Final = "ControllerFailures"
METRIC_ORPHANS_DELETED: Final = "OrphansDeleted"
METRIC_RUN_COST_USD: Final = "RunCost"
METRIC_ON_DEMAND_ADDED: Final = "OnDemandWorkersAdded"
METRIC_ON_DEMAND_RETIRED: Final = "OnDemandWorkersRetired"
METRIC_RUNS_PAUSED: Final = "RunsPaused"
METRIC_WORKERS_WAITING: Final = "WorkersWaiting"  # for a host, in our queues
METRIC_WORKERS_STUCK: Final = "WorkersStuck"  # of them, those that wait for what only a person mends
METRIC_POOLS_OPEN: Final = "PoolsOpen"
METRIC_QUEUES_BLOCKED: Final = "QueuesBlocked"
METRIC_WORKERS_FAILED: Final = "WorkersFailed"  # not by Spot's hand and not by a person's

# Of all runs that go on, each minute.
METRIC_RUNS_ACTIVE: Final = "RunsActive"
METRIC_SHARDS_CLAIMABLE: Final = "ShardsClaimable"
METRIC_SHARDS_LEASED: Final = "ShardsLeased"
METRIC_SHARDS_DONE: Final = "ShardsDone"  # or quarantined
METRIC_OLDEST_CLAIMABLE_S: Final = "OldestClaimableAge"  # how long the shard waits that waits longest
METRIC_SPOT_WORKERS: Final = "SpotWorkers"
METRIC_ON_DEMAND_WORKERS: Final = "OnDemandWorkers"

# Of a run that has ended.
METRIC_RUN_S: Final = "RunDuration"
METRIC_USEFUL_VCPU_S: Final = "UsefulVcpuSeconds"
METRIC_PAID_VCPU_S: Final = "PaidVcpuSeconds"
METRIC_EFFICIENCY: Final = "Efficiency"  # useful of paid
METRIC_RUN_SAVED_USD: Final = "RunSavings"  # against the same seconds on demand

# Of workers: numbers of their log events, see spotproof/metrics.py.
METRIC_SHARDS_COMMITTED: Final = "ShardsCommitted"
METRIC_RECORDS_COMMITTED: Final = "RecordsCommitted"
METRIC_SHARDS_FAILED: Final = "ShardsFailed"
METRIC_LEASES_LOST: Final = "LeasesLost"
METRIC_CHECKPOINT_MS: Final = "CheckpointDuration"
METRIC_CHECKPOINT_BYTES: Final = "CheckpointBytes"
METRIC_CHECKPOINT_STALL_MS: Final = "CheckpointStall"
METRIC_CHECKPOINT_FAILURES: Final = "CheckpointFailures"
METRIC_WORK_LOST_MS: Final = "WorkLost"  # work since the last durable checkpoint, when a shard was let go
METRIC_RESUME_MS: Final = "ResumeDuration"
METRIC_NOTICE_LEFT_MS: Final = "NoticeTimeLeft"  # of a notice, when the shard was handed back
