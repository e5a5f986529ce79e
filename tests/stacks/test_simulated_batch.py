"""The simulated Batch decides by the rules that the stacks deploy."""

from typing import Any

from simulation.cloud.batch import AGENT_STOP_GRACE_S
from simulation.cloud.batch_job import SimJobDefinition
from spotproof import contract
from stacks.hosts import AGENT_CONFIG
from tests.stacks.assembly import Assembly


def test_definitions_are_simulated_as_they_are_deployed(assembly: Assembly) -> None:
    deployed: Any = next(iter(assembly.resources("AWS::Batch::JobDefinition").values()))["Properties"]
    simulated = SimJobDefinition(name="any")
    conditions = [
        {name[0].lower() + name[1:]: text for name, text in condition.items()}
        for condition in deployed["RetryStrategy"]["EvaluateOnExit"]
    ]

    assert list(simulated.conditions) == conditions
    assert simulated.attempts_max == deployed["RetryStrategy"]["Attempts"]
    assert simulated.timeout_s == deployed["Timeout"]["AttemptDurationSeconds"]
    assert simulated.parameters == deployed["Parameters"] == dict.fromkeys(contract.JOB_PARAMETERS, contract.AUTO)


def test_the_agents_grace_is_the_deployed_one() -> None:
    assert f"ECS_CONTAINER_STOP_TIMEOUT={AGENT_STOP_GRACE_S:.0f}s" in AGENT_CONFIG
