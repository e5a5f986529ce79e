"""Instance metadata against the recorded answers of the real service."""

import json
from pathlib import Path
from typing import Any

import pytest

from localcloud.catalog import TYPES
from localcloud.imds import Tokens, look_up, metadata_of, refusal
from localcloud.instance import Instance, LaunchRequest, Lifecycle
from localcloud.market import Pool

RECORDED: dict[str, Any] = json.loads(
    (Path(__file__).parent.parent / "events" / "imds" / "dynamic_responses.json").read_text()
)
TTL = {"x-aws-ec2-metadata-token-ttl-seconds": "60"}


def _instance(lifecycle: Lifecycle = Lifecycle.SPOT) -> Instance:
    pool = Pool(type=TYPES["m5.large"], zone="us-east-1a", subnet="s", price_usd=0.03, free=9, risk=0.1)
    request = LaunchRequest(
        environment="spot",
        cluster="AWSBatch-spot",
        account="000000000000",
        region="us-east-1",
        lifecycle=lifecycle,
        pool=pool,
        instance_role=None,
        tags={"Lifecycle": "spot"},
    )
    return Instance(id="i-0123456789abcdef0", request=request, launched_at=0.0)


def test_before_a_notice_there_is_nothing_to_find() -> None:
    values = metadata_of(_instance(), role=None)

    for path in ("spot/instance-action", "spot/termination-time", "events/recommendations/rebalance"):
        absent = RECORDED[f"GET /latest/meta-data/{path}"]["absent"]
        assert look_up(f"latest/meta-data/{path}", values).status == absent["status"]


def test_a_notice_reads_as_the_real_one_does() -> None:
    instance = _instance()
    instance.reclaim_at = 1505722920.7  # 2017-09-18T08:22:00.7Z
    values = metadata_of(instance, role=None)

    answer = look_up("latest/meta-data/spot/instance-action", values)

    recorded = RECORDED["GET /latest/meta-data/spot/instance-action"]["terminate"]
    assert (answer.status, answer.content_type) == (recorded["status"], recorded["content_type"])
    assert json.loads(answer.body) == json.loads(recorded["body"])


def test_a_rebalance_recommendation_reads_as_the_real_one_does() -> None:
    instance = _instance()
    instance.rebalance_at = 1603786920.0
    values = metadata_of(instance, role=None)

    answer = look_up("latest/meta-data/events/recommendations/rebalance", values)

    recorded = RECORDED["GET /latest/meta-data/events/recommendations/rebalance"]["set"]
    assert json.loads(answer.body) == json.loads(recorded["body"])


@pytest.mark.parametrize("lifecycle", list(Lifecycle))
def test_the_lifecycle_is_told_in_the_real_words(lifecycle: Lifecycle) -> None:
    answer = look_up("latest/meta-data/instance-life-cycle", metadata_of(_instance(lifecycle), role=None))

    assert answer.body == RECORDED["GET /latest/meta-data/instance-life-cycle"][str(lifecycle)]["body"]


def test_a_directory_is_listed() -> None:
    answer = look_up("latest/meta-data/", metadata_of(_instance(), role="worker"))

    assert {"instance-id", "placement/", "iam/", "tags/"} <= set(answer.body.splitlines())


@pytest.mark.parametrize("ttl", ["", "0", "21601", "soon"])
def test_a_token_without_a_sensible_lifetime_is_refused(ttl: str) -> None:
    recorded = RECORDED["PUT /latest/api/token"]["missing_or_bad_ttl"]

    assert Tokens().issue("i-1", {"x-aws-ec2-metadata-token-ttl-seconds": ttl}).status == recorded["status"]


def test_a_token_asked_for_through_a_proxy_is_refused() -> None:
    recorded = RECORDED["PUT /latest/api/token"]["x_forwarded_for_present_or_versioned_path"]

    assert Tokens().issue("i-1", {**TTL, "x-forwarded-for": "10.0.0.1"}).status == recorded["status"]


def test_a_token_admits_its_own_instance_only() -> None:
    tokens = Tokens()
    issued = tokens.issue("i-1", TTL)
    headers = {"x-aws-ec2-metadata-token": issued.body}

    assert issued.status == 200
    assert tokens.admits("i-1", headers)
    assert not tokens.admits("i-2", headers)
    assert not tokens.admits("i-1", {})


def test_an_error_is_a_small_page() -> None:
    answer = refusal(404)

    assert (answer.status, answer.content_type) == (404, "text/html")
    assert "<h1>404 - Not Found</h1>" in answer.body
