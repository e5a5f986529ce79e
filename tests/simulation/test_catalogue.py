"""Claims about the catalogue of faults: nothing is missing from it, and none of it can die silently."""

import re
from collections import Counter
from pathlib import Path

import pytest

from simulation.campaign import DECISION, SCENARIO, Tally
from simulation.coverage import KINDS_FROM, SITES_FROM, dead_faults
from simulation.decisions import DECISIONS, REACHED
from simulation.faults.calls import CallFault
from simulation.faults.catalogue import CATALOGUE, EVERY_CALL, markdown
from simulation.faults.rates import FULL
from simulation.scenario import PROPERTIES, draw_scenario
from simulation.world import run_seed

ROOT = Path(__file__).parent.parent.parent
IDS = [f"{letter}{number}" for letter, last in (("E", 11), ("L", 8), ("A", 16), ("P", 11), ("C", 4), ("D", 8), ("K", 6))
       for number in range(1, last + 1)]  # fmt: skip
NAMES = {play.name for fault in CATALOGUE.values() for play in fault.plays}
SITES = {
    name: {site for fault in CATALOGUE.values() for play in fault.plays if play.name == name for site in play.sites}
    for name in NAMES
}
CALL_SITE = "worker dynamodb.query partition"


def test_every_id_is_there_once_and_in_order() -> None:
    assert list(CATALOGUE) == IDS


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_name_can_strike_or_is_a_property_of_worlds(name: str) -> None:
    assert FULL.get(name, 0.0) > 0 or name in PROPERTIES


@pytest.mark.parametrize("name", sorted({*FULL, *PROPERTIES}))
def test_every_fault_there_is_is_in_the_catalogue(name: str) -> None:
    assert name in NAMES


@pytest.mark.parametrize("id_", IDS)
def test_every_id_is_played_by_somebody(id_: str) -> None:
    fault = CATALOGUE[id_]
    assert fault.plays or fault.elsewhere
    for test in fault.elsewhere:
        path, _, name = test.partition("::")
        assert f"def {name}" in (ROOT / path).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(PROPERTIES))
def test_some_worlds_have_a_property_and_by_chance_others_do_not(name: str) -> None:
    having = [PROPERTIES[name](draw_scenario(seed)) for seed in range(100)]

    assert sum(having) >= 1
    assert name == "D8 unicode keys" or not all(having)


def test_what_strikes_does_so_where_the_catalogue_says() -> None:
    struck: Counter[tuple[str, str]] = Counter()
    for seed in range(1, 25):
        struck.update(run_seed(seed).struck)

    of_calls = {fault.value for fault in CallFault}
    unlisted = [
        (name, site)
        for name, site in struck
        if site != DECISION and name not in of_calls and site not in SITES.get(name, set())
    ]
    assert unlisted == []
    assert len(struck) > 150


def test_the_documentation_has_the_table() -> None:
    assert markdown() in (ROOT / "docs" / "simulation.md").read_text(encoding="utf-8")


def test_the_documentation_names_no_test_that_is_not_there() -> None:
    text = (ROOT / "docs" / "simulation.md").read_text(encoding="utf-8")
    for path in re.findall(r"`((?:tests|simulation|bench)/[\w/]+\.py)", text):
        assert (ROOT / path).is_file(), path


# --- coverage ----------------------------------------------------------------------------------------------------


def whole(seeds: int = SITES_FROM) -> Tally:
    """A campaign in which everything struck everywhere."""
    tally = Tally(seeds=seeds, sites=Counter({CALL_SITE: 100_000, **dict.fromkeys(REACHED, 1)}))
    for name in NAMES:
        for site in SITES[name] or {"somewhere"}:
            tally.struck[name, site] = 100
    for fault in CallFault:
        tally.struck[fault.value, CALL_SITE] = 100
    tally.struck.update({(name, DECISION): 100 for name in DECISIONS})
    return tally


def test_a_campaign_in_which_everything_struck_has_no_dead_fault() -> None:
    assert dead_faults(whole()) == []


def test_a_kind_that_struck_too_rarely_is_dead() -> None:
    tally = whole()
    tally.struck["K2 cancelled", "world"] = 99

    assert dead_faults(tally) == ["K2 cancelled struck 99 times in 10000 jobs, 100 are the least"]


def test_a_shorter_campaign_asks_for_less() -> None:
    tally = whole(KINDS_FROM)
    tally.struck["K2 cancelled", "world"] = 20
    assert dead_faults(tally) == []

    tally.struck["K2 cancelled", "world"] = 19
    assert len(dead_faults(tally)) == 1


def test_a_decision_that_is_hardly_ever_taken_is_dead() -> None:
    tally = whole()
    tally.struck["paused", DECISION] = 99

    assert dead_faults(tally) == ["'paused' was decided 99 times in 10000 jobs, 100 are the least"]


@pytest.mark.parametrize("site", REACHED)
def test_a_call_that_only_a_decision_brings_about_must_have_been_made(site: str) -> None:
    tally = whole(KINDS_FROM)
    tally.sites[site] = 0

    assert dead_faults(tally) == [f"{site} was never called"]


def test_decisions_are_counted_by_the_world_that_takes_them() -> None:

    counted: Counter[str] = Counter()
    for seed in range(1, 20):
        counted.update({name: times for (name, site), times in run_seed(seed).struck.items() if site == DECISION})

    assert counted["on-demand added: waited"] >= 1
    assert counted["worker replaced"] >= 1


def test_a_property_that_no_world_had_is_dead() -> None:
    tally = whole()
    del tally.struck["C1 wrong clocks", SCENARIO]

    assert any("C1 wrong clocks" in words for words in dead_faults(tally))


@pytest.mark.parametrize("name", sorted(name for name in NAMES if len(SITES[name]) > 1))
def test_a_kind_that_never_struck_at_one_of_its_places_is_dead(name: str) -> None:
    tally = whole()
    site = sorted(SITES[name])[0]
    tally.struck[name, site] = 0

    assert f"{name} never struck at {site}" in dead_faults(tally)


def test_a_call_fault_that_never_struck_at_a_busy_site_is_dead() -> None:
    tally = whole()
    tally.struck[CallFault.PAUSED_AFTER.value, CALL_SITE] = 0

    [words] = [words for words in dead_faults(tally) if CALL_SITE in words]
    assert words.startswith("P3 paused after never struck at worker dynamodb.query partition (100000 calls")


def test_a_call_fault_is_not_missed_at_a_site_that_is_hardly_ever_called() -> None:
    tally = whole()
    tally.sites[CALL_SITE] = 50
    for fault in CallFault:
        tally.struck[fault.value, CALL_SITE] = 0
        tally.struck[fault.value, "elsewhere"] = 200

    assert [words for words in dead_faults(tally) if CALL_SITE in words] == []


def test_a_short_campaign_can_tell_nothing() -> None:
    assert dead_faults(Tally(seeds=KINDS_FROM - 1)) == []


def test_call_faults_but_that_of_saves_have_no_list_of_sites_of_their_own() -> None:
    everywhere = {play.name for fault in CATALOGUE.values() for play in fault.plays if play.sites == EVERY_CALL}

    assert everywhere == {fault.value for fault in CallFault} - {CallFault.REFUSED.value}
