"""The product as deployed is the product as synthesized: no property was dropped on the way."""

from localcloud.audit import audit
from tests.local.account import TestAccount
from tests.local.synthesis import synthesized


def test_every_deployed_resource_is_what_its_template_says(deployed: TestAccount) -> None:
    found = audit(deployed.running, synthesized(), deployed.client)

    assert [str(difference) for difference in found.differences] == []


def test_the_audit_looks_at_what_the_promise_rests_on(deployed: TestAccount) -> None:
    found = audit(deployed.running, synthesized(), deployed.client)

    assert {
        "AWS::DynamoDB::GlobalTable.GlobalSecondaryIndexes",
        "AWS::S3::Bucket.LifecycleConfiguration",
        "AWS::Batch::ComputeEnvironment.ComputeResources",
        "AWS::Batch::JobDefinition.RetryStrategy",
        "AWS::Batch::JobQueue.JobStateTimeLimitActions",
        "AWS::Events::Rule.Targets",
        "AWS::Lambda::Function.Environment",
        "AWS::FIS::ExperimentTemplate.StopConditions",
        "AWS::FIS::ExperimentTemplate.Targets",
        "AWS::CloudWatch::Alarm.Dimensions",
        "AWS::IAM::ManagedPolicy.PolicyDocument",
        "AWS::S3::Bucket.LoggingConfiguration",
        "AWS::EC2::FlowLog.ResourceId",
    } <= found.checked
