"""Claims about the simulated EC2: what befalls instances, what EC2 tells about it, and what it charges."""

from collections import Counter
from datetime import timedelta
from itertools import pairwise
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from simulation.cloud.aws_event import ACCOUNT, iso, moment_of
from simulation.cloud.fates import Fate
from simulation.cloud.fleet import BOOT_FAILED
from simulation.cloud.instance import Lifecycle
from simulation.cloud.market import NO_ON_DEMAND, NO_SPOT, ZONES, vcpus_of
from simulation.kernel.process import EPOCH, Process
from spotproof import contract
from spotproof.costs.prices import EC2SpotPrices
from spotproof.interruptions.eventbridge import (
    InstanceState,
    InterruptionAction,
    parse_instance_state,
    parse_rebalance,
    parse_spot_warning,
)
from spotproof.retries import Retrier
from tests.simulation.cloud_rig import STORM, Rig, recorded, shape

STATES = ("pending", "running", "shutting-down", "terminated")


def sleeper(process: Process) -> int:
    process.wait(None)
    return 0


def states_told(rig: Rig, instance_id: str) -> list[str]:
    return [e["detail"]["state"] for e in rig.bus.of(contract.DETAIL_INSTANCE_STATE, **{"instance-id": instance_id})]


def test_an_instance_boots_idles_and_ends_and_ec2_tells_every_state() -> None:
    rig = Rig()
    instance = rig.running_instance()

    rig.run(3600)

    assert states_told(rig, instance.id) == list(STATES)
    assert instance.running_at is not None
    assert instance.ended_at is not None
    for event in rig.bus.events:
        told = parse_instance_state(event, account=ACCOUNT, now=moment_of(rig.scheduler.now))
        assert told.instance_id == instance.id


@pytest.mark.parametrize("state", STATES)
def test_a_state_change_looks_as_ec2_sends_it(state: str) -> None:
    rig = Rig()
    rig.running_instance()
    rig.run(3600)

    event = rig.bus.of(contract.DETAIL_INSTANCE_STATE, state=state)[0]

    assert shape(event) == shape(recorded(f"ec2_instance_state_change.{state}.docs.json"))
    assert event["resources"] == [f"arn:aws:ec2:us-east-1:{ACCOUNT}:instance/{event['detail']['instance-id']}"]


def test_a_notice_looks_as_ec2_sends_it_and_the_host_goes_two_minutes_later() -> None:
    rig = Rig()
    instance = rig.running_instance()
    process = rig.process_on(instance, sleeper)
    given_at = rig.scheduler.now

    rig.fleet.give_notice(instance)

    event = rig.bus.events[-1]
    assert shape(event) == shape(recorded("ec2_spot_interruption_warning.docs.json"))
    assert event["resources"] == [f"arn:aws:ec2:{instance.zone}:instance/{instance.id}"]
    warning = parse_spot_warning(event, account=ACCOUNT, now=moment_of(given_at))
    assert (warning.instance_id, warning.action) == (instance.id, InterruptionAction.TERMINATE)
    assert event["time"] == iso(given_at)
    rig.run(119)
    assert process.alive
    assert instance.draining
    rig.run(2)
    assert not process.alive
    assert instance.state is InstanceState.SHUTTING_DOWN
    rig.run(60)
    assert states_told(rig, instance.id) == list(STATES)


def test_a_recommendation_looks_as_ec2_sends_it_and_nothing_else_happens() -> None:
    rig = Rig()
    instance = rig.running_instance()
    process = rig.process_on(instance, sleeper)
    rig.fleet.occupy(instance, 1)

    rig.fleet.recommend_rebalance(instance)
    event = rig.bus.events[-1]
    rig.run(3600)

    assert shape(event) == shape(recorded("ec2_rebalance_recommendation.docs.json"))
    assert parse_rebalance(event, account=ACCOUNT, now=moment_of(rig.scheduler.now)).instance_id == instance.id
    assert process.alive
    assert not instance.draining


def test_after_a_warning_that_comes_to_nothing_the_host_lives_on() -> None:
    rig = Rig()
    instance = rig.running_instance()
    process = rig.process_on(instance, sleeper)
    rig.fleet.occupy(instance, 1)

    rig.fleet.give_notice(instance, reclaim=False)
    rig.run(3600)

    assert process.alive
    assert instance.is_running


def test_peace_calls_off_a_reclaim_that_was_announced() -> None:
    rig = Rig()
    instance = rig.running_instance()
    process = rig.process_on(instance, sleeper)
    rig.fleet.occupy(instance, 1)

    rig.fleet.give_notice(instance)
    rig.faults.at_peace = True
    rig.run(3600)

    assert process.alive


def test_a_host_that_fails_dies_at_once_and_ec2_notices_later_without_a_warning() -> None:
    rig = Rig(seed=3)
    instance = rig.running_instance()
    process = rig.process_on(instance, sleeper)

    rig.fleet.fail(instance, "host failure")
    rig.run(1)

    assert not process.alive
    assert instance.state is InstanceState.RUNNING
    assert not instance.is_running
    rig.run(400)
    assert states_told(rig, instance.id) == list(STATES)
    assert rig.bus.of(contract.DETAIL_SPOT_WARNING) == []


