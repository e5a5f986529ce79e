"""What the rule packs find and we keep: each with the reason why fixing it would be worse, or can't be done."""

import re
from dataclasses import dataclass
from typing import Final

MOST: Final = 10  # acknowledgements; the eleventh must take another one's place
_STRICT_PACKS: Final = ("NIST.800.53.R5", "HIPAA.Security", "PCI.DSS.321")


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """Findings of one kind, at some constructs."""

    title: str
    where: str  # regular expression of construct paths; the deployment's prefix is taken off them
    rules: tuple[str, ...]
    what: str = ""  # regular expression of what exactly the rule found; empty where the rule does not tell
    reason: str

    def covers(self, path: str, finding: str) -> bool:
        """Whether it is about this finding.

        Args:
            path: of the construct, from the stack's suffix on: `State/Work/Resource`.
            finding: as the pack names it: rule, and in brackets what it found, as in `AwsSolutions-IAM5[Resource::*]`.
        """
        rule, _, what = finding.partition("[")
        return (
            rule in self.rules
            and re.fullmatch(self.where, path) is not None
            and re.fullmatch(self.what, what.removesuffix("]")) is not None
        )

    @property
    def is_strict_only(self) -> bool:
        """Whether only a strict deployment is asked."""
        return all(rule.startswith(_STRICT_PACKS) for rule in self.rules)


def _strict(rule: str) -> tuple[str, ...]:
    return tuple(f"{pack}-{rule}" for pack in _STRICT_PACKS)


_POLICY: Final = r".*Policy/Resource"
_OF_OURS: Final = r"[\w-]+-State:ExportsOutputFnGetAtt"  # a bucket of the state stack, as other stacks name it
_OF_ACCOUNT: Final = "<AWS::Region>:<AWS::AccountId>"

ACKNOWLEDGED: Final = (
    Acknowledged(
        title="keys below a prefix",
        where=_POLICY,
        rules=("AwsSolutions-IAM5",),
        what=(
            rf"Resource::({_OF_OURS}Work\w+/(checkpoints|control|history|runs|staging)/\*"
            rf"|{_OF_OURS}Data\w+/\*"
            r"|arn:<AWS::Partition>:s3:::[a-z0-9][a-z0-9.-]+/\*"
            r"|arn:<AWS::Partition>:s3:::cdk-[a-z0-9]+-assets-<AWS::AccountId>-<AWS::Region>/\*\.zip)"
        ),
        reason="S3 objects are named while a run goes on, so a policy can only name what their keys begin with. The "
        "bucket is always named, each role has only the prefixes that its code uses, and of the CDK's bucket only zips; "
        "the test of least privilege compares the prefixes with the keys that real runs touch.",
    ),
    Acknowledged(
        title="things that AWS names at run time",
        where=_POLICY,
        rules=("AwsSolutions-IAM5",),
        what=(
            rf"Resource::arn:<AWS::Partition>:(batch:{_OF_ACCOUNT}:(job/|job-definition/[\w-]+:)\*"
            rf"|ec2:{_OF_ACCOUNT}:(instance|\*)/\*"
            rf"|ecs:{_OF_ACCOUNT}:(cluster|container-instance)/\*)"
        ),
        reason="Job ids, revisions of a job definition, instances, Batch's own clusters and functions' network interfaces "
        "don't exist at deployment. Account and region are fixed, a job definition's name too, and an instance must carry "
        "the tag of this deployment before a game day may interrupt it.",
    ),
    Acknowledged(
        title="actions that know no resource",
        where=_POLICY,
        rules=("AwsSolutions-IAM5",),
        what=r"Resource::\*",
        reason="IAM gives these actions no resource type to name (Describe and List calls, prices, X-Ray, an ECR login "
        "token). They are a fixed list in tools/guard/open_actions.py, and the guard finds any other action that stands "
        "beside a * resource.",
    ),
    Acknowledged(
        title="no queue behind the end of the line",
        where=r"Events/(FailedEvents|Undelivered)/Resource",
        rules=("AwsSolutions-SQS3", "Serverless-SQSRedrivePolicy"),
        reason="These two queues are the dead-letter queues: of the functions and of the rules. Nothing receives from "
        "them but people, so no message can fail there; an alarm rings when one holds anything.",
    ),
    Acknowledged(
        title="no queue behind the mail of an alarm",
        where=r"Monitoring/Attention/.+/Resource",
        rules=("Serverless-SNSRedrivePolicy",),
        reason="A mail that can't be delivered bounces at a mail server, after SNS has handed it over, so a queue would "
        "stay empty. The alarm itself stays on in CloudWatch, and the doctor names it and says whether anybody has "
        "confirmed the subscription.",
    ),
    Acknowledged(
        title="a destination of failed events instead of a dead-letter queue",
        where=r"Events/\w+/Resource",
        rules=("Serverless-LambdaDLQ", "NIST.800.53.R5-LambdaDLQ", "HIPAA.Security-LambdaDLQ"),
        reason="Each function sends what failed to the end to the queue FailedEvents by its on-failure destination, "
        "which also tells the error and the number of tries. A dead-letter queue besides would hold every failed event "
        "twice, and with less in it; Serverless-LambdaAsyncFailureDestination passes.",
    ),
    Acknowledged(
        title="no copy of the buckets in another region",
        where=r"State/(Work|Data|AccessLogs)/Resource",
        rules=_strict("S3BucketReplicationEnabled"),
        reason="Replication needs a second bucket in a region that only the company can choose, and doubles what storage "
        "costs. Each bucket keeps versions; replication can be added to the data bucket, the only one whose loss a run "
        "can't repair.",
    ),
    Acknowledged(
        title="S3's own key on the bucket of access logs",
        where=r"State/AccessLogs/Resource",
        rules=_strict("S3DefaultEncryptionKMS"),
        reason="S3 delivers server access logs only to buckets whose default encryption is SSE-S3; with a KMS key it "
        "would deliver none at all. The logs hold names of keys and callers, no content.",
    ),
    Acknowledged(
        title="the default security group",
        where=r"Compute/Fleet/Network/Default/Resource",
        rules=_strict("VPCDefaultSecurityGroupClosed"),
        reason="CloudFormation can't change a network's default group; CDK's way is a custom resource, a function that "
        "may revoke rules of security groups while a deployment runs. Instead nothing is in that group: hosts, "
        "functions and endpoints each name one of their own, which a test on the templates holds them to.",
    ),
)
