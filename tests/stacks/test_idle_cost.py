"""What a deployment costs while nothing runs: as the page says, and every kind of resource is thought of."""

from typing import Any

import pytest

from tests.stacks.assembly import Assembly
from tools.guard import assembly as templates
from tools.idle_cost.__main__ import TITLES, main
from tools.idle_cost.items import UnknownCostError, idle_items, total_usd
from tools.idle_cost.page import PAGE, tables, with_tables
from tools.idle_cost.prices import PriceList

PRICES = PriceList.read()
SMALL_USD = 1.0  # a month


def of(**resources: dict[str, Any]) -> templates.Assembly:
    return templates.Assembly({"Stack": {"Resources": resources}})


def usd(**resources: dict[str, Any]) -> tuple[float, float]:
    """A month of these resources: as listed, and after free units."""
    return total_usd(idle_items(of(**resources), PRICES))


def test_the_default_deployment_costs_less_than_a_dollar_a_month_and_has_no_endpoint_and_no_gateway(
    assembly: Assembly,
) -> None:
    items = idle_items(templates.Assembly.read(assembly.directory), PRICES)

    assert total_usd(items)[1] < SMALL_USD
    assert {each.what for each in items} & {"interface endpoints", "NAT gateways", "keys", "addresses"} == set()


def test_the_page_says_what_the_templates_cost(assembly: Assembly, strict: Assembly) -> None:
    """`python -m tools.idle_cost DEFAULT STRICT --write` writes it again."""
    found = [idle_items(templates.Assembly.read(each.directory), PRICES) for each in (assembly, strict)]
    page = PAGE.read_text(encoding="utf-8")

    assert with_tables(page, tables(dict(zip(TITLES, found, strict=True)), PRICES)) == page


def test_alarms_are_paid_beyond_the_free_ones() -> None:
    alarms: dict[str, dict[str, Any]] = {f"Alarm{number}": {"Type": "AWS::CloudWatch::Alarm"} for number in range(12)}

    assert usd(**alarms) == pytest.approx((1.20, 0.20))


def test_an_interface_endpoint_is_paid_in_every_zone_and_a_gateway_not_at_all() -> None:
    interface = {"VpcEndpointType": "Interface", "SubnetIds": ["a", "b", "c"]}

    listed, paid = usd(
        Logs={"Type": "AWS::EC2::VPCEndpoint", "Properties": interface},
        S3={"Type": "AWS::EC2::VPCEndpoint", "Properties": {"VpcEndpointType": "Gateway"}},
    )

    assert (listed, paid) == pytest.approx((3 * 7.30, 3 * 7.30))


def test_a_schedule_is_paid_by_its_invocations_and_a_pattern_is_not() -> None:
    function = {"Type": "AWS::Lambda::Function", "Properties": {"MemorySize": 1024}}
    target = [{"Arn": {"Fn::GetAtt": ["Function", "Arn"]}}]
    every_hour = {"ScheduleExpression": "rate(1 hour)", "Targets": target}
    rules = {
        "Every": {"Type": "AWS::Events::Rule", "Properties": every_hour},
        "On": {"Type": "AWS::Events::Rule", "Properties": {"EventPattern": {}, "Targets": target}},
    }

    items = idle_items(of(Function=function, **rules), PRICES)

    assert {each.what: each.units for each in items}["the controller's rounds"] == 730
    assert {each.what: each.units for each in items}["their time"] == 730 * PRICES.assumed.invocation_s


def test_hosts_that_are_kept_are_paid() -> None:
    environment = {"ComputeResources": {"MinvCpus": 2}}

    listed, _ = usd(Spot={"Type": "AWS::Batch::ComputeEnvironment", "Properties": environment})

    assert listed == pytest.approx(2 * 730 * 0.048)


def test_a_resource_of_which_nobody_said_what_it_costs_is_an_error() -> None:
    with pytest.raises(UnknownCostError, match=r"Stack/Search is an AWS::OpenSearchService::Domain: say in"):
        idle_items(of(Search={"Type": "AWS::OpenSearchService::Domain"}), PRICES)


def test_the_command_tells_a_deployment_and_refuses_an_empty_directory(
    assembly: Assembly, capsys: pytest.CaptureFixture[str]
) -> None:
    told = main([str(assembly.directory)])
    text = capsys.readouterr().out
    refused = main([str(assembly.directory / "nothing")])

    assert (told, refused) == (0, 3)
    assert "| **together** |" in text
    assert "run `make synth` first" in capsys.readouterr().err
