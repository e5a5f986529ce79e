"""The options parameter of a Batch job."""

import json
from dataclasses import fields

import pytest

from spotproof.errors import InputError
from spotproof.leases.model import NEVER, CheckpointPreset, FailurePolicy, NoticePolicy, RunOptions
from spotproof.worker.options import format_options, options_to_json, parse_options


@pytest.mark.parametrize("text", ["", "auto"])
def test_no_options_are_the_defaults(text: str) -> None:
    assert parse_options(text) == RunOptions()


def test_known_names_set_the_run_and_others_reach_the_users_function() -> None:
    options = parse_options("ttl_s=60, failures_max=5,on_failure=fail,pace_ms=20")

    assert (options.ttl_s, options.failures_max, options.on_failure) == (60, 5, FailurePolicy.FAIL)
    assert options.job == {"pace_ms": "20"}


def test_how_a_run_saves_is_told_by_a_preset_or_an_interval() -> None:
    assert parse_options("checkpoint=hourly").checkpoint is CheckpointPreset.HOURLY
    assert parse_options("checkpoint=hourly,checkpoint_interval_s=5").checkpoint_interval_s == 5
    assert parse_options("").checkpoint_interval_s is None


def test_what_is_known_of_windows_and_risk_can_be_given() -> None:
    options = parse_options("window_s=60,interruption_rate_per_h=0.2,on_notice=leave")

    assert (options.window_s, options.interruption_rate_per_h) == (60, 0.2)
    assert options.on_notice is NoticePolicy.LEAVE


def test_what_a_run_may_have_of_on_demand_capacity_is_given_by_options() -> None:
    options = parse_options(
        "fallback_after_s=30,on_demand_after=5,deadline_s=7200,on_demand_share_max=0.25,on_demand_workers_max=8,"
        "usd_per_hour_max=12.5,usd_max=40"
    )

    assert (options.fallback_after_s, options.on_demand_after, options.deadline_s) == (30, 5, 7200)
    assert (options.on_demand_share_max, options.on_demand_workers_max) == (0.25, 8)
    assert (options.usd_per_hour_max, options.usd_max) == (12.5, 40)
    assert (options.allows_on_demand, options.class_changes_at) == (True, 5)


@pytest.mark.parametrize("none", ["on_demand_share_max=0", "on_demand_workers_max=0"])
def test_a_run_without_on_demand_capacity_never_waits_for_it(none: str) -> None:
    options = parse_options(f"{none},on_demand_after=1")

    assert not options.allows_on_demand
    assert options.class_changes_at == NEVER


def test_by_default_a_run_falls_back_after_ten_minutes_or_three_interruptions_without_limits() -> None:
    options = parse_options("")

    assert (options.fallback_after_s, options.class_changes_at, options.on_demand_share_max) == (600, 3, 1.0)
    assert options.deadline_s is options.on_demand_workers_max is options.usd_per_hour_max is options.usd_max is None


def test_options_become_plain_json_with_every_field() -> None:
    values = options_to_json(parse_options("checkpoint=naive,on_notice=leave,pace_ms=5"))

    assert (values["checkpoint"], values["on_notice"], values["on_failure"]) == ("naive", "leave", "continue")
    assert json.loads(json.dumps(values)) == values
    assert values.keys() == {each.name for each in fields(RunOptions)}


def test_a_short_ttl_brings_its_own_heartbeat() -> None:
    assert parse_options("ttl_s=6").heartbeat_s == 2


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("ttl_s", "ttl_s"),
        ("=5", "=5"),
        ("ttl_s=", "ttl_s="),
        ("ttl_s=soon", "soon"),
        ("ttl_s=nan", "nan"),
        ("ttl_s=-1", "-1"),
        ("ttl_s=inf", "inf"),
        ("failures_max=0", "failures_max"),
        ("failures_max=1.5", "failures_max"),
        ("on_failure=maybe", "continue or fail, got 'maybe'"),
        ("checkpoint=daily", "auto, naive, hourly or incremental, got 'daily'"),
        ("checkpoint=naive,checkpoint_interval_s=5", "naive never saves"),
        ("on_notice=run", "work or leave"),
        ("window_s=29", "window_s must be seconds from 30 to 3600"),
        ("window_s=nan", "window_s"),
        ("interruption_rate_per_h=0", "interruptions per hour from 1e-05 to 100"),
        ("checkpoint_interval_s=0", "from 0.05 to 2592000"),
        ("fallback_after_s=0.4", "fallback_after_s must be seconds from 0.5 to 86400"),
        ("fallback_after_s=86401", "fallback_after_s"),
        ("deadline_s=0", "deadline_s must be seconds from 1 to 34560000"),
        ("on_demand_after=0", "on_demand_after must be a whole number from 1 to 1000"),
        ("on_demand_share_max=1.1", "on_demand_share_max must be a share from 0 to 1"),
        ("on_demand_share_max=-0.1", "on_demand_share_max"),
        ("on_demand_workers_max=10001", "on_demand_workers_max must be a whole number from 0 to 10000"),
        ("usd_per_hour_max=0", "usd_per_hour_max must be dollars per hour from 0.0001 to 1000000"),
        ("usd_max=nan", "usd_max must be dollars"),
        ("usd_max=0", "from 0.0001 to 1000000000"),
        ("ttl_s=30,ttl_s=40", "twice"),
        ("a=1,a=2", "twice"),
        ("ttl_s=30,heartbeat_s=20", "twice heartbeat_s"),
        ("x=" + "y" * 3000, "characters long"),
    ],
)
def test_a_bad_option_is_refused_by_name(text: str, named: str) -> None:
    with pytest.raises(InputError, match=named):
        parse_options(text)


def test_what_is_formatted_is_parsed_back() -> None:
    text = format_options({"ttl_s": "30", "pace_ms": "5"})

    assert parse_options(text).job == {"pace_ms": "5"}
    assert parse_options(text).ttl_s == 30
    assert format_options({}) == "auto"


def test_a_value_that_would_break_the_text_is_refused() -> None:
    with pytest.raises(InputError):
        format_options({"note": "a,b"})
