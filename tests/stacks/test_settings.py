"""Context values: what can be chosen, and how a wrong choice is refused."""

from typing import Any

import pytest

from spotproof.capacity.breaker import parse_breaker
from spotproof.errors import ConfigurationError
from stacks.instance_types import DEFAULT_TYPES, VCPUS_BY_SIZE, check_types, parse_type
from stacks.jobs import JOBS, JobSpec
from stacks.settings import DeploySettings


def test_without_context_everything_has_a_default() -> None:
    assert DeploySettings.from_context({}) == DeploySettings()


def test_context_of_the_cdk_itself_is_left_alone() -> None:
    cdk = {"@aws-cdk/core:checkSecretUsage": True, "aws:cdk:bundling-stacks": [], "cli:something": "x"}

    assert DeploySettings.from_context(cdk) == DeploySettings()


def test_lists_come_from_the_command_line_or_from_cdk_json() -> None:
    for given in ("a-bucket, b-bucket", ["a-bucket", "b-bucket"]):
        assert DeploySettings.from_context({"data_buckets": given}).data_buckets == ("a-bucket", "b-bucket")


def test_tags_come_from_the_command_line_or_from_cdk_json() -> None:
    for given in (
        "team=delays, cost-center=42/a",
        ["team=delays", "cost-center=42/a"],
        {"team": "delays", "cost-center": "42/a"},
    ):
        assert DeploySettings.from_context({"tags": given}).tags == (("team", "delays"), ("cost-center", "42/a"))
    assert DeploySettings.from_context({"required_tags": "team, owner"}).required_tags == ("team", "owner")


