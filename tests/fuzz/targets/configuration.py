"""Targets: what configures a deployment, a function and a worker: context values and environments."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from lambdas.handler_settings import HandlerSettings
from spotproof import contract
from spotproof.errors import ConfigurationError
from spotproof.settings import WorkerSettings
from stacks.settings import DECLARED, DeploySettings
from tests.fuzz.mutations import mapping_mutation, value_mutation
from tests.fuzz.target import Target

REFUSALS: Final = (ConfigurationError,)
WORKER: Final = {
    contract.ENV_TABLE: "table",
    contract.ENV_WORK_BUCKET: "work",
    contract.ENV_DATA_BUCKET: "data",
    contract.ENV_MEMORY: "2048",
    contract.ENV_NOTICE_LEAD: "120",
    contract.ENV_STOP_GRACE: "30",
    contract.ENV_TRACKER: "auto",
    contract.ENV_TRANSPORT: "boto3",
    "SPOTPROOF_VCPUS": "1",
    "AWS_REGION": "us-east-1",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
    "AWS_BATCH_JOB_ID": "4c7599ae-0a82-49aa-ba5a-4727fcce14a8:7",
    "AWS_BATCH_JOB_ATTEMPT": "1",
    "AWS_BATCH_JOB_ARRAY_INDEX": "7",
    "AWS_BATCH_JOB_ARRAY_SIZE": "8",
    "TMPDIR": "scratch",
}
FUNCTION: Final = {
    contract.ENV_TABLE: "table",
    contract.ENV_WORK_BUCKET: "work",
    contract.ENV_STACK: "Spotproof",
    contract.ENV_NOTICE_LEAD: "120",
    contract.ENV_SPOT_QUEUE: "spot",
    contract.ENV_ON_DEMAND_QUEUE: "on-demand",
    contract.ENV_EVENT_BUS: "default",
    contract.ENV_BREAKER: "3/600/1800",
    contract.ENV_MEMORY_MAX: "30340",
    contract.ENV_FAMILY_QUEUES: "graviton=g-spot/g-od/30340,gpu=p-spot/p-od/60000",
    "AWS_REGION": "us-east-1",
}
CONTEXTS: Final[tuple[dict[str, Any], ...]] = (
    *({name: list(each.default) if isinstance(each.default, tuple) else each.default} for name, each in DECLARED.items()),
    {"prefix": "Mine", "removal": "destroy", "zones": "2", "instance_types": "m6i.large,m6a.large", "breaker": "3/600/1800"},
    {"tags": {"team": "a"}, "required_tags": ["team"], "log_retention_days": 30, "spot_vcpus_max": 64, "data_buckets": ["bkt"]},
    {"monthly_budget_usd": "100", "budget_email": "team@example.com", "tags": "team=a,cost=b", "worker_image": "img"},
    {"families": "x86_64,graviton,gpu,fargate", "fair_shares": "a=1,b=2", "network": "existing", "vpc_id": "vpc-0123456789abcdef0",
     "subnet_ids": "subnet-0123456789abcdef0", "vpc_zones": "eu-west-1a", "compliance": "strict"},
)  # fmt: skip


def targets() -> tuple[Target, ...]:
    return (
        _environment("worker-environment", WORKER, _worker),
        _environment("function-environment", FUNCTION, _function),
        Target(
            name="context",
            surface="context values of cdk.json and of the command line",
            seeds=CONTEXTS,
            mutate=value_mutation,
            attempt=_context,
            refusals=REFUSALS,
        ),
    )


def _environment(name: str, seed: dict[str, str], attempt: Callable[[Mapping[str, str]], object]) -> Target:
    return Target(
        name=name,
        surface="environment variables",
        seeds=[seed],
        mutate=mapping_mutation,
        attempt=attempt,
        refusals=REFUSALS,
    )


def _worker(env: Mapping[str, str]) -> object:
    settings = WorkerSettings.from_env(env)
    assert settings.batch.attempt >= 1
    assert settings.batch.array_index >= 0
    assert settings.batch.array_size >= 1
    assert 0 < settings.notice_lead_s < float("inf")
    return settings.transport, settings.tracker, settings.aws.is_local


def _function(env: Mapping[str, str]) -> object:
    settings = HandlerSettings.from_env(env)
    settings.own_bus()
    settings.check_memory()
    return len(settings.worker_queues().pairs), settings.notice_lead.total_seconds() > 0


def _context(context: Any) -> object:
    if not isinstance(context, dict):
        return "no context"
    settings = DeploySettings.from_context(context)
    assert settings.stack_name("State")
    return settings.removal
