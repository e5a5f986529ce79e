"""Every name of the emulator that this package touches, checked before anything runs."""

import importlib
import importlib.metadata
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from localcloud.errors import ConfigurationError

TESTED_VERSION = "1.5.33"

Response = tuple[int, dict[str, str], bytes]
ServiceHandler = Callable[[str, str, dict[str, str], bytes, dict[str, Any]], Awaitable[Response]]

REQUIRED: Mapping[str, tuple[str, ...]] = {
    "ministack.app": ("app", "AUTH", "SERVICE_HANDLERS", "call_service_handler_sync"),
    "ministack.core.responses": ("request_scope", "get_account_id", "get_region"),
    "ministack.core.iam_actions": ("extract_iam_action", "extract_resource_arn", "SERVICE_TO_IAM_NAMESPACE"),
    "ministack.core.router": ("SERVICE_PATTERNS", "extract_access_key_id"),
    "ministack.core.lambda_runtime": (
        "_detect_runtime_binary",
        "acquire_worker",
        "ensure_spawned",
        "invalidate_worker",
        "release_worker",
        "reset",
    ),
    "ministack.services.cloudformation.provisioners": (
        "_RESOURCE_HANDLERS",
        "_REPLACING_PROPERTIES",
        "_physical_name",
    ),
    "ministack.services.cloudformation.drift": ("_DRIFT_READERS",),
    "ministack.services.cloudformation.stacks": ("_runs_on_worker_thread",),
    "ministack.services.eventbridge": (
        "_put_events",
        "_dispatch_event",
        "_dispatch_to_lambda",
        "_invoke_target",
        "_pattern_event_view",
        "_tick_scheduled_rules",
        "_SCHEDULER_TICK_INTERVAL",
        "_parse_rate_seconds",
        "_parse_cron_fields",
        "_cron_next_fire",
        "_rules",
        "_targets",
    ),
    "ministack.services.lambda_svc": (
        "_emit_lambda_logs",
        "_functions",
        "_emit_lambda_metrics",
        "_execute_function",
        "_get_func_record_for_ref",
        "_execution_record_for_config",
        "function_policy_for_arn",
        "invoke_async_with_retry",
    ),
    "ministack.services.ec2": (
        "_ACTION_MAP",
        "_create_flow_logs",
        "_delete_flow_logs",
        "_flow_logs",
        "_instances",
        "_instance_xml",
        "_launch_instances_internal",
        "_parse_member_list",
        "_subnets",
        "_tags",
        "_xml",
        "_p",
    ),
    "ministack.services.ecs": ("_ACTION_MAP",),
    "ministack.services.iam": ("_roles", "_instance_profiles"),
    "ministack.services.sts": ("_sessions", "register_session"),
    "ministack.services.s3": (
        "_bucket_has_versions",
        "_bucket_lifecycle",
        "_bucket_logging_config",
        "_buckets",
        "_put_bucket_lifecycle",
        "_put_bucket_logging",
    ),
    "ministack.services.dynamodb": ("_tables", "_update_table", "_update_ttl", "_update_continuous_backups"),
    "ministack.services.cloudwatch": (
        "_alarms",
        "_calc_stats",
        "_composite_alarms",
        "_delete_alarms",
        "_dims_key",
        "_dispatch_alarm_actions",
        "_evaluate_alarm",
        "_evaluate_parent_alarms",
        "_metrics",
        "_put_composite_alarm",
        "_record_history",
        "_stat_value",
        "record_metric",
    ),
    "ministack.services.autoscaling": ("_ACTION_MAP", "_parse_member_list", "_xml"),
    "ministack.core.iam_evaluator": (
        "EvalContext",
        "_conditions_met",
        "_gather_role_policies",
        "_service_principal_matches",
        "enforce",
        "evaluate",
        "fnmatch_iam",
        "fnmatch_iam_cs",
    ),
    "ministack.services.cloudwatch_logs": ("_append_log_events",),
    "ministack.services.sqs": ("_queues",),
}