def test_numbers_come_as_text_from_the_command_line() -> None:
    settings = DeploySettings.from_context({"spot_vcpus_max": "16", "zones": 2})

    assert (settings.spot_vcpus_max, settings.zones) == (16, 2)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("prefx", "X", "unknown context value 'prefx'; this app knows prefix, removal"),
        ("prefix", "1st", "prefix must be a letter"),
        ("prefix", "a_b", "prefix must be a letter"),
        ("prefix", "a" * 51, "prefix must be a letter"),
        ("removal", "delete", "removal must be retain or destroy, got 'delete'"),
        ("zones", "0", "zones must be a whole number from 1 to 6, got '0'"),
        ("zones", "three", "zones must be a whole number from 1 to 6, got 'three'"),
        ("zones", 7, "zones must be a whole number from 1 to 6, got 7"),
        ("spot_vcpus_max", "-1", "spot_vcpus_max must be a whole number"),
        ("on_demand_vcpus_max", "1.5", "on_demand_vcpus_max must be a whole number"),
        ("breaker", "3/600", "breaker must be count/window/recovery"),
        ("breaker", "33/600/1800", "a count up to 32"),
        ("breaker", "3/0/1800", "whole seconds"),
        ("reserved_concurrency", "-1", "reserved_concurrency must be a whole number"),
        ("data_buckets", "s3://mine", "data_buckets takes bucket names without s3:// and *, got 's3://mine'"),
        ("data_buckets", "*", "data_buckets takes bucket names"),
        ("log_retention_days", "2", "log_retention_days must be one of 1, 3, 5, 7"),
        ("tags", "team", "tags must be name=value,…"),
        ("tags", {"team": "a\tb"}, "tags must be name=value,…"),
        ("tags", "te*am=x", "a name that AWS does not take as a tag's: 'te*am'"),
        ("tags", "aws:team=x", "the names Spotproof, Lifecycle, aws:…, spotproof:… are taken, got 'aws:team'"),
        ("tags", {"Lifecycle": "x"}, "are taken, got 'Lifecycle'"),
        ("tags", "a=1,a=2", "tags must be at most 15 different names, got 2"),
        ("tags", ",".join(f"t{number}=x" for number in range(16)), "tags must be at most 15 different names, got 16"),
        ("required_tags", "spotproof:run", "are taken, got 'spotproof:run'"),
        ("required_tags", "a=b", "required_tags has a name that AWS does not take"),
        ("monthly_budget_usd", "-1", "monthly_budget_usd must be a whole number"),
        ("monthly_budget_usd", "100", "budget_email must be an address such as team@example.com"),
        ("budget_email", "team", "budget_email must be an address"),
        (
            "worker_platform",
            "manylinux_2_28_riscv64",
            "must be host or like manylinux_2_28_x86_64 or manylinux_2_28_aarch64",
        ),
    ],
)
def test_a_wrong_value_is_refused_in_one_line_that_says_what_is_right(name: str, value: object, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        DeploySettings.from_context({name: value})

    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_graviton_is_chosen_by_the_platform_of_the_wheels_and_types_that_fit() -> None:
    settings = DeploySettings.from_context({"worker_platform": "manylinux_2_28_aarch64"})
    families = ("c6g", "c7g", "m6g", "m7g", "r6g", "r7g")
    graviton = [f"{family}.{size}" for family in families for size in ("xlarge", "2xlarge")]

    found = check_types(graviton, JOBS, architecture=settings.architecture)

    assert {each.architecture for each in found} == {"arm64"}
    with pytest.raises(ConfigurationError, match="must all be arm64, as the worker bundle is; these are x86_64"):
        check_types(DEFAULT_TYPES, JOBS, architecture=settings.architecture)


def test_the_default_types_hold_every_declared_job() -> None:
    assert len(check_types(DEFAULT_TYPES, JOBS)) == len(DEFAULT_TYPES)


@pytest.mark.parametrize(
    ("name", "vcpus", "memory_gib"),
    [("m5.large", 2, 8), ("c6a.xlarge", 4, 8), ("r7i.2xlarge", 8, 64), ("m6i.4xlarge", 16, 64)],
)
def test_the_facts_of_a_type_follow_from_family_and_size(name: str, vcpus: int, memory_gib: int) -> None:
    found = parse_type(name)

    assert (found.vcpus, found.memory_mib) == (vcpus, memory_gib * 1024)


@pytest.mark.parametrize(
    ("types", "message"),
    [
        ((*DEFAULT_TYPES, "m7g.large"), "must all be x86_64, as the worker bundle is; these are arm64 and x86_64"),
        (("m6g.large", "m7g.large"), "must all be x86_64, as the worker bundle is; these are arm64"),
        ((*DEFAULT_TYPES, "optimal"), "unknown instance type 'optimal'"),
        ((*DEFAULT_TYPES, "m5.metal"), "unknown instance type 'm5.metal'"),
        (DEFAULT_TYPES[:9], "at least 10 instance types to find capacity, got 9"),
        ((DEFAULT_TYPES[0],) * 12, "at least 10 instance types to find capacity, got 1"),
    ],
)
def test_types_that_would_fail_later_are_refused_now(types: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_types(types, JOBS)

    assert message in str(caught.value)


SIZES = ("large", "xlarge", "2xlarge", "4xlarge")


def test_types_of_one_generation_are_too_much_alike() -> None:
    alike = [f"{family}.{size}" for family in ("m5", "m5a", "r5") for size in SIZES]

    with pytest.raises(ConfigurationError, match="at least 2 instance generations to find capacity, got 1"):
        check_types(alike, JOBS)


def test_types_of_two_families_are_too_much_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VCPUS_BY_SIZE, "8xlarge", 32)  # with today's sizes two families are too few types anyway
    alike = [f"{family}.{size}" for family in ("m5", "m6i") for size in VCPUS_BY_SIZE]

    with pytest.raises(ConfigurationError, match="at least 3 instance families to find capacity, got 2"):
        check_types(alike, JOBS)


def test_a_job_that_needs_all_the_memory_of_a_type_would_never_land_there() -> None:
    """8192 MiB fit on no 8 GiB host: its agent registers less."""
    with pytest.raises(ConfigurationError, match=r"job 'big' needs 8192 MiB, m5.large can give 7585 of its 8192 MiB"):
        check_types(DEFAULT_TYPES, [JobSpec(name="big", module="m", memory_mib=8192)])

    check_types(DEFAULT_TYPES, [JobSpec(name="fits", module="m", memory_mib=7585)])


def test_a_job_that_needs_more_processors_than_a_type_has_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"job 'wide' needs 4 vCPUs, m5.large has 2"):
        check_types(DEFAULT_TYPES, [JobSpec(name="wide", module="m", vcpus=4)])


@pytest.mark.parametrize("wrong", [{"vcpus": 0}, {"memory_mib": 3}, {"timeout_s": 59}])
def test_a_row_that_batch_would_refuse_is_refused_first(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"job 'odd' in stacks/jobs.py needs"):
        JobSpec(name="odd", module="m", **wrong).check()


def test_a_breaker_that_a_deployment_may_choose_is_one_that_the_functions_take() -> None:
    for text in (DeploySettings().breaker, "1/30/60", "32/604800/604800"):
        assert DeploySettings.from_context({"breaker": text}).breaker == text
        assert parse_breaker(text).count == int(text.partition("/")[0])