def test_a_suspended_machine_goes_on_without_having_counted_the_time() -> None:
    rig = Rig()
    instance = rig.running_instance()
    ticks: list[tuple[float, float]] = []

    def tick(process: Process) -> int:
        while True:
            process.wait(1)
            ticks.append((rig.now_s, process.clock.monotonic()))

    rig.process_on(instance, tick)
    rig.fleet.occupy(instance, 1)
    rig.run(5)
    rig.fleet.suspend(instance, 100)
    rig.run(110)

    gaps = [(later[0] - earlier[0], later[1] - earlier[1]) for earlier, later in pairwise(ticks)]
    assert [own < 10 for real, own in gaps if real > 2] == [True]
    assert max(real for real, _ in gaps) > 90


@pytest.mark.parametrize("fate", list(Fate))
def test_every_fate_befalls_spot_hosts_at_its_rate_and_only_what_fits_on_demand_hosts(fate: Fate) -> None:
    met = Counter[str]()
    hours = 0.0
    for seed in range(30):
        rig = Rig(rates={fate: 2.0}, seed=seed)
        for lifecycle in Lifecycle:
            instance = rig.running_instance(lifecycle)
            rig.fleet.occupy(instance, 1)
        rig.run(3600)
        assert {name for name, _ in rig.faults.struck} <= {fate}
        met += Counter({site: count for (_, site), count in rig.faults.struck.items()})
        hours += 1

    assert met["ec2 spot"] > 15
    assert (met["ec2 on-demand"] > 0) == (fate in (Fate.HOST_FAILURE, Fate.SUSPENDED, Fate.ALL_FAILED))


@pytest.mark.parametrize(
    ("fate", "warned", "recommended", "lost"),
    [
        (Fate.NOTICE, True, False, True),
        (Fate.REBALANCE_THEN_NOTICE, True, True, True),
        (Fate.LATE_NOTICE, True, False, True),
        (Fate.REBALANCE_ONLY, False, True, False),
        (Fate.WARNING_ONLY, True, False, False),
        (Fate.RECLAIMED_UNANNOUNCED, False, False, True),
        (Fate.HOST_FAILURE, False, False, True),
        (Fate.SUSPENDED, False, False, False),
        (Fate.ALL_NOTICED, True, False, True),
        (Fate.ALL_FAILED, False, False, True),
    ],
)
def test_a_fate_is_told_and_done_as_its_name_says(fate: Fate, warned: bool, recommended: bool, lost: bool) -> None:
    rig = Rig(rates={fate: 2.0}, seed=5)
    instance = rig.running_instance()
    rig.fleet.occupy(instance, 1)

    rig.run(3600, until=lambda: bool(rig.faults.struck))
    rig.run(1000)

    assert bool(rig.bus.of(contract.DETAIL_SPOT_WARNING)) == warned
    assert bool(rig.bus.of(contract.DETAIL_REBALANCE)) == recommended
    assert instance.is_running != lost


def test_a_host_idles_for_a_while_before_it_goes() -> None:
    rig = Rig()
    instance = rig.running_instance()
    rig.run(100)
    rig.fleet.occupy(instance, 1)
    rig.run(100)
    rig.fleet.vacate(instance, 1)

    rig.run(299)
    assert instance.is_running
    rig.run(2)
    assert not instance.is_running


def test_nothing_befalls_a_host_that_is_gone() -> None:
    rig = Rig(rates={Fate.HOST_FAILURE: 10.0})
    rig.fleet.occupy(rig.running_instance(), 1)

    rig.run(24 * 3600)

    assert rig.faults.total == 1


def test_fates_come_again_and_again_each_at_its_rate() -> None:
    rig = Rig(rates={Fate.REBALANCE_ONLY: 3.0, Fate.SUSPENDED: 1.0})
    rig.fleet.occupy(rig.running_instance(), 1)

    rig.run(100 * 3600)

    rebalanced, suspended = (rig.faults.struck[(fate, "ec2 spot")] for fate in (Fate.REBALANCE_ONLY, Fate.SUSPENDED))
    assert 320 < rebalanced + suspended < 480
    assert 2 < rebalanced / suspended < 5


def test_a_reclaim_is_announced_once() -> None:
    rig = Rig(rates={Fate.WARNING_ONLY: 10.0})
    rig.fleet.occupy(rig.running_instance(), 1)

    rig.run(10 * 3600)

    assert len(rig.bus.of(contract.DETAIL_SPOT_WARNING)) == 1


def test_all_at_once_hits_every_host_within_one_moment() -> None:
    rig = Rig(rates={Fate.ALL_FAILED: 1.0})
    instances = [rig.running_instance() for _ in range(4)]
    for instance in instances:
        rig.fleet.occupy(instance, 1)

    assert rig.run(2 * 3600, until=lambda: bool(rig.faults.struck))

    assert not any(instance.is_live for instance in instances)


