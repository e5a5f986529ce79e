"""The dashboard: the rows of facts drawn, with what AWS itself measures of the control plane."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from stacks.monitoring.alarms import Queue
from stacks.monitoring.queries import Logs, query_of
from stacks.monitoring.rows import ROWS, Graph, Line, Native, Row, Table
from stacks.monitoring.series import of_stack

WIDTH = 24  # of a CloudWatch dashboard
HEIGHT = 6
EVERY = Duration.minutes(5)
# What else does is repeated by the controller; and a dashboard of more than 50 metrics costs money.
FUNCTIONS = ("SpotInterruption", "JobStateChange", "RunFinished", "Controller")
THROTTLES = ("ReadThrottleEvents", "WriteThrottleEvents")  # of a table: "DynamoDB metrics" of its developer guide


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What the dashboard looks at."""

    prefix: str
    functions: Mapping[str, lambda_.IFunction]
    queues: Mapping[Queue, sqs.IQueue]
    table: dynamodb.ITableV2
    groups: Mapping[Logs, Sequence[str]]  # names of log groups
    alarms: Sequence[cloudwatch.IAlarm]


class Dashboard(Construct):
    """One page of six questions, below the state of the alarms."""

    def __init__(self, scope: Construct, watched: Watched) -> None:
        super().__init__(scope, "Dashboard")
        self._watched = watched
        self.dashboard = cloudwatch.Dashboard(
            self, "Page", dashboard_name=watched.prefix, default_interval=Duration.hours(3)
        )
        self.dashboard.add_widgets(
            cloudwatch.AlarmStatusWidget(title="Alarms", alarms=list(watched.alarms), width=WIDTH, height=3)
        )
        for row in ROWS:
            self._add(row)

    def _add(self, row: Row) -> None:
        heading = cloudwatch.TextWidget(markdown=f"## {row.asks}\n{row.hint}", width=WIDTH, height=2)
        self.dashboard.add_widgets(heading)
        self.dashboard.add_widgets(*(self._draw(each, width=WIDTH // len(row.shows)) for each in row.shows))

    def _draw(self, shown: Graph | Table | Native, *, width: int) -> cloudwatch.IWidget:
        match shown:
            case Table():
                query = query_of(shown.query)
                return cloudwatch.LogQueryWidget(
                    title=query.asks,
                    log_group_names=list(self._watched.groups[query.logs]),
                    query_string=query.text,
                    width=width,
                    height=HEIGHT,
                )
            case Graph():
                return cloudwatch.GraphWidget(
                    title=shown.title,
                    left=self._lines(shown, right=False),
                    right=self._lines(shown, right=True),
                    width=width,
                    height=HEIGHT,
                )
            case Native.FUNCTION_ERRORS:
                left = self._function_errors()
            case Native.GIVEN_UP:
                left = self._given_up()
        return cloudwatch.GraphWidget(title=str(shown), left=left, width=width, height=HEIGHT)

    def _lines(self, graph: Graph, *, right: bool) -> list[cloudwatch.IMetric]:
        return [self._line(each, graph.period_s) for each in graph.lines if each.right is right]

    def _line(self, line: Line, period_s: int) -> cloudwatch.IMetric:
        return of_stack(
            self._watched.prefix,
            line.metric,
            statistic=line.statistic,
            period_s=period_s,
            label=line.label or None,
            lifecycle=line.lifecycle,
        )

    def _function_errors(self) -> list[cloudwatch.IMetric]:
        functions = self._watched.functions
        return [functions[name].metric_errors(period=EVERY, label=name) for name in FUNCTIONS]

    def _given_up(self) -> list[cloudwatch.IMetric]:
        waiting = [
            queue.metric_approximate_number_of_messages_visible(
                period=EVERY, statistic="Maximum", label=f"{kind} events"
            )
            for kind, queue in self._watched.queues.items()
        ]
        throttled = [self._watched.table.metric(name, period=EVERY, statistic="Sum", label=name) for name in THROTTLES]
        return [*waiting, *throttled]
