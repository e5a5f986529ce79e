"""Claims about the simulated instance metadata, asked by the product's own client."""

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import pytest

from simulation.cloud.aws_event import epoch_ms, moment_of
from simulation.cloud.fleet import METADATA_BLIND
from simulation.cloud.imds import (
    FAULT,
    FAULTS,
    TOKEN_HEADER,
    TOKEN_PATH,
    TTL_HEADER,
    MetadataFault,
    SimMetadata,
    value_at,
)
from simulation.cloud.instance import Lifecycle, SimInstance
from simulation.kernel.process import Process
from spotproof.interruptions.imds import (
    NOTICE_PATH,
    REBALANCE_PATH,
    ROOT,
    TIMEOUT_S,
    InstanceMetadata,
    MetadataResponse,
    parse_instance_action,
    parse_rebalance,
)
from spotproof.interruptions.model import SourceUnavailableError
from spotproof.settings import BatchSettings
from spotproof.worker.host import IDENTITY_PATH, launched_at_ms, read_host
from tests.simulation.cloud_rig import Rig

T = TypeVar("T")


class Choosing(random.Random):
    """Chooses what the test wants to see."""

    def __init__(self, wanted: MetadataFault) -> None:
        super().__init__(1)
        self.wanted = wanted

    def choice(self, seq: Any) -> Any:
        assert self.wanted in seq
        return self.wanted


def on_host(
    rig: Rig,
    instance: SimInstance,
    work: Callable[[Process, SimMetadata], T],
    rng: random.Random | None = None,
) -> T:
    """What `work` returns in a process on the instance."""
    found: list[T] = []

    def main(process: Process) -> int:
        transport = SimMetadata(
            process=process, instance=instance, trace=rig.trace, rng=rng or rig.rng, faults=rig.faults
        )
        found.append(work(process, transport))
        return 0

    process = rig.process_on(instance, main)
    assert rig.run(10 * 86_400, until=lambda: not process.alive)
    if process.crash is not None:
        raise process.crash
    return found[0]


def get(path: str) -> Callable[[Process, SimMetadata], str | None]:
    return lambda process, transport: InstanceMetadata(transport=transport, clock=process.clock).get(path)


def raw(method: str, path: str, **headers: str) -> Callable[[Process, SimMetadata], MetadataResponse]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _, transport: transport.request(method, path, named)


def held(lifecycle: Lifecycle = Lifecycle.SPOT, **given: Any) -> tuple[Rig, SimInstance]:
    rig = Rig(**given)
    instance = rig.running_instance(lifecycle)
    rig.fleet.occupy(instance, 1)
    return rig, instance


@pytest.mark.parametrize("lifecycle", list(Lifecycle))
def test_a_worker_reads_its_host(lifecycle: Lifecycle) -> None:
    rig, instance = held(lifecycle)
    batch = BatchSettings.from_env({"AWS_BATCH_JOB_ID": "j"})

    host = on_host(rig, instance, lambda p, t: read_host(InstanceMetadata(transport=t, clock=p.clock), batch))

    assert (host.instance_id, host.instance_type, host.zone) == (instance.id, instance.type, instance.zone)
    assert host.lifecycle == str(lifecycle)


def test_a_request_is_a_moment_in_which_others_run() -> None:
    rig, instance = held()
    before = rig.scheduler.now

    on_host(rig, instance, get(ROOT + "instance-id"))

    assert 2_000 <= rig.scheduler.now - before < 20_000  # two requests


def test_without_a_notice_there_is_nothing_to_see() -> None:
    rig, instance = held()

    assert on_host(rig, instance, get(NOTICE_PATH)) is None
    assert on_host(rig, instance, get(REBALANCE_PATH)) is None
    assert on_host(rig, instance, get(ROOT + "no-such-thing")) is None


def test_the_notice_names_the_moment_of_the_reclaim() -> None:
    rig, instance = held()
    rig.fleet.give_notice(instance)
    rig.run(6)

    body = on_host(rig, instance, get(NOTICE_PATH))

    assert body is not None
    assert instance.reclaim_at is not None
    deadline = parse_instance_action(body, notice_lead_s=120).deadline
    assert deadline is not None
    assert timedelta(0) <= moment_of(instance.reclaim_at) - deadline < timedelta(seconds=1)


def test_metadata_shows_a_notice_within_seconds_not_at_once() -> None:
    rig, instance = held()
    rig.fleet.give_notice(instance)

    assert value_at(NOTICE_PATH, instance, now_us=rig.scheduler.now) is None
    assert value_at(NOTICE_PATH, instance, now_us=rig.scheduler.now + 5_000_000) is not None


def test_the_recommendation_names_its_moment() -> None:
    rig, instance = held()
    rig.fleet.recommend_rebalance(instance)
    noticed = moment_of(rig.scheduler.now)

    body = on_host(rig, instance, get(REBALANCE_PATH))

    assert body is not None
    assert parse_rebalance(body, hint_s=60).event_time == noticed.replace(microsecond=0)


