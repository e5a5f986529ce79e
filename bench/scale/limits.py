"""What one partition and the table take per second, and how much of it was used."""

from dataclasses import dataclass, field
from typing import Final

# "Best practices for designing partition keys" and "On-demand capacity mode" of the DynamoDB developer guide.
PARTITION_WRITES_PER_S: Final = 1_000.0
PARTITION_READS_PER_S: Final = 3_000.0
TABLE_WRITES_PER_S: Final = 4_000.0  # of a new on-demand table
TABLE_READS_PER_S: Final = 12_000.0


@dataclass(slots=True)
class Bucket:
    """A second's worth of units that refills; the service also forgives bursts of minutes, which we don't count on."""

    per_s: float
    left: float
    filled_at: float = 0.0
    second: int = -1
    used: float = 0.0  # in `second`
    peak: float = 0.0
    peak_at: int = -1
    total: float = 0.0

    def open_at(self, now: float) -> bool:
        self.left = min(self.per_s, self.left + (now - self.filled_at) * self.per_s)
        self.filled_at = now
        return self.left > 0.0

    def take(self, now: float, units: float) -> None:
        self.left -= units
        self.total += units
        second = int(now)
        if second != self.second:
            self.second, self.used = second, 0.0
        self.used += units
        if self.used > self.peak:
            self.peak, self.peak_at = self.used, second


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """The busiest second of one partition."""

    partition: str
    units_per_s: float
    at_s: int


@dataclass
class Limits:
    """Buckets by partition, of one kind (reads or writes), under the limit of a new table."""

    partition_per_s: float
    table_per_s: float
    partitions: dict[str, Bucket] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.table = Bucket(per_s=self.table_per_s, left=self.table_per_s)

    def admits(self, now: float, *partitions: str) -> bool:
        """Whether a request to these partitions is served; the service lets the last one overdraw."""
        return self.table.open_at(now) and all(self._bucket(name).open_at(now) for name in partitions)

    def take(self, now: float, partition: str, units: float) -> None:
        self._bucket(partition).take(now, units)
        self.table.take(now, units)

    def hottest(self, *, of: str = "") -> Peak:
        """The busiest second among partitions whose name contains `of`."""
        name, bucket = max(
            ((name, bucket) for name, bucket in self.partitions.items() if of in name),
            key=lambda pair: pair[1].peak,
            default=("none", Bucket(per_s=1.0, left=0.0)),
        )
        return Peak(partition=name, units_per_s=bucket.peak, at_s=bucket.peak_at)

    def _bucket(self, partition: str) -> Bucket:
        found = self.partitions.get(partition)
        if found is None:
            found = self.partitions[partition] = Bucket(per_s=self.partition_per_s, left=self.partition_per_s)
        return found