def missing_seams(
    required: Mapping[str, tuple[str, ...]] = REQUIRED, *, load: Callable[[str], Any] = importlib.import_module
) -> list[str]:
    """The names in `required` that the installed emulator doesn't have, as `module.name`."""
    missing = []
    for module_name, names in required.items():
        try:
            module = load(module_name)
        except ImportError:
            missing.append(module_name)
            continue
        missing += [f"{module_name}.{name}" for name in names if not hasattr(module, name)]
    return missing


def check_seams() -> str:
    """The emulator's version, if this package can run on it.

    Raises:
        ConfigurationError: not installed, or names are missing; says which.
    """
    try:
        version = importlib.metadata.version("ministack")
    except importlib.metadata.PackageNotFoundError as error:
        raise ConfigurationError("ministack is not installed: pip install -r requirements-local.txt") from error
    missing = missing_seams()
    if missing:
        raise ConfigurationError(
            f"ministack {version} can't carry the local account (tested: {TESTED_VERSION}), "
            f"missing: {', '.join(missing)}: install ministack=={TESTED_VERSION}"
        )
    return version


class Seams:
    """The emulator's modules by the last part of their name, and the few calls all of us make."""

    def __init__(self) -> None:
        self.version = check_seams()
        self.app = _module("ministack.app")
        self.responses = _module("ministack.core.responses")
        self.iam_actions = _module("ministack.core.iam_actions")
        self.router = _module("ministack.core.router")
        self.lambda_runtime = _module("ministack.core.lambda_runtime")
        self.provisioners = _module("ministack.services.cloudformation.provisioners")
        self.drift = _module("ministack.services.cloudformation.drift")
        self.stacks = _module("ministack.services.cloudformation.stacks")
        self.eventbridge = _module("ministack.services.eventbridge")
        self.lambda_svc = _module("ministack.services.lambda_svc")
        self.ec2 = _module("ministack.services.ec2")
        self.ecs = _module("ministack.services.ecs")
        self.iam = _module("ministack.services.iam")
        self.iam_evaluator = _module("ministack.core.iam_evaluator")
        self.autoscaling = _module("ministack.services.autoscaling")
        self.sts = _module("ministack.services.sts")
        self.s3 = _module("ministack.services.s3")
        self.dynamodb = _module("ministack.services.dynamodb")
        self.cloudwatch = _module("ministack.services.cloudwatch")
        self.cloudwatch_logs = _module("ministack.services.cloudwatch_logs")
        self.sqs = _module("ministack.services.sqs")

    def serve(self, service: str, handler: ServiceHandler) -> None:
        """Let `handler` answer a service's requests; one that the emulator doesn't know becomes known.

        For an unknown one the router would load every service model of botocore, which takes half a minute of the loop.
        """
        self.app.SERVICE_HANDLERS[service] = handler
        self.router.SERVICE_PATTERNS.setdefault(service, {"credential_scope": service})
        self.iam_actions.SERVICE_TO_IAM_NAMESPACE.setdefault(service, service)

    def scope(self, account: str, region: str) -> AbstractContextManager[None]:
        """Act for this account and region inside the block."""
        scope: AbstractContextManager[None] = self.responses.request_scope(account, region)
        return scope

    def current(self) -> tuple[str, str]:
        """Account and region of the request being served."""
        return self.responses.get_account_id(), self.responses.get_region()

    def call_json(self, service: str, target: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Call a JSON-protocol operation of the emulator in this process, from a thread that isn't the event loop.

        Must run inside `scope`. Needs no signature: it doesn't pass the gateway.
        """
        handler = self.app.SERVICE_HANDLERS[service]
        headers = {"x-amz-target": target, "content-type": "application/x-amz-json-1.1"}
        status, _, answer = self.app.call_service_handler_sync(
            handler, "POST", "/", headers, json.dumps(body).encode(), {}
        )
        return status, json.loads(answer or b"{}")


def _module(name: str) -> Any:
    return importlib.import_module(name)