def test_nothing_befalls_a_host_in_peace() -> None:
    rig = Rig(rates=dict.fromkeys(STORM, 50.0))
    rig.faults.at_peace = True
    instances = [rig.running_instance(lifecycle) for lifecycle in Lifecycle]
    for instance in instances:
        rig.fleet.occupy(instance, 1)

    rig.run(24 * 3600)

    assert rig.faults.total == 0
    assert all(instance.is_running for instance in instances)


@pytest.mark.parametrize(("fault", "lifecycle"), [(NO_SPOT, Lifecycle.SPOT), (NO_ON_DEMAND, Lifecycle.ON_DEMAND)])
def test_a_shortage_lasts_for_a_while_and_ends_with_peace(fault: str, lifecycle: Lifecycle) -> None:
    rig = Rig(rates={fault: 1.0})

    assert rig.fleet.launch(environment="e", lifecycle=lifecycle, vcpus=1) is None
    rig.run(200)
    assert rig.fleet.launch(environment="e", lifecycle=lifecycle, vcpus=1) is None
    other = next(one for one in Lifecycle if one is not lifecycle)
    assert rig.fleet.launch(environment="e", lifecycle=other, vcpus=1) is not None
    rig.faults.at_peace = True
    assert rig.fleet.launch(environment="e", lifecycle=lifecycle, vcpus=1) is not None
    assert rig.faults.total == 1


def test_a_shortage_ends_by_itself() -> None:
    rig = Rig()
    rig.market.begin_shortage(Lifecycle.SPOT, 600)

    rig.run(599)
    assert rig.fleet.launch(environment="e", lifecycle=Lifecycle.SPOT, vcpus=1) is None
    rig.run(1)
    assert rig.fleet.launch(environment="e", lifecycle=Lifecycle.SPOT, vcpus=1) is not None


def test_a_launch_may_fail_before_the_instance_runs() -> None:
    rig = Rig(rates={BOOT_FAILED: 1.0})
    instance = rig.fleet.launch(environment="e", lifecycle=Lifecycle.SPOT, vcpus=1)
    assert instance is not None

    rig.run(600)

    assert states_told(rig, instance.id) == ["pending", "shutting-down", "terminated"]


def test_instances_are_at_least_as_large_as_asked_for() -> None:
    for seed in range(20):
        rig = Rig(seed=seed)
        instance = rig.fleet.launch(environment="e", lifecycle=Lifecycle.SPOT, vcpus=4)
        large = any(vcpus_of(kind) >= 4 for kind in rig.market.types)
        assert (instance is not None) == large
        if instance is not None:
            assert instance.vcpus >= 4
            assert instance.type in rig.market.types
            assert instance.zone in ZONES


def test_the_same_seed_gives_the_same_fleet() -> None:
    def digest(seed: int) -> str:
        rig = Rig(rates=STORM, seed=seed)
        for lifecycle in Lifecycle:
            rig.fleet.launch(environment="e", lifecycle=lifecycle, vcpus=1)
        rig.run(3600)
        return rig.trace.digest()

    assert digest(7) == digest(7)
    assert digest(7) != digest(8)


def prices_of(rig: Rig) -> EC2SpotPrices:
    process = Process(rig.scheduler, name="p", kind="finalizer", rng=rig.rng, on_exit=lambda _: None)
    return EC2SpotPrices(client=cast(Any, rig.market), retrier=Retrier(clock=process.clock, rng=rig.rng))


def test_the_finalizer_reads_all_pages_of_prices_and_the_one_before_its_window() -> None:
    prices = prices_of(Rig())
    since = EPOCH + timedelta(hours=1)

    steps = prices.steps(instance_type="m5.large", zone=ZONES[0], since=since, until=since + timedelta(days=2))

    assert len(steps) == 9
    assert steps[0].since == EPOCH
    assert all(later.since - earlier.since == timedelta(hours=6) for earlier, later in pairwise(steps))
    assert all(0.01 < float(step.usd_per_hour) < 0.06 for step in steps)  # on demand it is 0.096
    assert len({step.usd_per_hour for step in steps}) > 1


def test_a_pool_has_one_price_at_a_time_and_pools_differ() -> None:
    rig = Rig()
    read = [
        prices_of(rig).steps(instance_type=kind, zone=zone, since=EPOCH, until=EPOCH)
        for kind in ("m5.large", "c5.xlarge")
        for zone in (*ZONES, ZONES[0])
    ]

    assert read[0] == read[3]
    assert len({steps[0].usd_per_hour for steps in read}) == 6


def test_unknown_pools_have_no_price() -> None:
    with pytest.raises(ClientError, match="InvalidParameterValue"):
        prices_of(Rig()).steps(instance_type="m1.none", zone=ZONES[0], since=EPOCH, until=EPOCH)
    with pytest.raises(ClientError, match="InvalidParameterValue"):
        prices_of(Rig()).steps(instance_type="m5.large", zone="us-east-1z", since=EPOCH, until=EPOCH)
