"""A gauge that says what it is told to."""

from dataclasses import dataclass

from spotproof.worker.shard_gauge import ProcessUse


@dataclass
class FixedGauge:
    """Implements spotproof.worker.shard_gauge.ShardGauge."""

    peak_mib: int = 512
    cpu_ms: int = 1500
    begun: int = 0

    def begin(self) -> None:
        self.begun += 1

    def read(self) -> ProcessUse:
        return ProcessUse(peak_mib=self.peak_mib, cpu_ms=self.cpu_ms)
