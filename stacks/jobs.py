"""The declared jobs: one row makes one Batch job definition."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from spotproof import contract
from spotproof.errors import ConfigurationError
from stacks.families import FAMILIES, FAMILY_NAMES, FamilyName

TIMEOUT_S_MIN = 60  # AWS Batch: attemptDurationSeconds >= 60
MEMORY_MIB_MIN = 4  # AWS Batch: the smallest memory of a container
COMMAND_BYTES_MAX = (
    8 * 1024
)  # AWS Batch takes 24 KiB a definition, of which the bootstrap and the rest need their share
NAME = re.compile(r"[a-z0-9-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """What a worker of one job runs and needs: a module with a Python function, or a command with any program."""

    name: str  # as in @job("<name>"); of a command: whatever it is to be called
    module: str = ""  # imported by the worker; registers the job
    command: tuple[str, ...] = ()  # program and arguments; a program with a path lies in the worker bundle
    vcpus: int = 1
    memory_mib: int = 1800
    timeout_s: int = 12 * 3600  # of one attempt; the next one resumes from the last checkpoint
    family: FamilyName = "x86_64"  # kind of hosts, one of -c families
    gpus: int = 0  # of family gpu, at least one

    def check(self) -> None:
        """Nothing, if Batch and the worker take the row.

        Raises:
            ConfigurationError: they don't; the text says what to change.
        """
        flaw = self._flaw_in_needs() or self._flaw_in_family() or self._flaw_in_work()
        if flaw is not None:
            raise ConfigurationError(f"job {self.name!r} in stacks/jobs.py {flaw}")

    @property
    def bundled_program(self) -> str | None:
        """Path of the program below the repository, if it travels in the worker bundle."""
        program = self.command[0] if self.command else ""
        return program if "/" in program and not program.startswith("/") else None

    def _flaw_in_needs(self) -> str | None:
        if self.vcpus >= 1 and self.memory_mib >= MEMORY_MIB_MIN and self.timeout_s >= TIMEOUT_S_MIN:
            return None
        return (
            f"needs vcpus >= 1, memory_mib >= {MEMORY_MIB_MIN} and timeout_s >= {TIMEOUT_S_MIN}, "
            f"got {self.vcpus}, {self.memory_mib} and {self.timeout_s}"
        )

    def _flaw_in_family(self) -> str | None:
        """Why no host of the family takes the worker; whether its instance types do is known only at synthesis."""
        if self.family not in FAMILY_NAMES:
            return f"needs a family of {', '.join(FAMILY_NAMES)}, got {self.family!r}"
        if (self.gpus >= 1) != FAMILIES[self.family].has_gpus or self.gpus < 0:
            return f'needs gpus >= 1 with family="gpu" and 0 with any other, got {self.gpus} with {self.family!r}'
        if FAMILIES[self.family].has_hosts:
            return None
        sizes = contract.FARGATE_MEMORY_MIB.get(self.vcpus)
        if sizes is None:
            known = ", ".join(map(str, contract.FARGATE_MEMORY_MIB))
            return f"needs vcpus of {known} on Fargate, got {self.vcpus}"
        if self.memory_mib not in sizes:
            return (
                f"needs memory_mib from {sizes[0]} to {sizes[-1]} in steps of {sizes.step} with {self.vcpus} vCPUs on "
                f"Fargate, got {self.memory_mib}"
            )
        return None

    def _flaw_in_work(self) -> str | None:
        """Why nothing could run; None if something can."""
        if bool(self.module) == bool(self.command):
            return "needs either module= with a Python function or command= with a program and its arguments"
        if not self.command:
            return None
        if not isinstance(self.command, tuple) or not all(isinstance(word, str) for word in self.command):
            return f'needs command= as a tuple of words, such as ("sort", "-u"), got {self.command!r}'
        if not NAME.fullmatch(self.name):
            return "needs a name of a-z, 0-9 and -"
        if not self.command[0] or any("\0" in word for word in self.command):
            return "needs a program as the first word of command=, and no word with a zero byte"
        if ".." in self.command[0].split("/"):
            return f"has a program {self.command[0]!r} outside of the worker bundle: put it below batch_jobs/"
        for word in self.command:
            if "Ref::" in word:
                return f"has {word!r} in its command, which AWS Batch would replace: give the program an option instead"
        if sum(len(word.encode()) for word in self.command) > COMMAND_BYTES_MAX:
            return f"has a command of more than {COMMAND_BYTES_MAX} bytes: put it into a script in the worker bundle"
        return None

    def definition_name(self, prefix: str) -> str:
        """Name of the Batch job definition in the deployment called `prefix`."""
        if prefix == contract.DEFAULT_STACK_PREFIX:
            return f"{contract.JOB_DEFINITION_PREFIX}{self.name}"
        return f"{prefix.lower()}-{self.name}"


def check_rows(jobs: Sequence[JobSpec], *, families: Collection[str] = FAMILY_NAMES) -> None:
    """Nothing, if every row can be deployed. Not done by the rows themselves: a wrong one shall be a line, no traceback.

    Args:
        families: that the deployment has.

    Raises:
        ConfigurationError: one can't, or two have the same name.
    """
    names: set[str] = set()
    for job in jobs:
        job.check()
        if job.name in names:
            raise ConfigurationError(f"job {job.name!r} is twice in stacks/jobs.py")
        if job.family not in families:
            raise ConfigurationError(
                f"job {job.name!r} in stacks/jobs.py is of family {job.family}: deploy it with "
                f"-c families={','.join([*families, job.family])}"
            )
        names.add(job.name)


JOBS = (JobSpec(name="flight-delays", module="batch_jobs.examples.flight_delays"),)
