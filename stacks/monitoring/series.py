"""Metrics as the dashboard and the alarms ask for them."""

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

from spotproof import contract, metrics


def of_stack(
    prefix: str, name: str, *, statistic: str, period_s: int = 60, label: str | None = None, lifecycle: str = ""
) -> cloudwatch.Metric:
    """One of our metrics, of the deployment with this prefix; `lifecycle`: of those workers only."""
    apart = {metrics.LIFECYCLE: lifecycle} if lifecycle else {}
    return cloudwatch.Metric(
        namespace=contract.METRIC_NAMESPACE,
        metric_name=name,
        dimensions_map={metrics.STACK: prefix, **apart},
        statistic=statistic,
        period=Duration.seconds(period_s),
        label=label,  # with one, an alarm would be one of metric maths
    )
