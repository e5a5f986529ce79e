"""Context values: what can be chosen, and how a wrong choice is refused."""

from dataclasses import fields, replace
from typing import Any

import pytest

from spotproof.capacity.breaker import parse_breaker
from spotproof.costs.prices import load_on_demand_prices
from spotproof.errors import ConfigurationError
from stacks.instance_types import DEFAULT_TYPES, FAMILIES, VCPUS_BY_SIZE, check_types, parse_type
from stacks.jobs import JOBS, JobSpec, check_rows
from stacks.settings import DECLARED, DeploySettings


def test_without_context_everything_has_a_default() -> None:
    assert DeploySettings.from_context({}) == DeploySettings()


def test_context_of_the_cdk_itself_is_left_alone() -> None:
    cdk = {"@aws-cdk/core:checkSecretUsage": True, "aws:cdk:bundling-stacks": [], "cli:something": "x"}
    kept_by_the_command_line = {"acknowledged-issue-numbers": [34892], "cli-telemetry": False}

    assert DeploySettings.from_context(cdk | kept_by_the_command_line) == DeploySettings()


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
        ("prefx", "X", "unknown context value 'prefx': did you mean prefix?"),
        ("qqq", "X", "unknown context value 'qqq': this app knows prefix, removal"),
        ("prefix", "1st", "prefix must be a letter"),
        ("prefix", "a_b", "prefix must be a letter"),
        ("prefix", "a" * 51, "prefix must be a letter"),
        ("prefix", None, "prefix must be a letter, then up to 49 letters, digits or hyphens, got None"),
        ("prefix", True, "letters, digits or hyphens, got True"),
        ("removal", "delete", "removal must be retain or destroy, got 'delete'"),
        ("compliance", "hard", "compliance must be one of none, baseline, strict, got 'hard'"),
        ("network", "vpn", "network must be one of auto, public, private, existing, got 'vpn'"),
        ("zones", "0", "zones must be a whole number from 1 to 6, got '0'"),
        ("zones", "three", "zones must be a whole number from 1 to 6, got 'three'"),
        ("zones", 7, "zones must be a whole number from 1 to 6, got 7"),
        ("zones", True, "zones must be a whole number from 1 to 6, got True"),
        ("zones", "²", "zones must be a whole number from 1 to 6, got '²'"),
        ("zones", "1" * 5000, "zones must be a whole number from 1 to 6, got '111"),
        ("vpc_cidr", "10.0.0.0/24", "vpc_cidr must be a private IPv4 range of 65,536 addresses, such as 10.0.0.0/16"),
        ("vpc_cidr", "52.0.0.0/16", "vpc_cidr must be a private IPv4 range"),
        ("vpc_cidr", "127.0.0.0/16", "vpc_cidr must be a private IPv4 range"),
        ("vpc_cidr", "169.254.0.0/16", "vpc_cidr must be a private IPv4 range"),
        ("vpc_cidr", "172.32.0.0/16", "vpc_cidr must be a private IPv4 range"),
        ("vpc_id", "vpc-1", "vpc_id must be an id such as vpc-0123456789abcdef0, got 'vpc-1'"),
        ("subnet_ids", "subnet-12345678,sn", "subnet_ids must be ids such as subnet-0123456789abcdef0, got 'sn'"),
        ("vpc_zones", "euw1-az1", "vpc_zones must be zones such as eu-west-1a, got 'euw1-az1'"),
        ("instance_types", "", "instance_types must be instance types such as m6i.large, got ''"),
        ("spot_vcpus_max", "-1", "spot_vcpus_max must be a whole number"),
        ("on_demand_vcpus_max", "1.5", "on_demand_vcpus_max must be a whole number"),
        ("disk_gib", "29", "disk_gib must be a whole number from 30 to 16384, got '29'"),
        ("worker_image", "two words", "worker_image must be an image such as registry.example/worker:1"),
        ("worker_image", f"a/b@sha256:{'0' * 63}", "or one with @sha256: and 64 hex digits, got 'a/b@sha256:000"),
        ("families", "arm", "families must be one or more of x86_64, graviton, gpu, fargate, got 'arm'"),
        ("families", "gpu,gpu", "families must be one or more of"),
        ("families", [], "families must be one or more of"),
        ("fair_shares", "a=0", "fair_shares must be name=weight,… of letters and digits"),
        ("fair_shares", "a=1,a=2", "fair_shares must be name=weight"),
        ("fair_shares", "a-b=1", "fair_shares must be name=weight"),
        ("fair_share_reserve", "100", "fair_share_reserve must be a whole number from 0 to 99"),
        ("fair_share_decay_s", "604801", "fair_share_decay_s must be a whole number from 0 to 604800"),
        ("breaker", "3/600", "breaker must be count/window/recovery"),
        ("breaker", "33/600/1800", "a count up to 32"),
        ("breaker", "3/0/1800", "whole seconds"),
        ("reserved_concurrency", "-1", "reserved_concurrency must be a whole number"),
        ("data_buckets", "s3://mine", "data_buckets must be bucket names without s3:// and *, got 's3://mine'"),
        ("data_buckets", "*", "data_buckets must be bucket names"),
        ("data_buckets", 5, "data_buckets must be bucket names"),
        ("data_buckets", [["a"]], "data_buckets must be bucket names"),
        ("log_retention_days", "2", "log_retention_days must be one of 1, 3, 5, 7"),
        ("noncurrent_days", "0", "noncurrent_days must be a whole number from 1 to 3653"),
        ("run_records_days", "0", "run_records_days must be a whole number from 1 to 3653"),
        ("checkpoint_days", "91", "checkpoint_days must be a whole number from 1 to 90"),
        ("dead_letter_days", "15", "dead_letter_days must be a whole number from 1 to 14"),
        ("tags", "team", "tags must be name=value,…"),
        ("tags", {"team": "a\tb"}, "tags must be name=value,…"),
        ("tags", {"team": None}, "tags must be name=value,…"),
        ("tags", "te*am=x", "a name that AWS does not take as a tag's: 'te*am'"),
        ("tags", "aws:team=x", "the names Spotproof, Lifecycle, aws:…, spotproof:…, which are taken, got 'aws:team'"),
        ("tags", {"Lifecycle": "x"}, "are taken, got 'Lifecycle'"),
        ("tags", "a=1,a=2", "tags must be at most 15 different names, got 2"),
        ("tags", ",".join(f"t{number}=x" for number in range(16)), "tags must be at most 15 different names, got 16"),
        ("required_tags", "spotproof:run", "are taken, got 'spotproof:run'"),
        ("required_tags", "a=b", "required_tags has a name that AWS does not take"),
        ("monthly_budget_usd", "-1", "monthly_budget_usd must be a whole number"),
        ("budget_email", "team", "budget_email must be an address"),
        ("alarm_email", "a b@c.d", "alarm_email must be an address such as team@example.com"),
        ("worker_platform", "manylinux_2_28_riscv64", "must be host or like manylinux_2_28_x86_64"),
        ("worker_platform", "manylinux_2_28_aarch64", "Graviton come with -c families=x86_64,graviton"),
    ],
)
def test_a_wrong_value_is_refused_in_one_line_that_says_what_is_right(name: str, value: object, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        DeploySettings.from_context({name: value})

    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


NETWORK = {
    "vpc_id": "vpc-12345678",
    "subnet_ids": "subnet-12345678,subnet-23456789",
    "vpc_zones": "eu-west-1a,eu-west-1b",
}


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ({"prefix": "spotproof"}, "prefix must differ from Spotproof by more than capitals, because job definitions"),
        ({"network": "existing"}, "vpc_id must be an id such as vpc-0123456789abcdef0 where network is existing"),
        ({"vpc_id": "vpc-12345678"}, "subnet_ids must be at least one subnet of vpc_id"),
        ({**NETWORK, "vpc_zones": "eu-west-1a"}, "vpc_zones must be the zone of each of the 2 subnet_ids"),
        ({**NETWORK, "subnet_ids": "subnet-12345678,subnet-12345678"}, "subnet_ids must be different subnets"),
        ({"subnet_ids": "subnet-12345678"}, "vpc_id must be the network of subnet_ids and vpc_zones, got ''"),
        ({**NETWORK, "network": "private"}, "vpc_id means nothing without network to be existing or auto"),
        ({**NETWORK, "zones": 2}, "zones means nothing without a network of ours"),
        (
            {"network": "public", "compliance": "strict"},
            "network must be auto, private or existing where compliance is",
        ),
        ({"worker_image": "a/b:1", "compliance": "strict"}, "worker_image must be an image with @sha256:"),
        ({"network": "private"}, "worker_image must be an image that a private network reaches, such as"),
        (
            {"network": "private", "worker_image": "a", "families": "fargate,graviton"},
            "value worker_image_arm64 must be",
        ),
        ({"spot_vcpus_min": 9, "spot_vcpus_max": 8}, "spot_vcpus_min must be at most spot_vcpus_max=8, got 9"),
        ({"on_demand_vcpus_min": 65}, "on_demand_vcpus_min must be at most on_demand_vcpus_max=64, got 65"),
        ({"graviton_types": "m6g.large"}, "graviton_types means nothing without families with graviton in it"),
        ({"worker_image_gpu": "a/b:1"}, "worker_image_gpu means nothing without families with gpu in it"),
        ({"fargate_spot_vcpus_max": 8}, "means nothing without families with fargate in it"),
        ({"families": "graviton", "spot_vcpus_max": 8}, "spot_vcpus_max means nothing without families with x86_64"),
        ({"fair_share_reserve": 10}, "fair_share_reserve means nothing without fair_shares"),
        ({"monthly_budget_usd": "100"}, "budget_email must be an address such as team@example.com"),
        ({"budget_email": "a@b.c"}, "budget_email means nothing without monthly_budget_usd"),
    ],
)
def test_values_that_are_wrong_together_are_refused_in_one_line(context: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        DeploySettings.from_context(context)

    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("zones", "region", "allowed", "wrong"),
    [
        ("eu-west-1a,us-east-1a", "", "zones of one region such as eu-west-1", "us-east-1a"),
        ("eu-west-1a,eu-west-2a", "", "zones of one region such as eu-west-1", "eu-west-2a"),
        ("eu-west-1a,abc-lax-1a", "", "zones of one region such as eu-west-1", "abc-lax-1a"),
        ("abc-lax-1a,eu-west-1a", "", "zones of one region such as eu-west-1", "abc-lax-1a"),
        ("eu-west-1a,eu-west-1b", "us-east-1", "zones of us-east-1, the region of this deployment", "eu-west-1a"),
        ("us-east-1a,us-gov-east-1a", "us-east-1", "zones of us-east-1, the region of this", "us-gov-east-1a"),
    ],
)
def test_zones_of_another_region_are_refused_in_one_line_that_names_them(
    zones: str, region: str, allowed: str, wrong: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        DeploySettings.from_context({**NETWORK, "vpc_zones": zones}, region=region)

    assert str(caught.value).startswith(f"context value vpc_zones must be {allowed}")
    assert str(caught.value).endswith(f", got {wrong!r}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("region", ["", "us-west-2"])
def test_local_zones_are_of_their_region(region: str) -> None:
    settings = DeploySettings.from_context({**NETWORK, "vpc_zones": "us-west-2a,us-west-2-lax-1a"}, region=region)

    assert settings.vpc_zones == ("us-west-2a", "us-west-2-lax-1a")


@pytest.mark.parametrize(
    ("context", "kind"),
    [
        ({}, "public"),
        ({"compliance": "strict", "worker_image": f"a@sha256:{'0' * 64}"}, "private"),
        (NETWORK, "existing"),
        ({**NETWORK, "compliance": "strict"}, "existing"),
        ({"network": "private", "worker_image": "a"}, "private"),
    ],
)
def test_the_network_follows_from_what_is_asked_for(context: dict[str, object], kind: str) -> None:
    assert DeploySettings.from_context(context).network_kind == kind


def test_an_image_may_be_named_by_its_digest() -> None:
    for image in (
        f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/worker@sha256:{'0a' * 32}",
        "localhost:5000/w:1",
        "w",
    ):
        assert DeploySettings.from_context({"worker_image": image}).worker_image == image


def test_shares_come_from_the_command_line_or_from_cdk_json() -> None:
    for given in ("nightly=1, research=0.5", {"nightly": 1, "research": 0.5}):
        assert DeploySettings.from_context({"fair_shares": given}).fair_shares == (
            ("nightly", "1"),
            ("research", "0.5"),
        )


def test_every_context_value_is_declared_once_with_a_default_of_its_kind_and_a_line_of_its_own() -> None:
    assert list(DECLARED) == [field.name for field in fields(DeploySettings)]
    for name, each in DECLARED.items():
        assert each.name == name
        assert each.doc.endswith((".", ".)")), name
        assert "\n" not in each.doc + each.kind.allowed
        assert each.default in ("", ()) or each.parse(each.default) == each.default


def test_wheels_of_an_architecture_are_for_systems_as_old_as_the_usual_ones() -> None:
    settings = DeploySettings.from_context({"worker_platform": "manylinux_2_34_x86_64"})

    assert settings.wheel_platform("x86_64") == "manylinux_2_34_x86_64"
    assert settings.wheel_platform("arm64") == "manylinux_2_34_aarch64"
    assert DeploySettings.from_context({"worker_platform": "host"}).wheel_platform("arm64") == "host"


def test_the_default_types_of_every_family_hold_the_declared_jobs() -> None:
    graviton = check_types(DeploySettings().graviton_types, JOBS, architecture="arm64", setting="graviton_types")
    gpu = check_types(
        DeploySettings().gpu_types, [JobSpec(name="g", module="m", family="gpu", gpus=1)], setting="gpu_types"
    )

    assert {each.architecture for each in graviton} == {"arm64"}
    assert {each.gpus for each in gpu} == {1}
    with pytest.raises(
        ConfigurationError, match="graviton_types: the types must all be arm64, as the worker bundle is"
    ):
        check_types(DEFAULT_TYPES, JOBS, architecture="arm64", setting="graviton_types")


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
        ((*DEFAULT_TYPES, "g5.large"), "in a size of xlarge, 2xlarge, 4xlarge, 8xlarge, or add it"),
        ((*DEFAULT_TYPES, "c5.8xlarge"), "instance_types: unknown instance type 'c5.8xlarge'"),
        ((*DEFAULT_TYPES, "m7g.large"), "must all be x86_64, as the worker bundle is; these are arm64 and x86_64"),
        (("m6g.large", "m7g.large"), "must all be x86_64, as the worker bundle is; these are arm64"),
        ((*DEFAULT_TYPES, "optimal"), "unknown instance type 'optimal'"),
        ((*DEFAULT_TYPES, "m5.metal"), "unknown instance type 'm5.metal'"),
        (DEFAULT_TYPES[:9], "at least 10 instance types to find capacity, got 9"),
        (("m5.large",) * 12, "at least 10 instance types to find capacity, got 1"),
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
    for family in ("m5", "m6i"):  # with today's sizes two families are too few types anyway
        monkeypatch.setitem(FAMILIES, family, replace(FAMILIES[family], largest="8xlarge"))
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


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"family": "arm"}, "needs a family of x86_64, graviton, gpu, fargate, got 'arm'"),
        ({"family": "gpu"}, 'needs gpus >= 1 with family="gpu" and 0 with any other, got 0'),
        ({"gpus": 1}, "got 1 with 'x86_64'"),
        (
            {"family": "fargate"},
            "needs memory_mib from 2048 to 8192 in steps of 1024 with 1 vCPUs on Fargate, got 1800",
        ),
        ({"family": "fargate", "vcpus": 3}, "needs vcpus of 1, 2, 4, 8, 16 on Fargate, got 3"),
    ],
)
def test_a_row_that_its_family_can_not_run_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=r"job .odd. in stacks/jobs\.py") as caught:
        JobSpec(name="odd", module="m", **wrong).check()

    assert message in str(caught.value)


def test_a_row_whose_family_is_not_deployed_says_how_to_deploy_it() -> None:
    row = JobSpec(name="odd", module="m", family="fargate", memory_mib=2048)

    check_rows([row], families=("x86_64", "fargate"))
    with pytest.raises(ConfigurationError, match=r"'odd' .* deploy it with -c families=x86_64,fargate"):
        check_rows([row], families=("x86_64",))


def test_a_job_that_needs_more_gpus_than_a_type_has_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"job 'wide' needs 2 GPUs, g4dn.xlarge has 1"):
        check_types(DeploySettings().gpu_types, [JobSpec(name="wide", module="m", family="gpu", gpus=2)])


def test_every_type_that_can_be_chosen_has_a_price() -> None:
    priced = load_on_demand_prices()
    chosen = [f"{family}.{size}" for family, facts in FAMILIES.items() for size in facts.sizes]

    assert [name for name in chosen if name not in priced] == []
    for name in chosen:
        found = parse_type(name)
        assert (priced[name].vcpus, priced[name].memory_mib) == (found.vcpus, found.memory_mib)
