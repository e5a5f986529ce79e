"""The actions that AWS authorizes on no single resource: the only ones a policy may allow on `*`."""

from typing import Final

# By service, as the Service Authorization Reference lists them: without a resource type.
_BY_SERVICE: Final = {
    "autoscaling": ("DescribeAutoScalingGroups", "DescribeScalingActivities"),
    "batch": (
        "DescribeComputeEnvironments",
        "DescribeJobDefinitions",
        "DescribeJobQueues",
        "DescribeJobs",
        "ListJobs",
    ),
    "cloudwatch": ("PutMetricData",),
    "ec2": (
        "DescribeInstances",
        "DescribeInstanceTypes",
        "DescribeNetworkInterfaces",
        "DescribeSpotPriceHistory",
        "DescribeSubnets",
        "DescribeTags",
        "InjectApiError",
    ),
    "ecr": ("GetAuthorizationToken",),
    "ecs": ("DiscoverPollEndpoint",),
    "xray": (
        "GetSamplingRules",
        "GetSamplingStatisticSummaries",
        "GetSamplingTargets",
        "PutTelemetryRecords",
        "PutTraceSegments",
    ),
}
OPEN_ACTIONS: Final = frozenset(f"{service}:{name}" for service, names in _BY_SERVICE.items() for name in names)
