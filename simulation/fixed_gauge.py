"""What simulated workers say of their process: all of them share one, and the kernel would count it anew every time."""

from spotproof.worker.shard_gauge import ProcessUse


class FixedGauge:
    """Implements spotproof.worker.shard_gauge.ShardGauge."""

    def begin(self) -> None:
        """Nothing is counted."""

    def read(self) -> ProcessUse:
        return ProcessUse(peak_mib=256, cpu_ms=1_000)
