"""Rule packs of cdk-nag that a synthesis must pass. What they find is fixed, or acknowledged with a reason."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import jsii
from aws_cdk import Acknowledgment, App, Validations
from constructs import IConstruct, IValidation

from stacks.acknowledgements import ACKNOWLEDGED, Acknowledged
from stacks.settings import Compliance, DeploySettings

if TYPE_CHECKING:
    from cdk_nag import NagPack

PACKS: dict[Compliance, tuple[str, ...]] = {
    "none": (),
    "baseline": ("AwsSolutionsChecks", "ServerlessChecks"),
    "strict": (
        "AwsSolutionsChecks",
        "ServerlessChecks",
        "NIST80053R5Checks",
        "HIPAASecurityChecks",
        "PCIDSS321Checks",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A rule that a construct breaks."""

    path: str
    rule: str  # with what exactly it found, in brackets, where the rule tells
    text: str

    def __str__(self) -> str:
        return f"{self.path}: {self.rule}: {self.text}"


@jsii.implements(IValidation)
class RulePacks:
    """Judges the app once its references are resolved; a finding that is not acknowledged stops the synthesis.

    Acknowledgements end up where the packs look for them, at the construct, so that the packs themselves find nothing
    when they judge again as plug-ins of the synthesis and write its report.
    """

    def __init__(
        self, app: App, *, settings: DeploySettings, acknowledged: Sequence[Acknowledged] = ACKNOWLEDGED
    ) -> None:
        self._app = app
        self._prefix = f"{settings.prefix}-"
        self._acknowledged = acknowledged
        self._packs = _packs(app, settings.compliance)
        self.findings: tuple[Finding, ...] = ()  # not acknowledged
        self.used: tuple[tuple[Acknowledged, Finding], ...] = ()
        app.node.add_validation(self)
        if self._packs:
            Validations.of(app).add_plugins(*self._packs)

    def validate(self) -> list[str]:
        """One line for each finding that is not acknowledged."""
        open_, used = [], []
        for finding in self._found():
            acknowledged = self._acknowledgement(finding)
            if acknowledged is None:
                open_.append(finding)
            else:
                used.append((acknowledged, finding))
                self._acknowledge(finding, acknowledged.reason)
        self.findings, self.used = tuple(open_), tuple(used)
        return [str(finding) for finding in self.findings]

    def _found(self) -> list[Finding]:
        return [
            Finding(path=place.construct_path or "", rule=violation.rule_name, text=violation.description)
            for pack in self._packs
            for violation in pack.validate_scope(self._app).violations
            for place in violation.violating_resources
        ]

    def _acknowledgement(self, finding: Finding) -> Acknowledged | None:
        path = finding.path.removeprefix(self._prefix)
        return next((each for each in self._acknowledged if each.covers(path, finding.rule)), None)

    def _acknowledge(self, finding: Finding, reason: str) -> None:
        construct: IConstruct = self._app
        for name in finding.path.split("/"):
            construct = construct.node.find_child(name)
        Validations.of(construct).acknowledge(Acknowledgment(id=finding.rule, reason=reason))


def _packs(app: App, compliance: Compliance) -> list["NagPack"]:
    names = PACKS[compliance]
    if not names:
        return []
    import cdk_nag  # loads every rule into the CDK's process: only who judges pays for it

    return [getattr(cdk_nag, name)(app) for name in names]
