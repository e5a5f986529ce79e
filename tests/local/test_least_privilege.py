"""Least privilege, both ways, over every call that the product's roles made in this session: it runs last.

Each role's statements are enforced here as on AWS. So nothing that a role needed was missing if nothing was refused;
and what no call of the session made use of is not needed, or listed with a reason in stacks/unused_grants.py.
"""

from collections.abc import Iterator

import pytest

from spotproof.worker.options import format_options
from stacks.unused_grants import UNUSED_GRANTS
from tests.local.account import TestAccount, eventually
from tests.local.product import OPTIONS, Product
from tests.local.troubles import UNSAVED_OBJECTS
from tools.privileges import Grant, granted, refused, unexplained

PREFIX = "Spotproof"
# A test of refusals asks for it: tests/local/test_main_job.py.
FOREIGN_BUCKET = "arn:aws:s3:::somebody-elses-data"
# What is judged is the whole session; these must have been in it, or grants that only they use look unneeded.
SESSION = ("test_main_job", "test_game_day", "test_waiting_product", "test_cost", "test_sizing")


@pytest.fixture(scope="module")
def product(deployed: TestAccount) -> Product:
    made = Product(account=deployed)
    made.upload_input()
    return made


@pytest.fixture(autouse=True)
def calm(product: Product) -> Iterator[None]:
    product.account.admin.reset_jobs()
    yield
    product.account.admin.pause_schedules(paused=False)
    product.account.admin.reset_jobs()


@pytest.fixture
def whole_session(request: pytest.FixtureRequest) -> None:
    modules = {item.path.stem for item in request.session.items}
    if missing := sorted(set(SESSION) - modules):
        pytest.skip(f"only a session with {', '.join(missing)} says what is needed: run `pytest -m local`")


def grants(product: Product) -> tuple[Grant, ...]:
    return granted(product.account.admin.calls(), prefix=PREFIX)


def is_meant(refusal: Grant) -> bool:
    """Whether a test asks for the refusal: of a bucket nobody granted, or by a policy of its own."""
    saving = refusal.action == "s3:PutObject" and UNSAVED_OBJECTS in refusal.resource
    return saving or refusal.resource.startswith(FOREIGN_BUCKET)


def used(product: Product, role: str, action: str, resource: str) -> bool:
    """Whether a call used a grant of the role whose resource contains this text."""
    return any(
        each.calls > 0
        for each in grants(product)
        if each.role.startswith(role) and each.action == action and resource in each.resource
    )


def submit_for_one_attempt(product: Product, run_id: str) -> str:
    """A worker that Batch does not retry, so that its end is for the function to handle."""
    submitted = product.account.client("batch").submit_job(
        jobName=f"flight-delays-{run_id}",
        jobQueue=product.account.outputs["Spotproof-Compute.SpotQueueName"],
        jobDefinition=product.account.outputs["Spotproof-Compute.JobDefinitionNames"],
        retryStrategy={"attempts": 1},
        tags={"team": "test"},
        parameters={
            "run": run_id,
            "input": f"s3://{product.data_bucket}/in/",
            "shard_by": "objects",
            "options": format_options(OPTIONS),
        },
    )
    return str(submitted["jobId"])


def test_a_worker_without_attempts_left_is_replaced_by_the_function(product: Product) -> None:
    job = submit_for_one_attempt(product, "replaced")
    product.wait_for(job, "checkpoint_saved")

    product.account.admin.kill(product.account.host_of(job))

    product.wait_complete("replaced")
    assert used(product, "Events-JobStateChange", "batch:SubmitJob", "job-queue/")
    assert used(product, "Events-JobStateChange", "batch:SubmitJob", "job-definition/")
    assert used(product, "Events-JobStateChange", "batch:TagResource", "job/")


def test_a_run_that_spot_can_not_begin_is_begun_on_demand_at_the_event(product: Product) -> None:
    product.account.empty_fleet()
    product.account.admin.market(capacity={"*": 0})
    product.account.admin.pause_schedules()  # the controller would do the same

    product.submit("begun-on-demand", workers=1, pace_s="0")

    product.wait_complete("begun-on-demand")
    assert used(product, "Events-QueueBlocked", "batch:SubmitJob", "OnDemandQueue")


def test_a_run_short_of_spot_gets_workers_on_demand(product: Product) -> None:
    product.account.empty_fleet()
    product.account.admin.quota(vcpus={"spot": 2})
    # Long enough for the controller to add some more after what the event of the blocked queue brought.
    job = product.submit("helped", workers=4, fallback_after_s="1", pace_s="0.0015")
    eventually(lambda: any(product.logged(f"{job}:{n}") for n in range(4)), "a worker", timeout_s=120)

    def helped() -> bool:
        product.account.admin.fire_schedule("Controller")
        return used(product, "Events-Controller", "batch:SubmitJob", "OnDemandQueue")

    eventually(helped, "the controller adds workers", timeout_s=120)
    product.wait_complete("helped")


def test_no_call_of_a_role_was_refused_but_those_that_are_tested(product: Product) -> None:
    found = refused(product.account.admin.calls(), prefix=PREFIX)

    assert [str(each) for each in found if not is_meant(each)] == []


@pytest.mark.usefixtures("whole_session")
def test_what_is_granted_is_used_or_has_a_reason(product: Product) -> None:
    found = unexplained(grants(product))

    assert [str(each) for each in found] == []


def test_every_reason_is_about_something_that_is_granted(product: Product) -> None:
    held = grants(product)

    stale = [
        entry.reason
        for entry in UNUSED_GRANTS
        if not any(entry.covers(role=each.role, action=each.action, resource=each.resource) for each in held)
    ]
    assert stale == []
