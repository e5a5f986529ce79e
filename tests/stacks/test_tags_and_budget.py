"""Tags of a deployment reach what costs money; a budget over them is a stack of its own, only if it is wanted."""

import pytest

from spotproof import contract
from tests.stacks.assembly import Assembly, synthesise

GIVEN = {"team": "delays", "cost-center": "42"}


@pytest.fixture(scope="module")
def tagged(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    return synthesise(
        tmp_path_factory.mktemp("tagged"),
        prefix="Paid",
        tags="team=delays,cost-center=42",
        required_tags="owner,purpose",
        monthly_budget_usd="500",
        budget_email="team@example.com",
    )


def test_instances_jobs_tables_and_buckets_carry_the_tags(tagged: Assembly) -> None:
    environments = tagged.properties("AWS::Batch::ComputeEnvironment")

    assert len(environments) == 2
    for environment in environments:
        assert GIVEN.items() <= environment["ComputeResources"]["Tags"].items()
        assert environment["ComputeResources"]["Tags"][contract.TAG_DEPLOYMENT] == "Paid"
    definition = tagged.only("AWS::Batch::JobDefinition")
    assert GIVEN.items() <= definition["Tags"].items()
    assert definition["PropagateTags"] is True  # to the tasks, and so to what ECS splits a host's cost by
    for bucket in tagged.properties("AWS::S3::Bucket"):
        assert GIVEN.items() <= {each["Key"]: each["Value"] for each in bucket["Tags"]}.items()


def test_required_tags_are_an_output_for_submit_to_find(tagged: Assembly, assembly: Assembly) -> None:
    assert tagged.outputs("Compute")[contract.OUTPUT_REQUIRED_TAGS]["Value"] == "owner,purpose"
    assert contract.OUTPUT_REQUIRED_TAGS not in assembly.outputs("Compute")


def test_the_budget_watches_the_tag_of_the_instances_and_tells_a_person(tagged: Assembly) -> None:
    (budget,) = tagged.template("Budget")["Resources"].values()
    properties = budget["Properties"]

    assert budget["Type"] == "AWS::Budgets::Budget"
    assert properties["Budget"]["BudgetLimit"] == {"Amount": 500, "Unit": "USD"}
    assert (properties["Budget"]["TimeUnit"], properties["Budget"]["BudgetType"]) == ("MONTHLY", "COST")
    assert properties["Budget"]["CostFilters"] == {"TagKeyValue": ["user:Spotproof$Paid"]}
    told = {
        (each["Notification"]["NotificationType"], each["Notification"]["Threshold"], each["Subscribers"][0]["Address"])
        for each in properties["NotificationsWithSubscribers"]
    }
    assert told == {("ACTUAL", 80, "team@example.com"), ("FORECASTED", 100, "team@example.com")}


def test_without_them_there_is_no_budget(assembly: Assembly) -> None:
    assert not (assembly.directory / "Spotproof-Budget.template.json").exists()
    assert "AWS::Budgets::Budget" not in assembly.text()
