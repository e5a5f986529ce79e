"""Game days stack: experiments of the Fault Injection Service that rehearse what Spot does to a run."""

from collections.abc import Mapping, Sequence
from typing import Final

from aws_cdk import Aws, CfnOutput, Fn, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_fis as fis
from aws_cdk import aws_iam as iam
from constructs import Construct

from spotproof import contract
from stacks.roles import service_role
from stacks.settings import DeploySettings

STOPS_GAME_DAYS: Final = ("ControllerFails", "EventsFailed")  # of the monitoring stack's alarms
SERVICE: Final = "fis.amazonaws.com"
INTERRUPT: Final = "aws:ec2:send-spot-instance-interruptions"
NO_CAPACITY: Final = "aws:ec2:asg-insufficient-instance-capacity-error"
SPOT_INSTANCE: Final = "aws:ec2:spot-instance"
SCALING_GROUP: Final = "aws:ec2:autoscaling-group"
# Recommendation and notice at once, the reclaim two minutes later: the shortest that the action takes.
NOTICE: Final = "PT2M"
SHORTAGE: Final = "PT10M"  # as long as the default patience of the fallback controller

Action = fis.CfnExperimentTemplate.ExperimentTemplateActionProperty
Target = fis.CfnExperimentTemplate.ExperimentTemplateTargetProperty


class GameDaysStack(Stack):
    """What rehearses. Nothing here runs, or is paid for, until somebody starts an experiment."""

    def __init__(self, scope: Construct, *, settings: DeploySettings, stop_alarms: Sequence[cloudwatch.IAlarm]) -> None:
        """`stop_alarms`: while one of them rings, Spotproof itself can't cope, and it is no time to take more away."""
        name = settings.stack_name(contract.STACK_GAME_DAYS)
        super().__init__(scope, name, stack_name=name, description="Spotproof: rehearsals of interruptions")
        self._settings, self._alarms = settings, stop_alarms
        self._role = self._experiment_role()
        self._plan(contract.GAME_DAY_INTERRUPT, "one Spot instance is interrupted", self._interruption("COUNT(1)"))
        self._plan(
            contract.GAME_DAY_INTERRUPT_HALF,
            "half of the Spot instances are interrupted",
            self._interruption("PERCENT(50)"),
        )
        self._plan(
            contract.GAME_DAY_NO_CAPACITY,
            "one Spot instance is interrupted while no new one can be had",
            {**self._interruption("COUNT(1)"), **self._shortage()},
            # By hand, the groups are found only where somebody tagged them; the interruption goes on without.
            empty="skip",
        )

    def _plan(
        self, plan: str, description: str, steps: Mapping[str, tuple[Action, Target]], *, empty: str = "fail"
    ) -> None:
        """One template: each step is an action on a target of the same name."""
        title = "".join(word.capitalize() for word in plan.split("-"))
        template = fis.CfnExperimentTemplate(
            self,
            title,
            description=f"{self._settings.prefix}: {description}",
            role_arn=self._role.role_arn,
            stop_conditions=self._stop_conditions(),
            targets={name: target for name, (_, target) in steps.items()},
            actions={name: action for name, (action, _) in steps.items()},
            experiment_options=fis.CfnExperimentTemplate.ExperimentTemplateExperimentOptionsProperty(
                account_targeting="single-account", empty_target_resolution_mode=empty
            ),
            tags={"Name": f"{self._settings.prefix} {plan}", contract.TAG_DEPLOYMENT: self._settings.prefix},
        )
        CfnOutput(self, contract.GAME_DAY_OUTPUTS[plan], value=template.attr_id)

    def _interruption(self, selection: str) -> dict[str, tuple[Action, Target]]:
        action = Action(
            action_id=INTERRUPT,
            parameters={"durationBeforeInterruption": NOTICE},
            targets={"SpotInstances": contract.GAME_DAY_INSTANCES},
        )
        target = Target(
            resource_type=SPOT_INSTANCE,
            resource_tags=self._spot_tags(),
            filters=[{"path": "State.Name", "values": ["running"]}],
            selection_mode=selection,
        )
        return {contract.GAME_DAY_INSTANCES: (action, target)}

    def _shortage(self) -> dict[str, tuple[Action, Target]]:
        """No new instance for the Auto Scaling groups of the Spot environment, in any of our zones.

        Batch makes the groups and tags them with nothing of ours: `spotproof gameday` looks their ARNs up and puts them
        in the tags' place.
        """
        zones = [Fn.select(index, Fn.get_azs()) for index in range(self._settings.zones)]
        action = Action(
            action_id=NO_CAPACITY,
            parameters={
                "availabilityZoneIdentifiers": Fn.join(",", zones),
                "duration": SHORTAGE,
                "percentage": "100",
            },
            targets={"AutoScalingGroups": contract.GAME_DAY_GROUPS},
        )
        target = Target(resource_type=SCALING_GROUP, resource_tags=self._spot_tags(), selection_mode="ALL")
        return {contract.GAME_DAY_GROUPS: (action, target)}

    def _spot_tags(self) -> dict[str, str]:
        return {contract.TAG_LIFECYCLE: contract.LIFECYCLE_SPOT, contract.TAG_DEPLOYMENT: self._settings.prefix}

    def _experiment_role(self) -> iam.IRole:
        """Assumed by experiments of this account only; takes away instances of this deployment only."""
        experiments = f"arn:{Aws.PARTITION}:fis:{Aws.REGION}:{Aws.ACCOUNT_ID}:experiment/*"
        return service_role(
            self,
            "ExperimentRole",
            service=SERVICE,
            description="What a Spotproof game day may do",
            statements=self._statements(),
            conditions={
                "StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID},
                "ArnLike": {"aws:SourceArn": experiments},
            },
        )

    def _statements(self) -> Sequence[iam.PolicyStatement]:
        everything = ["*"]  # EC2 and Auto Scaling know no narrower resource for these
        return (
            iam.PolicyStatement(
                actions=["ec2:SendSpotInstanceInterruptions"],
                resources=[f"arn:{Aws.PARTITION}:ec2:{Aws.REGION}:{Aws.ACCOUNT_ID}:instance/*"],
                conditions={"StringEquals": {f"aws:ResourceTag/{contract.TAG_DEPLOYMENT}": self._settings.prefix}},
            ),
            iam.PolicyStatement(
                actions=["ec2:InjectApiError"],
                resources=everything,
                conditions={"ForAnyValue:StringEquals": {"ec2:FisActionId": [NO_CAPACITY]}},
            ),
            iam.PolicyStatement(
                actions=["ec2:DescribeInstances", "autoscaling:DescribeAutoScalingGroups"], resources=everything
            ),
        )

    def _stop_conditions(self) -> list[fis.CfnExperimentTemplate.ExperimentTemplateStopConditionProperty]:
        return [
            fis.CfnExperimentTemplate.ExperimentTemplateStopConditionProperty(
                source="aws:cloudwatch:alarm", value=alarm.alarm_arn
            )
            for alarm in self._alarms
        ]
