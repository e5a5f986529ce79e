"""Settings come from the environment, and a wrong one is named."""

import pytest

from spotproof import contract
from spotproof.errors import ConfigurationError
from spotproof.settings import AwsSettings, BatchSettings, WorkerSettings

ENV = {contract.ENV_TABLE: "t", contract.ENV_WORK_BUCKET: "w", contract.ENV_DATA_BUCKET: "d"}


def test_three_names_are_enough() -> None:
    settings = WorkerSettings.from_env(ENV)

    assert (settings.table, settings.work_bucket, settings.data_bucket) == ("t", "w", "d")
    assert settings.imds_url == "http://169.254.169.254"
    assert settings.notice_lead_s == 120


@pytest.mark.parametrize("name", sorted(ENV))
def test_a_missing_variable_is_named(name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        WorkerSettings.from_env({key: value for key, value in ENV.items() if key != name})


@pytest.mark.parametrize("value", ["zero", "0", "-3", "nan", "inf"])
def test_a_number_that_is_none_is_named(value: str) -> None:
    with pytest.raises(ConfigurationError, match="SPOTPROOF_VCPUS"):
        BatchSettings.from_env({"SPOTPROOF_VCPUS": value})


def test_an_array_child_knows_its_parent() -> None:
    batch = BatchSettings.from_env({"AWS_BATCH_JOB_ID": "abc:7", "AWS_BATCH_JOB_ARRAY_INDEX": "7"})

    assert (batch.parent_job_id, batch.array_index) == ("abc", 7)


@pytest.mark.parametrize(
    ("url", "local"),
    [("http://127.0.0.1:4566", True), ("http://localhost:1", True), ("https://s3.example.com", False), ("", False)],
)
def test_only_loopback_endpoints_are_local(url: str, local: bool) -> None:
    assert AwsSettings.from_env({"AWS_ENDPOINT_URL": url}).is_local is local