def test_metadata_may_never_show_a_notice() -> None:
    rig, instance = held(rates={METADATA_BLIND: 1.0})
    rig.fleet.give_notice(instance)
    rig.run(100)

    assert on_host(rig, instance, get(NOTICE_PATH)) is None


def test_without_a_token_nothing_is_told() -> None:
    rig, instance = held()

    assert on_host(rig, instance, raw("GET", ROOT + "instance-id")).status == 401
    assert on_host(rig, instance, raw("GET", ROOT + "instance-id", **{TOKEN_HEADER: "forged"})).status == 401


@pytest.mark.parametrize(("ttl", "status"), [("21600", 200), ("1", 200), ("0", 400), ("21601", 400), ("soon", 400)])
def test_a_token_lives_for_one_second_to_six_hours(ttl: str, status: int) -> None:
    rig, instance = held()

    assert on_host(rig, instance, raw("PUT", TOKEN_PATH, **{TTL_HEADER: ttl})).status == status


def test_only_tokens_can_be_put() -> None:
    rig, instance = held()

    assert on_host(rig, instance, raw("PUT", ROOT + "instance-id", **{TTL_HEADER: "60"})).status == 403


def test_a_token_expires_and_the_client_renews_it_in_time() -> None:
    rig, instance = held()

    def both(process: Process, transport: SimMetadata) -> tuple[int, str | None]:
        token = transport.request("PUT", TOKEN_PATH, {TTL_HEADER: "60"}).body.decode()
        client = InstanceMetadata(transport=transport, clock=process.clock)
        client.get(ROOT + "instance-id")
        process.wait(7 * 3600)
        status = transport.request("GET", ROOT + "instance-id", {TOKEN_HEADER: token}).status
        return status, client.get(ROOT + "instance-id")

    assert on_host(rig, instance, both) == (401, instance.id)


@pytest.mark.parametrize("fault", FAULTS)
def test_each_failure_reaches_the_client_as_on_a_host(fault: MetadataFault) -> None:
    rig, instance = held(rates={FAULT: 1.0})
    path = ROOT + "instance-id"

    def outcome(process: Process, transport: SimMetadata) -> Any:
        try:
            return transport.request("GET", path, {TOKEN_HEADER: "t"}).status
        except OSError as error:
            return type(error)

    before = rig.scheduler.now
    seen = on_host(rig, instance, outcome, rng=Choosing(fault))

    expected = {
        MetadataFault.REFUSED: ConnectionRefusedError,
        MetadataFault.TOO_SLOW: TimeoutError,
        MetadataFault.AWAY: TimeoutError,
        MetadataFault.UNAUTHORIZED: 401,
        MetadataFault.BROKEN: 500,
        MetadataFault.UNAVAILABLE: 503,
        MetadataFault.GARBAGE: 200,
    }
    assert seen == expected[fault]
    waited_s = (rig.scheduler.now - before) / 1e6
    assert (waited_s > TIMEOUT_S) == (expected[fault] is TimeoutError)
    assert rig.faults.struck == {(FAULT, f"worker {path}"): 1}


def test_the_client_calls_none_of_them_no_notice() -> None:
    for fault in FAULTS:
        rig, instance = held(rates={FAULT: 1.0})
        if fault is MetadataFault.GARBAGE:  # read as a token, then as a body: never as "nothing"
            assert on_host(rig, instance, get(NOTICE_PATH), rng=Choosing(fault)) is not None
            continue
        with pytest.raises(SourceUnavailableError):
            on_host(rig, instance, get(NOTICE_PATH), rng=Choosing(fault))


def test_a_service_that_went_away_comes_back() -> None:
    rig, instance = held(rates={FAULT: 1.0})
    with pytest.raises(SourceUnavailableError):
        on_host(rig, instance, get(ROOT + "instance-id"), rng=Choosing(MetadataFault.AWAY))
    rig.faults.rates = {}
    assert instance.metadata_back_at > rig.scheduler.now

    rig.run(150)

    assert on_host(rig, instance, get(ROOT + "instance-id")) == instance.id


def test_peace_brings_it_back_at_once() -> None:
    rig, instance = held()
    instance.metadata_back_at = rig.scheduler.now + 100_000_000

    with pytest.raises(SourceUnavailableError):
        on_host(rig, instance, get(ROOT + "instance-id"))
    rig.faults.at_peace = True

    assert on_host(rig, instance, get(ROOT + "instance-id")) == instance.id


def test_the_identity_document_says_when_the_host_was_launched() -> None:
    rig = Rig()
    rig.run(120)
    instance = rig.running_instance()

    document = value_at(IDENTITY_PATH, instance, now_us=rig.scheduler.now)

    assert launched_at_ms(document) == epoch_ms(instance.launched_at) // 1000 * 1000
