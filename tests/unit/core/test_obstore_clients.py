"""What obstore is told about AWS: the place, the credentials and how plain HTTP may be."""

import random
from typing import Any

import pytest
from botocore.credentials import Credentials
from botocore.exceptions import CredentialRetrievalError

from spotproof.checkpoints.obstore_s3 import ObstoreObjectStore
from spotproof.clients import Clients, SessionCredentials, endpoint_of
from spotproof.errors import AwsAccessError, AwsError, ConfigurationError
from spotproof.retries import Retrier
from spotproof.settings import AwsSettings
from tests.fakes.clock import FakeClock


@pytest.mark.parametrize(
    ("s3_url", "bucket", "endpoint", "names_bucket"),
    [
        ("https://s3.eu-west-1.amazonaws.com", "work", "https://work.s3.eu-west-1.amazonaws.com", True),
        ("https://s3.cn-north-1.amazonaws.com.cn", "work", "https://work.s3.cn-north-1.amazonaws.com.cn", True),
        ("https://s3.eu-west-1.amazonaws.com", "my.work", "https://s3.eu-west-1.amazonaws.com", False),
        ("http://127.0.0.1:4566", "work", "http://127.0.0.1:4566", False),
        ("https://amazonaws.com.example.org", "work", "https://amazonaws.com.example.org", False),
    ],
)
def test_on_aws_the_endpoint_names_the_bucket(s3_url: str, bucket: str, endpoint: str, names_bucket: bool) -> None:
    assert endpoint_of(s3_url, bucket) == (endpoint, names_bucket)


@pytest.mark.parametrize("region", ["eu-west-1", "us-east-1"])
def test_obstore_gets_the_region_and_endpoint_of_the_other_clients(region: str) -> None:
    settings = AwsSettings(region=region, endpoint_url=None, access_key_id="test", secret_access_key="test")

    store = Clients(settings).obstore("work", timeout_s=10)

    config: dict[str, Any] = {str(key): value for key, value in (store.config or {}).items()}
    assert config["region"] == region
    assert config["endpoint"] in (f"https://work.s3.{region}.amazonaws.com", "https://work.s3.amazonaws.com")
    assert store.retry_config is not None
    assert store.retry_config["max_retries"] == 0


def test_the_certificates_to_trust_come_from_the_environment() -> None:
    assert AwsSettings.from_env({"AWS_CA_BUNDLE": "/etc/ours.pem"}).ca_bundle == "/etc/ours.pem"
    assert AwsSettings.from_env({"AWS_CA_BUNDLE": ""}).ca_bundle is None


def test_nothing_travels_over_plain_http_to_another_host() -> None:
    settings = AwsSettings(
        region="eu-west-1", endpoint_url="http://192.0.2.1:80", access_key_id="test", secret_access_key="test"
    )

    with pytest.raises(ConfigurationError, match=r"endpoint http://192.0.2.1:80 .* SPOTPROOF_TRANSPORT=boto3"):
        Clients(settings).obstore("work", timeout_s=10)


def test_no_credentials_are_a_refusal_that_says_so() -> None:
    error = failed_put(None)

    assert isinstance(error, AwsAccessError)
    assert "Unable to locate credentials" in str(error)


def test_credentials_that_can_not_be_renewed_are_an_error_in_botocores_words() -> None:
    class Broken(Credentials):
        def get_frozen_credentials(self) -> Any:
            raise CredentialRetrievalError(provider="container-role", error_msg="no answer")

    error = failed_put(Broken("a", "b"))

    assert "CredentialRetrievalError" in str(error)
    assert "container-role" in str(error)


def failed_put(credentials: Credentials | None) -> AwsError:
    settings = AwsSettings(
        region="eu-west-1", endpoint_url="http://127.0.0.1:1", access_key_id="test", secret_access_key="test"
    )
    clients = Clients(settings)
    clients.__dict__["credentials"] = SessionCredentials(credentials, FakeClock())
    retrier = Retrier(clock=FakeClock(), rng=random.Random(1))
    store = ObstoreObjectStore(clients=clients, bucket="work", retrier=retrier)
    with pytest.raises(AwsError) as caught:
        store.put("k", b"x")
    return caught.value
