"""Batch as a source: workers by how far they are, why some wait, and the compute environments."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from spotproof.capacity.live_jobs import LiveJobs, RunJobs
from spotproof.capacity.waiting import WaitingKind, explain_waiting
from spotproof.capacity.waiting_reader import WaitingReader
from spotproof.leases.model import CapacityClass
from spotproof_cli.exporter import metrics
from spotproof_cli.exporter.environments import Environment, Environments
from spotproof_cli.exporter.samples import Observation, Sample, sample


class JobsSource:
    """Reads the queues of the deployment; counts nothing, for the table knows what became of workers."""

    name = "batch"

    def __init__(
        self,
        *,
        queues: Mapping[str, CapacityClass],
        jobs: RunJobs,
        waiting: WaitingReader,
        environments: Environments,
    ) -> None:
        self._queues = queues
        self._jobs = jobs
        self._waiting = waiting
        self._environments = environments

    def read(self) -> Observation:
        """Workers, reasons and environments."""
        return Observation(
            gauges=(
                *worker_gauges(self._jobs.read(), self._queues),
                *self._reasons(),
                *environment_gauges(self._environments.read()),
            )
        )

    def _reasons(self) -> Iterator[Sample]:
        """All of them, most at zero."""
        numbers: Counter[WaitingKind] = Counter()
        for queue in self._queues:
            for facts in self._waiting.in_queue(queue):
                numbers[explain_waiting(facts).kind] += facts.workers
        for kind in WaitingKind:
            yield sample(metrics.WORKERS_WAITING, numbers[kind], reason=kind)


def worker_gauges(live: LiveJobs, queues: Mapping[str, CapacityClass]) -> Iterator[Sample]:
    """Zero where there is nobody: a series that comes and goes can't be compared with anything."""
    for lifecycle in dict.fromkeys(queues.values()):
        found = [job for job in live.jobs if queues.get(job.queue) is lifecycle]
        numbers = {
            "waiting": sum(job.waiting for job in found),
            "starting": sum(job.starting for job in found),
            "running": sum(job.running for job in found),
        }
        for state, number in numbers.items():
            yield sample(metrics.WORKERS, number, lifecycle=lifecycle, state=state)
        vcpus = sum(job.live * job.submission.vcpus for job in found)
        yield sample(metrics.REQUESTED_VCPUS, vcpus, lifecycle=lifecycle)


def environment_gauges(environments: Iterable[Environment]) -> Iterator[Sample]:
    """How much each runs, how much it may, and whether it is used at all."""
    for each in environments:
        for bound, vcpus in (("desired", each.vcpus_desired), ("max", each.vcpus_max)):
            yield sample(metrics.ENVIRONMENT_VCPUS, vcpus, environment=each.name, lifecycle=each.lifecycle, bound=bound)
        yield sample(metrics.ENVIRONMENT_USABLE, each.is_usable, environment=each.name)
