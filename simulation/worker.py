"""A simulated worker container: the real worker, from the job definition's command line down."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from batch_jobs.worker_main import exit_code_of, parse_arguments, request_of, run_assembly
from simulation.cloud.batch_job import SimJob
from simulation.cloud.imds import SimMetadata
from simulation.cloud.instance import SimInstance
from simulation.fixed_gauge import FixedGauge
from simulation.gate import Gate, GatedClients
from simulation.kernel.process import Process
from simulation.workload import DATA_BUCKET, WORK_BUCKET
from spotproof import contract
from spotproof.checkpoints.carry import EngineSizes
from spotproof.commits.buckets import PartSizes
from spotproof.errors import SpotproofError
from spotproof.interruptions.imds import InstanceMetadata
from spotproof.interruptions.sigterm import SigtermSource
from spotproof.settings import WorkerSettings
from spotproof.worker.assembly import WorkerAssembly
from spotproof.worker.registry import JobFunction

KIND: Final = "worker"
TABLE: Final = "spotproof"
# Production looks at SIGTERM five times a virtual second; a tenth of that costs the simulator a tenth of the steps.
TICK_S: Final = 2.0
JOB: Final = "fold"


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """What a worker needs of its world."""

    gate: Gate
    services: dict[str, Any]
    function: Callable[[Process], JobFunction]
    metadata: Callable[[Process, SimInstance], SimMetadata]
    rng: random.Random
    scratch_dir: str
    in_parts: PartSizes
    in_portions: EngineSizes

    def run(self, process: Process, job: SimJob, attempt: int, instance: SimInstance) -> None:
        """Start the worker in `process`; it ends with the exit code that Batch sees."""
        settings = WorkerSettings.from_env(self._environment(job, attempt))
        sigterm = SigtermSource(clock=process.clock, window_s=settings.stop_grace_s)
        job.on_sigterm = lambda: sigterm.on_signal(15, None)

        def main() -> int:
            try:
                assembly = self._assembly(process, job, settings, sigterm, instance)
            except SpotproofError as error:
                return exit_code_of(error)
            return run_assembly(assembly)

        process.start(main)

    def _assembly(
        self, process: Process, job: SimJob, settings: WorkerSettings, sigterm: SigtermSource, instance: SimInstance
    ) -> WorkerAssembly:
        return WorkerAssembly(
            settings=settings,
            request=request_of(parse_arguments(_command(job)), settings),
            function=self.function(process),
            clock=process.clock,
            ids=process.ids,
            spawner=process.spawner,
            rng=random.Random(self.rng.getrandbits(64)),
            bound={},
            clients=GatedClients(self.gate, process, self.services),
            metadata=InstanceMetadata(transport=self.metadata(process, instance), clock=process.clock),
            sigterm=sigterm,
            gauge=FixedGauge(),
            tick_s=TICK_S,
            in_parts=self.in_parts,
            in_portions=self.in_portions,
        )

    def _environment(self, job: SimJob, attempt: int) -> dict[str, str]:
        return {
            contract.ENV_TABLE: TABLE,
            contract.ENV_WORK_BUCKET: WORK_BUCKET,
            contract.ENV_DATA_BUCKET: DATA_BUCKET,
            "SPOTPROOF_JOB_DEFINITION": job.definition.name,
            contract.ENV_TRACKER: "compare",  # exact, and the same on every kernel
            contract.ENV_MEMORY: str(job.definition.memory_mib),
            "TMPDIR": self.scratch_dir,
            **job.environment(attempt),
        }


def _command(job: SimJob) -> list[str]:
    """As the job definition's command line has it, with its parameters filled in."""
    parameters = {**dict.fromkeys(contract.JOB_PARAMETERS, contract.AUTO), **job.parameters}
    given = [part for name in contract.JOB_PARAMETERS for part in ("--" + name.replace("_", "-"), parameters[name])]
    return ["--job", JOB, "--module", "none", *given]
