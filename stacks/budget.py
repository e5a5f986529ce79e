"""Budget stack: AWS Budgets watches what the deployment's instances cost a month. It only tells; runs have their own."""

from aws_cdk import Stack
from aws_cdk import aws_budgets as budgets
from constructs import Construct

from spotproof import contract
from stacks.settings import DeploySettings

ACTUAL_PERCENT = 80
FORECAST_PERCENT = 100


class BudgetStack(Stack):
    """One budget over the tag that all instances carry; AWS counts the tag once it is activated for cost allocation."""

    def __init__(self, scope: Construct, *, settings: DeploySettings) -> None:
        name = settings.stack_name(contract.STACK_BUDGET)
        super().__init__(scope, name, stack_name=name, description="Spotproof: what the instances may cost a month")
        budgets.CfnBudget(
            self,
            "Monthly",
            budget=budgets.CfnBudget.BudgetDataProperty(
                budget_type="COST",
                time_unit="MONTHLY",
                budget_limit=budgets.CfnBudget.SpendProperty(amount=settings.monthly_budget_usd, unit="USD"),
                cost_filters={"TagKeyValue": [f"user:{contract.TAG_DEPLOYMENT}${settings.prefix}"]},
            ),
            notifications_with_subscribers=[
                _notification("ACTUAL", ACTUAL_PERCENT, settings.budget_email),
                _notification("FORECASTED", FORECAST_PERCENT, settings.budget_email),
            ],
        )


def _notification(kind: str, percent: int, email: str) -> budgets.CfnBudget.NotificationWithSubscribersProperty:
    return budgets.CfnBudget.NotificationWithSubscribersProperty(
        notification=budgets.CfnBudget.NotificationProperty(
            notification_type=kind, comparison_operator="GREATER_THAN", threshold=percent, threshold_type="PERCENTAGE"
        ),
        subscribers=[budgets.CfnBudget.SubscriberProperty(subscription_type="EMAIL", address=email)],
    )
