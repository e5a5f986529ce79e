"""Monitoring stack: one dashboard, the alarms with one that stands for all, two topics, and the saved queries."""

from aws_cdk import Aws, CfnOutput, Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from spotproof import contract
from stacks.compute import ComputeStack
from stacks.events import EventsStack
from stacks.monitoring.alarms import ALARMS, COMPOSITE, COMPOSITE_SAYS, AlarmSpec, Queue, alarm_name
from stacks.monitoring.dashboard import Dashboard, Watched
from stacks.monitoring.queries import QUERIES, Logs
from stacks.monitoring.series import of_stack
from stacks.settings import DeploySettings
from stacks.state import StateStack


class MonitoringStack(Stack):
    """What tells people. Without it, everything else works the same."""

    def __init__(
        self,
        scope: Construct,
        *,
        settings: DeploySettings,
        state: StateStack,
        compute: ComputeStack,
        events: EventsStack,
    ) -> None:
        name = settings.stack_name(contract.STACK_MONITORING)
        super().__init__(scope, name, stack_name=name, description="Spotproof: alarms, dashboard and saved queries")
        self._settings = settings
        self._key = state.key
        self._queues: dict[Queue, sqs.IQueue] = {Queue.FAILED: events.failed, Queue.UNDELIVERED: events.undelivered}
        self._groups: dict[Logs, list[logs.ILogGroup]] = {
            Logs.WORKERS: [compute.log_group],
            Logs.FUNCTIONS: list(events.log_groups.values()),
        }
        # Every alarm's ups and downs, for machines; and the one that stands for all, for people.
        self.changes = self._topic("AlarmChanges", "every alarm that goes on or off")
        self.attention = self._topic(COMPOSITE, "somebody should look")
        self.alarms = {spec.name: self._alarm(spec) for spec in ALARMS}
        self.composite = self._composite()
        if settings.alarm_email:
            self.attention.add_subscription(subscriptions.EmailSubscription(settings.alarm_email))
        for query in QUERIES:
            self._save_query(query.name, query.text, query.logs)
        watched = Watched(
            prefix=settings.prefix,
            functions=events.functions,
            queues=self._queues,
            table=state.table,
            groups={kind: [group.log_group_name for group in groups] for kind, groups in self._groups.items()},
            alarms=[self.composite, *self.alarms.values()],
        )
        dashboard = Dashboard(self, watched).dashboard
        CfnOutput(self, contract.OUTPUT_DASHBOARD, value=dashboard.dashboard_name)
        CfnOutput(self, contract.OUTPUT_ATTENTION_TOPIC, value=self.attention.topic_arn)
        CfnOutput(self, contract.OUTPUT_ALARM_CHANGES_TOPIC, value=self.changes.topic_arn)

    def _topic(self, construct_id: str, what: str) -> sns.Topic:
        """CloudWatch may publish, for alarms of this account; an own policy replaces the one that every topic has."""
        topic = sns.Topic(
            self, construct_id, display_name=f"{self._settings.prefix}: {what}", enforce_ssl=True, master_key=self._key
        )
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                actions=["sns:Publish"],
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                resources=[topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
            )
        )
        return topic

    def _alarm(self, spec: AlarmSpec) -> cloudwatch.Alarm:
        compare = cloudwatch.ComparisonOperator
        missing = cloudwatch.TreatMissingData
        alarm = cloudwatch.Alarm(
            self,
            spec.name,
            alarm_name=alarm_name(self._settings.prefix, spec.name),
            alarm_description=f"{spec.says} What to do: docs/operating.md, {spec.name}.",
            metric=self._metric(spec),
            threshold=spec.threshold,
            evaluation_periods=spec.periods,
            datapoints_to_alarm=spec.periods,
            comparison_operator=compare.LESS_THAN_THRESHOLD
            if spec.below
            else compare.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            treat_missing_data=missing.BREACHING if spec.silence_breaches else missing.NOT_BREACHING,
        )
        alarm.add_alarm_action(actions.SnsAction(self.changes))
        alarm.add_ok_action(actions.SnsAction(self.changes))
        return alarm

    def _metric(self, spec: AlarmSpec) -> cloudwatch.Metric:
        if spec.queue is None:
            return of_stack(self._settings.prefix, spec.metric, statistic=spec.statistic, period_s=spec.period_s)
        return self._queues[spec.queue].metric_approximate_number_of_messages_visible(
            statistic=spec.statistic, period=Duration.seconds(spec.period_s)
        )

    def _composite(self) -> cloudwatch.CompositeAlarm:
        """However many alarms go on at once: one message."""
        rules = [cloudwatch.AlarmRule.from_alarm(alarm, cloudwatch.AlarmState.ALARM) for alarm in self.alarms.values()]
        composite = cloudwatch.CompositeAlarm(
            self,
            f"{COMPOSITE}Alarm",
            composite_alarm_name=alarm_name(self._settings.prefix, COMPOSITE),
            alarm_description=f"{COMPOSITE_SAYS} What to do: docs/operating.md, {COMPOSITE}.",
            alarm_rule=cloudwatch.AlarmRule.any_of(*rules),
        )
        composite.add_alarm_action(actions.SnsAction(self.attention))
        composite.add_ok_action(actions.SnsAction(self.attention))
        return composite

    def _save_query(self, name: str, text: str, kind: Logs) -> None:
        title = "".join(word.capitalize() for word in name.split("-"))
        logs.CfnQueryDefinition(
            self,
            f"Query{title}",
            name=f"{self._settings.prefix}/{name}",
            query_string=text,
            log_group_names=[group.log_group_name for group in self._groups[kind]],
        )
