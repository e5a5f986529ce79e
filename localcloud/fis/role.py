"""What an experiment's role may do, judged by the emulator's own evaluation of policies."""

import json
from collections.abc import Mapping
from typing import Any

from localcloud.seams import Seams

SERVICE = "fis.amazonaws.com"


class ExperimentRole:
    """One role in the hands of one experiment."""

    def __init__(self, *, seams: Seams, account: str, region: str, role_arn: str, experiment_arn: str) -> None:
        self._iam = seams.iam_evaluator
        self._account = account
        self._region = region
        self._name = role_arn.rpartition("/")[2]
        self._role = seams.iam._roles.get_scoped(account, region, self._name)
        self._experiment_arn = experiment_arn

    @property
    def assumable(self) -> bool:
        """Whether the role is there and lets FIS take it for this experiment."""
        if self._role is None:
            return False
        document = self._role["AssumeRolePolicyDocument"]
        policy = json.loads(document) if isinstance(document, str) else document
        request = self._request(
            "sts:AssumeRole",
            "*",
            {"aws:sourceaccount": self._account, "aws:sourcearn": self._experiment_arn},
        )
        return any(
            statement["Effect"] == "Allow"
            and self._iam._service_principal_matches(statement.get("Principal"), SERVICE)
            and self._iam._conditions_met(statement.get("Condition", {}), request)
            for statement in policy["Statement"]
        )

    def may(self, action: str, resource: str, conditions: Mapping[str, Any]) -> bool:
        """Whether the role's policies allow the action; `conditions`: values of context keys, in lower case."""
        policies = self._iam._gather_role_policies(self._name, self._account)
        decision = self._iam.evaluate(self._request(action, resource, conditions), policies)
        return bool(decision.decision == "Allow")

    def _request(self, action: str, resource: str, conditions: Mapping[str, Any]) -> Any:
        return self._iam.EvalContext(
            principal_arn=f"arn:aws:sts::{self._account}:assumed-role/{self._name}/fis",
            principal_type="AssumedRole",
            principal_account=self._account,
            action=action,
            resource_arn=resource,
            region=self._region,
            service_context=dict(conditions),
        )
