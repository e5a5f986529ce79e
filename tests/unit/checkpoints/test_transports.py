"""Which transport a worker gets."""

import logging
import random
import sys

import pytest

from spotproof import events
from spotproof.checkpoints.obstore_s3 import ObstoreObjectStore
from spotproof.checkpoints.s3 import S3ObjectStore
from spotproof.checkpoints.store import ObjectStore
from spotproof.checkpoints.transports import open_bucket
from spotproof.clients import Clients
from spotproof.errors import ConfigurationError
from spotproof.retries import Retrier
from spotproof.settings import AwsSettings, Transport
from tests.fakes.clock import FakeClock


def opened(transport: Transport | None) -> ObjectStore:
    settings = AwsSettings(region="eu-west-1", endpoint_url=None, access_key_id="test", secret_access_key="test")
    retrier = Retrier(clock=FakeClock(), rng=random.Random(1))
    return open_bucket("work-bucket", clients=Clients(settings), retrier=retrier, transport=transport)


@pytest.fixture
def without_obstore(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.delitem(sys.modules, "spotproof.checkpoints.obstore_s3")


@pytest.mark.parametrize("transport", [None, Transport.OBSTORE])
def test_checkpoints_go_over_obstore(transport: Transport | None, caplog: pytest.LogCaptureFixture) -> None:
    assert isinstance(opened(transport), ObstoreObjectStore)
    assert caplog.messages == []


def test_boto3_can_be_forced() -> None:
    assert isinstance(opened(Transport.BOTO3), S3ObjectStore)


@pytest.mark.usefixtures("without_obstore")
def test_without_obstore_they_go_over_boto3_and_one_line_says_so(caplog: pytest.LogCaptureFixture) -> None:
    assert isinstance(opened(None), S3ObjectStore)

    (line,) = [record for record in caplog.records if record.name.startswith("spotproof")]
    assert (line.levelno, line.getMessage()) == (logging.WARNING, events.TRANSPORT_FELL_BACK)
    assert "obstore" in vars(line)["error"]


@pytest.mark.usefixtures("without_obstore")
def test_what_was_forced_and_is_not_there_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(ConfigurationError, match=r"SPOTPROOF_TRANSPORT asks for obstore, .* unset it for boto3"):
        opened(Transport.OBSTORE)


def test_the_environment_names_the_transport() -> None:
    assert Transport.from_env({}) is None
    assert Transport.from_env({"SPOTPROOF_TRANSPORT": ""}) is None
    assert Transport.from_env({"SPOTPROOF_TRANSPORT": "boto3"}) is Transport.BOTO3
    with pytest.raises(ConfigurationError, match="SPOTPROOF_TRANSPORT must be obstore or boto3, got 'ftp'"):
        Transport.from_env({"SPOTPROOF_TRANSPORT": "ftp"})
