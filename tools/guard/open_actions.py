"""The actions that AWS authorizes on no single resource: the only ones a policy may allow on all of them."""

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
# On `*`.
OPEN_ACTIONS: Final = frozenset(f"{service}:{name}" for service, names in _BY_SERVICE.items() for name in names)
# On everything of the service in one account: what Lambda demands before it places a function in a network.
OPEN_IN_ACCOUNT: Final = OPEN_ACTIONS | {
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:UnassignPrivateIpAddresses",
}
