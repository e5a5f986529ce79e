"""Events stack: the route table made real. Per route a rule, a function with a role of its own, and its log."""

from collections.abc import Sequence
from dataclasses import replace

from aws_cdk import Aws, CfnOutput, Duration, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as event_targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_destinations as destinations
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from spotproof import contract
from stacks.bundle import Bundle
from stacks.compute import ComputeStack, state_targets
from stacks.jobs import JobSpec
from stacks.keys import key_use
from stacks.log_groups import log_group
from stacks.permissions import Targets, allow, in_network, statements
from stacks.roles import service_role
from stacks.routes import LAMBDA_AGE_S_MAX, EventRoute
from stacks.settings import DeploySettings
from stacks.state import StateStack

STRICT_CONCURRENCY = 5  # of each function; a rule delivers what comes meanwhile later
RUNTIME = lambda_.Runtime.PYTHON_3_14


class EventsStack(Stack):
    """What reacts."""

    def __init__(
        self,
        scope: Construct,
        *,
        settings: DeploySettings,
        state: StateStack,
        compute: ComputeStack,
        jobs: Sequence[JobSpec],
        routes: Sequence[EventRoute],
        code: Bundle,
    ) -> None:
        name = settings.stack_name(contract.STACK_EVENTS)
        super().__init__(scope, name, stack_name=name, description="Spotproof: events and their handlers")
        self._settings, self._key = settings, state.key
        self._network = compute.fleet.network if settings.strict else None
        self._queues = compute.fleet.queues
        self._targets = self._all_targets(state, compute, jobs)
        self._environment = self._function_environment(state, compute)
        self._code = lambda_.Code.from_asset(str(code.path), asset_hash=code.digest)
        # Delivered but failed to the end: another thing than never delivered, whose messages name their rule.
        self.failed = self._dead_letters("FailedEvents")
        self.undelivered = self._dead_letters("Undelivered")
        self._group = self._security_group()
        self.log_groups = {route.name: self._logs(route) for route in routes}
        self.functions = {route.name: self._function(route) for route in routes}
        for route in routes:
            self._rule(route)
        CfnOutput(self, "FailedEventsQueueUrl", value=self.failed.queue_url)
        CfnOutput(self, "UndeliveredQueueUrl", value=self.undelivered.queue_url)

    def _all_targets(self, state: StateStack, compute: ComputeStack, jobs: Sequence[JobSpec]) -> Targets:
        arn = f"arn:{Aws.PARTITION}:batch:{Aws.REGION}:{Aws.ACCOUNT_ID}:"
        names = (job.definition_name(self._settings.prefix) for job in jobs)
        return replace(
            state_targets(state, self._settings),
            queues=tuple(queue.job_queue_arn for queue in self._queues),
            on_demand_queues=tuple(pair.on_demand.job_queue_arn for pair in compute.fleet.pairs),
            job_definitions=tuple(f"{arn}job-definition/{name}" for name in names),
            jobs=f"{arn}job/*",
        )

    def _function_environment(self, state: StateStack, compute: ComputeStack) -> dict[str, str]:
        spot, on_demand, *_ = self._queues
        further = {contract.ENV_FAMILY_QUEUES: compute.family_queues} if compute.family_queues else {}
        return {
            **further,
            contract.ENV_TABLE: state.table.table_name,
            contract.ENV_WORK_BUCKET: state.work_bucket.bucket_name,
            contract.ENV_DATA_BUCKET: state.data_bucket.bucket_name,
            contract.ENV_STACK: self._settings.prefix,
            contract.ENV_SPOT_QUEUE: spot.job_queue_name,
            contract.ENV_ON_DEMAND_QUEUE: on_demand.job_queue_name,
            contract.ENV_EVENT_BUS: "default",
            contract.ENV_BREAKER: self._settings.breaker,
            contract.ENV_LOG_LEVEL: "INFO",
            contract.ENV_MEMORY_MAX: str(compute.memory_mib_max),
            "POWERTOOLS_METRICS_NAMESPACE": contract.METRIC_NAMESPACE,
            "POWERTOOLS_LOG_LEVEL": "INFO",
        }

    def _rule(self, route: EventRoute) -> None:
        events.Rule(
            self,
            f"{route.name}Rule",
            event_pattern=None if route.every_minutes else self._pattern(route),
            schedule=events.Schedule.rate(Duration.minutes(route.every_minutes)) if route.every_minutes else None,
            targets=[
                event_targets.LambdaFunction(
                    self.functions[route.name],
                    dead_letter_queue=self.undelivered,
                    max_event_age=Duration.seconds(route.age_s_max),
                    retry_attempts=route.deliveries,
                )
            ],
        )

    def _pattern(self, route: EventRoute) -> events.EventPattern:
        detail = route.detail([queue.job_queue_arn for queue in self._queues])
        return events.EventPattern(source=[route.source], detail_type=[route.detail_type], detail=detail or None)

    def _function(self, route: EventRoute) -> lambda_.Function:
        return lambda_.Function(
            self,
            route.name,
            description=f"Spotproof: {route.detail_type or 'scheduled controller'}",
            runtime=RUNTIME,
            architecture=lambda_.Architecture.ARM_64,  # cheaper, and the bundle is pure Python
            handler=route.handler,
            code=self._code,
            environment={**self._environment, "POWERTOOLS_SERVICE_NAME": route.handler.split(".")[1]},
            timeout=Duration.seconds(route.timeout_s),
            memory_size=route.memory_mib,
            reserved_concurrent_executions=self._reserved_concurrency(),
            max_event_age=Duration.seconds(min(route.age_s_max, LAMBDA_AGE_S_MAX)),
            retry_attempts=route.retries,
            on_failure=destinations.SqsDestination(self.failed),
            tracing=lambda_.Tracing.ACTIVE,
            role=self._role(route),
            vpc=self._network.vpc if self._network else None,
            vpc_subnets=self._network.subnets if self._network else None,
            security_groups=[self._group] if self._group else None,
            log_group=self.log_groups[route.name],
        )

    def _reserved_concurrency(self) -> int | None:
        """Strict deployments bound every function, so that none can use up what the account's others need."""
        chosen = self._settings.reserved_concurrency
        return chosen or (STRICT_CONCURRENCY if self._settings.strict else None)

    def _security_group(self) -> ec2.SecurityGroup | None:
        if self._network is None:
            return None
        return ec2.SecurityGroup(
            self, "Functions", vpc=self._network.vpc, description="Spotproof functions: nothing comes in"
        )

    def _role(self, route: EventRoute) -> iam.IRole:
        own = [
            allow(["logs:CreateLogStream", "logs:PutLogEvents"], [self.log_groups[route.name].log_group_arn]),
            allow(["sqs:SendMessage"], [self.failed.queue_arn]),
            allow(["xray:PutTraceSegments", "xray:PutTelemetryRecords"], ["*"]),  # X-Ray knows no narrower resource
        ]
        granted = [statement for grant in route.grants for statement in statements(grant, self._targets)]
        return service_role(
            self,
            f"{route.name}Role",
            service="lambda.amazonaws.com",
            description=f"What the function {route.name} of Spotproof may do",
            statements=[*own, *granted, *key_use(self._key), *(in_network() if self._network else ())],
        )

    def _logs(self, route: EventRoute) -> logs.LogGroup:
        return log_group(self, f"{route.name}Logs", days=self._settings.log_retention_days, key=self._key)

    def _dead_letters(self, name: str) -> sqs.Queue:
        encryption = sqs.QueueEncryption.KMS if self._key else sqs.QueueEncryption.SQS_MANAGED
        days = Duration.days(self._settings.dead_letter_days)
        return sqs.Queue(
            self, name, enforce_ssl=True, encryption=encryption, encryption_master_key=self._key, retention_period=days
        )
