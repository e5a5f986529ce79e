"""State stack: the table and the two buckets. Everything else can be deployed again; this is what must not be lost."""

from typing import cast

from aws_cdk import CfnOutput, CfnResource, Duration, RemovalPolicy, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_s3 as s3
from constructs import Construct

from spotproof import contract
from stacks.keys import data_key
from stacks.settings import DeploySettings


class StateStack(Stack):
    """Table of shards, bucket of work in progress, bucket of inputs and results; and who asked the buckets for what."""

    def __init__(self, scope: Construct, *, settings: DeploySettings) -> None:
        name = settings.stack_name(contract.STACK_STATE)
        super().__init__(scope, name, stack_name=name, description="Spotproof: table and buckets")
        self._settings = settings
        self._retain = settings.removal == "retain"
        self.key = data_key(self, removal=self._removal_policy) if settings.strict else None
        self.table = self._shard_table()
        self.access_logs = self._access_logs()
        self.work_bucket = self._work_bucket()
        self.data_bucket = self._data_bucket()
        CfnOutput(self, contract.OUTPUT_TABLE, value=self.table.table_name)
        CfnOutput(self, contract.OUTPUT_WORK_BUCKET, value=self.work_bucket.bucket_name)
        CfnOutput(self, contract.OUTPUT_DATA_BUCKET, value=self.data_bucket.bucket_name)
        CfnOutput(self, contract.OUTPUT_KEPT, value=self._kept())

    def _kept(self) -> str:
        """What `cdk destroy` leaves, for people: shown after each deployment."""
        buckets = [each.bucket_name for each in (self.work_bucket, self.data_bucket, self.access_logs)]
        if not self._retain:
            return f"nothing, once these buckets are empty: {', '.join(buckets)}"
        key = f", key {self.key.key_id}" if self.key is not None else ""
        return f"table {self.table.table_name}, buckets {', '.join(buckets)}{key}"

    @property
    def _removal_policy(self) -> RemovalPolicy:
        return RemovalPolicy.RETAIN if self._retain else RemovalPolicy.DESTROY

    def _shard_table(self) -> dynamodb.TableV2:
        """No time to live: DynamoDB deletes within days and shows expired items, so a lease's expiry is compared."""
        table = dynamodb.TableV2(
            self,
            "Shards",
            partition_key=_attribute(contract.PARTITION_KEY, "S"),
            sort_key=_attribute(contract.SORT_KEY, "S"),
            global_secondary_indexes=[_index(spec) for spec in contract.TABLE_INDEXES],
            billing=dynamodb.Billing.on_demand(),
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            deletion_protection=self._retain,
            removal_policy=self._removal_policy,
        )
        if self.key is not None:
            # By the resource's own words: the construct sets a key only where the region is known at synthesis.
            resource = cast("CfnResource", table.node.default_child)
            resource.add_property_override("SSESpecification", {"SSEEnabled": True, "SSEType": "KMS"})
            resource.add_property_override("Replicas.0.SSESpecification.KMSMasterKeyId", self.key.key_arn)
        return table

    def _work_bucket(self) -> s3.Bucket:
        """Plans, checkpoints, staged output, stop files.

        What a run still needs never expires by age, however long the run: only objects that the finalizer tagged as
        done do. S3 counts in whole days at midnight UTC, so this is the safety net; prompt deletion is the finalizer's.
        """
        settings = self._settings
        tag, value = contract.CHECKPOINT_DONE_TAG
        return self._bucket(
            "Work",
            versioned=False,
            rules=[
                s3.LifecycleRule(
                    id="done", tag_filters={tag: value}, expiration=Duration.days(settings.checkpoint_days)
                ),
                s3.LifecycleRule(
                    id="run-records",
                    prefix=contract.HISTORY_PREFIX,
                    expiration=Duration.days(settings.run_records_days),
                ),
                s3.LifecycleRule(id="stop-files", prefix=contract.CONTROL_PREFIX, expiration=Duration.days(1)),
                # Not versioned by us; if someone turns it on, deleted checkpoints must not pile up.
                s3.LifecycleRule(
                    id="noncurrent",
                    noncurrent_version_expiration=Duration.days(1),
                    expired_object_delete_marker=True,
                ),
            ],
        )

    def _data_bucket(self) -> s3.Bucket:
        """Inputs and results; versioned, because people's data can be overwritten by people."""
        return self._bucket(
            "Data",
            versioned=True,
            rules=[
                s3.LifecycleRule(
                    id="noncurrent",
                    noncurrent_version_expiration=Duration.days(self._settings.noncurrent_days),
                    expired_object_delete_marker=True,
                )
            ],
        )

    def _access_logs(self) -> s3.Bucket:
        """One line for each request to the other buckets, delivered by S3 within hours, best effort."""
        return self._bucket(
            "AccessLogs",
            versioned=False,
            rules=[
                s3.LifecycleRule(id="old", expiration=Duration.days(self._settings.log_retention_days)),
                s3.LifecycleRule(
                    id="noncurrent",
                    noncurrent_version_expiration=Duration.days(1),
                    expired_object_delete_marker=True,
                ),
            ],
            logged=False,
        )

    def _bucket(
        self, construct_id: str, *, versioned: bool, rules: list[s3.LifecycleRule], logged: bool = True
    ) -> s3.Bucket:
        key = self.key if logged else None
        abandoned = s3.LifecycleRule(id="multipart", abort_incomplete_multipart_upload_after=Duration.days(1))
        bucket = s3.Bucket(
            self,
            construct_id,
            enforce_ssl=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            # S3 can't deliver its own access logs under a key of ours.
            encryption=s3.BucketEncryption.KMS if key else s3.BucketEncryption.S3_MANAGED,
            encryption_key=key,
            bucket_key_enabled=True if key else None,
            versioned=versioned or self._settings.strict or None,
            lifecycle_rules=[*rules, abandoned],
            server_access_logs_bucket=self.access_logs if logged else None,
            server_access_logs_prefix=f"{construct_id.lower()}/" if logged else None,
            removal_policy=self._removal_policy,
        )
        if bucket.policy is not None:  # a bucket that stays keeps refusing plain HTTP
            bucket.policy.apply_removal_policy(self._removal_policy)
        return bucket


def _attribute(name: str, kind: str) -> dynamodb.Attribute:
    types = {"S": dynamodb.AttributeType.STRING, "N": dynamodb.AttributeType.NUMBER}
    return dynamodb.Attribute(name=name, type=types[kind])


def _index(spec: contract.IndexSpec) -> dynamodb.GlobalSecondaryIndexPropsV2:
    projection = dynamodb.ProjectionType.INCLUDE if spec.include else dynamodb.ProjectionType.KEYS_ONLY
    return dynamodb.GlobalSecondaryIndexPropsV2(
        index_name=spec.name,
        partition_key=_attribute(spec.partition_key, "S"),
        sort_key=_attribute(spec.sort_key, spec.sort_key_type),
        projection_type=projection,
        non_key_attributes=list(spec.include) or None,
    )
