"""What earlier runs of a job tell together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from spotproof.capacity.sizing.prediction import Point, Prediction, predict, speeds
from spotproof.capacity.sizing.quantiles import median
from spotproof.capacity.sizing.record import PoolUse, RunRecord, ShardSample

RUNS_USED: Final = 20  # the newest; older ones tell of other code and other hosts


@dataclass(frozen=True)
class JobHistory:
    """Records of one job, newest first. Without any, nothing of this may be asked but `runs`."""

    records: tuple[RunRecord, ...]

    @classmethod
    def of(cls, records: Sequence[RunRecord]) -> "JobHistory":
        """The newest RUNS_USED of the records that tell of shards; of a run with two, the newer."""
        told = {record.run_id: record for record in sorted(records, key=lambda each: each.ended_at) if record.samples}
        newest = sorted(told.values(), key=lambda each: (-each.ended_at, each.run_id))
        return cls(records=tuple(newest[:RUNS_USED]))

    @property
    def runs(self) -> int:
        return len(self.records)

    @cached_property
    def seconds(self) -> Prediction:
        """Of work in a shard."""
        return predict([[_seconds(sample) for sample in record.samples] for record in self.records], grows=True)

    @cached_property
    def memory(self) -> Prediction | None:
        """Peak memory of a shard, MiB; None if no run told."""
        told = [
            [(sample.input_bytes, float(sample.peak_mib)) for sample in record.samples if sample.peak_mib]
            for record in self.records
        ]
        known = [run for run in told if run]
        return predict(known, grows=False) if known else None

    @cached_property
    def cores(self) -> float | None:
        """Processors that three shards in four keep busy at most, over their whole time; None if no run told."""
        used = sorted(
            sample.cpu_ms / sample.lease_ms
            for record in self.records
            for sample in record.samples
            if sample.cpu_ms and sample.lease_ms >= 1000
        )
        return used[(3 * len(used) - 1) // 4] if used else None

    @cached_property
    def relative_times(self) -> Mapping[str, float]:
        """How long shards take by instance type, 1.0 = as on the others."""
        line = self.seconds.line
        told = [
            [
                (sample.instance_type, sample.work_ms / 1000 / max(line.at(sample.input_bytes), 1e-9))
                for sample in record.samples
                if sample.instance_type
            ]
            for record in self.records
        ]
        return speeds([run for run in told if run])

    @cached_property
    def overheads(self) -> tuple[float, ...]:
        """By run: time in shards, saving and doing again included, over the work that counted."""
        return tuple(
            (record.work_ms + record.checkpoint_ms + record.redone_ms) / max(1, record.work_ms)
            for record in self.records
        )

    @cached_property
    def presences(self) -> tuple[float, ...]:
        """By run: how much of its workers' time the run really had them, 0 < share <= 1."""
        return tuple(
            min(1.0, max(0.05, record.session_ms / 1000 / max(1e-3, record.workers * record.wall_s)))
            for record in self.records
        )

    @property
    def busy_share(self) -> float:
        """Of the workers' time that was paid for, the share that was work which counted; the middle run's."""
        shares = [record.work_ms / max(1, record.session_ms) for record in self.records]
        return min(1.0, max(0.05, median(shares)))

    def pool_uses(self) -> list[PoolUse]:
        return [use for record in self.records for use in record.pools]


def _seconds(sample: ShardSample) -> Point:
    return sample.input_bytes, max(1, sample.work_ms) / 1000
