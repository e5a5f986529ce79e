"""The declared jobs: one row makes one Batch job definition."""

from dataclasses import dataclass

from spotproof import contract
from spotproof.errors import ConfigurationError

TIMEOUT_S_MIN = 60  # AWS Batch: attemptDurationSeconds >= 60
MEMORY_MIB_MIN = 4  # AWS Batch: the smallest memory of a container


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """What a worker of one job runs and needs."""

    name: str  # as in @job("<name>")
    module: str  # imported by the worker; registers the job
    vcpus: int = 1
    memory_mib: int = 1800
    timeout_s: int = 12 * 3600  # of one attempt; the next one resumes from the last checkpoint

    def __post_init__(self) -> None:
        if self.vcpus < 1 or self.memory_mib < MEMORY_MIB_MIN or self.timeout_s < TIMEOUT_S_MIN:
            raise ConfigurationError(
                f"job {self.name!r} in stacks/jobs.py needs vcpus >= 1, memory_mib >= {MEMORY_MIB_MIN} and "
                f"timeout_s >= {TIMEOUT_S_MIN}, got {self.vcpus}, {self.memory_mib} and {self.timeout_s}"
            )

    def definition_name(self, prefix: str) -> str:
        """Name of the Batch job definition in the deployment called `prefix`."""
        if prefix == contract.DEFAULT_STACK_PREFIX:
            return f"{contract.JOB_DEFINITION_PREFIX}{self.name}"
        return f"{prefix.lower()}-{self.name}"


JOBS = (JobSpec(name="flight-delays", module="batch_jobs.examples.flight_delays"),)
