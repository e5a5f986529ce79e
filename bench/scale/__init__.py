"""A million shards on ten thousand workers in simulated time: the product's own classes on a model of the service.

Every worker is the product's `WorkerLoop`, `LeaseFinder`, `WorkerSession`, `Caretaker`, `ShardRun`, `Checkpointing` and
`Monitor` on the product's `DynamoDBLeaseStore`; events go through the product's `Requeuer`, the schedule through its
`Controller`. A greenlet per thread on virtual time (simulation.kernel) takes one switch per request, so nothing of the
control flow had to be told a second time. Modelled are the table's speed (latency, throttling, index lag; its conditions
and updates are the product's compiled expressions), buckets (latency only), the user's function (time only), EC2 and Batch.
"""
