"""The model is honest: it ends, it repeats itself, it counts as the product counts, and it sees what goes wrong."""

import dataclasses

import pytest

from bench.scale import network
from bench.scale.measure import measure, missed
from bench.scale.scenario import ShardTimes, Spot, Starvation, Storm, standard
from bench.scale.world import World
from spotproof.leases import expressions as ex
from spotproof.leases.dynamodb import DynamoDBLeaseStore
from spotproof.leases.model import RunOptions
from tests.unit.bench_scale.scenes import scenario

ZOMBIES = scenario(  # without checkpoints, whose refusal tells them before they commit
    times=ShardTimes(mean_s=60.0),
    frozen=20,
    frozen_s=300.0,
    shards=300,
    workers=15,
    workers_per_instance=1,
    options=RunOptions(checkpoint_interval_s=36_000.0),
)


def played(world: World) -> World:
    assert world.play()
    return world


def test_an_undisturbed_run_costs_what_the_protocol_says() -> None:
    world = played(World(scenario(), seed=1))

    numbers = measure(world, ended=True)
    once = ("hold", "claim fresh", "commit")
    assert [world.bill.of(name).requests for name in once] == [200, 200, 200]
    assert world.bill.of("take ticket").requests - world.bill.of("take ticket").refused == 200
    assert (numbers["done_twice"], numbers["redone_s"], numbers["kills"]) == (0, 0.0, 0)
    assert 0 < numbers["end_announced_after_last_commit_s"] < 10
    assert world.table.count_rows() == 200 + 10 + world.run.stripes + 1


def test_the_bill_is_what_the_products_own_meters_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    stores: list[DynamoDBLeaseStore] = []
    original = DynamoDBLeaseStore.__init__

    def remember(self: DynamoDBLeaseStore, *given: object, **named: object) -> None:
        original(self, *given, **named)  # type: ignore[arg-type]
        stores.append(self)

    monkeypatch.setattr(DynamoDBLeaseStore, "__init__", remember)
    world = played(World(scenario(storms=(Storm(at_s=200.0, share=0.9),), spot=Spot(unannounced=0.0)), seed=2))

    usages = [store.usage() for store in stores]
    tallies = world.bill.tallies.values()
    assert sum(usage.requests for usage in usages) == sum(tally.requests for tally in tallies)
    assert sum(usage.refused for usage in usages) == sum(tally.refused for tally in tallies)
    refused = sum(tally.refused for tally in tallies)  # which the service does not report, but bills
    assert sum(usage.write_units for usage in usages) + refused == sum(tally.write_units for tally in tallies)
    assert sum(usage.read_units for usage in usages) == sum(tally.read_units for tally in tallies)


def test_the_same_seed_gives_the_same_numbers_and_another_one_others() -> None:
    stormy = scenario(storms=(Storm(at_s=200.0, share=0.5),))

    first, again, other = (measure(played(World(stormy, seed=seed)), ended=True) for seed in (5, 5, 6))

    assert first == again
    assert first != other


def test_a_storm_is_survived_and_its_shards_are_leased_again() -> None:
    stormy = scenario(
        times=ShardTimes(mean_s=200.0), storms=(Storm(at_s=600.0, share=0.9),), spot=Spot(unannounced=0.2)
    )

    numbers = measure(played(World(stormy, seed=4)), ended=True)

    assert (numbers["committed"], numbers["done_twice"]) == (200, 0)
    assert numbers["leased_again"] >= 3
    assert numbers["worker_exits"]["75"] >= 3
    assert numbers["lost_per_unannounced_kill_max_intervals"] <= 1.1
    assert numbers["redone_share_with_notice"] == pytest.approx(0.0, abs=1e-4)


def test_nothing_starts_while_capacity_is_gone_and_all_is_done_in_the_end() -> None:
    hour = Starvation(from_s=200.0, until_s=3800.0)
    starved = scenario(storms=(Storm(at_s=200.0, share=1.0),), starvation=hour)

    world = played(World(starved, seed=1))

    alive = [count for moment, count in world.fleet.alive_over_time if 500 < moment < 3800]
    assert alive == []
    assert world.journal.committed == 200


def test_workers_that_were_frozen_past_their_ttl_commit_nothing_twice() -> None:
    world = played(World(ZOMBIES, seed=1))

    assert world.bill.of("commit").refused > 0  # some tried
    assert (world.journal.done_twice, world.journal.committed) == (0, 300)


def test_commits_without_fencing_are_seen_as_done_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    condition = "attribute_exists(#pk) AND (attribute_exists(#owner) OR #owner = :owner) AND #fencing_token >= :token"
    unfenced = dataclasses.replace(ex.COMMIT, condition=condition)
    monkeypatch.setattr(ex, "COMMIT", unfenced)
    monkeypatch.setitem(network._NAMES, (unfenced.condition, unfenced.update), "commit")

    world = World(ZOMBIES, seed=1)
    world.play()

    assert world.journal.done_twice > 0
    assert "done_twice" in missed(measure(world, ended=True))


def test_workers_that_always_crash_end_the_model_and_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(DynamoDBLeaseStore, "take_ticket", broken)
    world = World(scenario(), seed=1)

    assert not world.play()
    assert set(world.journal.crashes) == {"ZeroDivisionError"}


def test_the_standard_scenarios_are_those_of_the_issue() -> None:
    scenarios = standard(1_000_000, 10_000)

    shares = {storm.share for one in scenarios.values() for storm in one.storms}
    assert {0.5, 0.9} <= shares
    starved = scenarios["starvation"].starvation
    assert starved is not None
    assert starved.until_s - starved.from_s == 3600
    assert scenarios["heavy-tail"].times.pareto_alpha is not None
