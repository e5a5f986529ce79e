"""The main job on the deployed stacks: real workers, real Lambdas, real interruptions, the same bytes."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from spotproof import contract
from tests.local.account import TestAccount, eventually
from tests.local.product import OBJECTS, Product

Undisturbed = dict[str, bytes]


@pytest.fixture(scope="module")
def product(deployed: TestAccount) -> Product:
    made = Product(account=deployed)
    made.upload_input()
    return made


@pytest.fixture(scope="module")
def undisturbed(product: Product) -> Undisturbed:
    """Outputs of a run that nobody interrupted."""
    product.submit("undisturbed", pace_s="0")
    product.wait_complete("undisturbed")
    return product.outputs("undisturbed")


@pytest.fixture(autouse=True)
def calm(product: Product) -> Iterator[None]:
    yield
    product.account.admin.reset_jobs()


def test_an_undisturbed_run_commits_every_shard_once_and_cleans_up(product: Product, undisturbed: Undisturbed) -> None:
    manifest = product.manifest("undisturbed")
    work = product.account.client("s3").list_objects_v2(Bucket=product.work_bucket)

    assert [shard["index"] for shard in manifest["shards"]] == list(range(OBJECTS))
    assert sorted(file["name"] for shard in manifest["shards"] for file in shard["files"]) == sorted(undisturbed)
    left = [one["Key"] for one in work.get("Contents", []) if "undisturbed" in one["Key"]]
    assert [key for key in left if not key.startswith((contract.RUNS_PREFIX, contract.HISTORY_PREFIX))] == []


def test_a_host_killed_without_notice_changes_no_byte(product: Product, undisturbed: Undisturbed) -> None:
    job = product.submit("killed")
    child = f"{job}:0"
    saved = product.wait_for(child, "checkpoint_saved")

    product.account.admin.kill(product.account.host_of(child))

    product.wait_complete("killed")
    assert product.outputs("killed") == undisturbed
    shards = product.status("killed")["shards"]
    assert shards["done"] == OBJECTS
    assert saved["fencing_token"] == 1


def test_a_notice_is_seen_by_imds_and_stop_file_and_loses_no_work(product: Product, undisturbed: Undisturbed) -> None:
    job = product.submit("noticed")
    child = f"{job}:1"
    product.wait_for(child, "checkpoint_saved")

    product.account.admin.interrupt(product.account.host_of(child))

    product.wait_complete("noticed")
    assert product.outputs("noticed") == undisturbed
    released = [line for line in product.logged(child) if line["event"] == "shard_released"]
    assert all(line["lost_ms"] == 0 for line in released)
    assert {line["signal"] for line in product.logged(child) if line["event"] == "stop_seen"} >= {"imds"}


def test_with_imds_blocked_the_stop_file_still_arrives(product: Product, undisturbed: Undisturbed) -> None:
    job = product.submit("blind")
    child = f"{job}:0"
    product.wait_for(child, "checkpoint_saved")
    host = product.account.host_of(child)

    product.account.admin.set_metadata(host, "refused")
    product.account.admin.interrupt(host)

    seen = product.wait_for(child, "stop_seen")
    assert seen["signal"] in ("stop-file", "session")
    product.wait_complete("blind")
    assert product.outputs("blind") == undisturbed


def test_a_worker_paused_beyond_its_session_is_refused_when_it_wakes_up(
    product: Product, undisturbed: Undisturbed
) -> None:
    job = product.submit("zombie")
    child = f"{job}:0"
    leased = product.wait_for(child, "checkpoint_saved")

    product.account.admin.pause(child)

    def taken_over() -> bool:
        others = [line for n in (1, 2) for line in product.logged(f"{job}:{n}")]
        return any(line["event"] == "shard_leased" and line["shard"] == leased["shard"] for line in others)

    eventually(taken_over, "another worker takes the shard over", timeout_s=60)
    product.account.admin.resume(child)

    noticed = eventually(
        lambda: [line for line in product.logged(child) if line["event"] in ("session_lost", "lease_lost")],
        "the zombie notices",
        timeout_s=30,
    )
    assert noticed
    product.wait_complete("zombie")
    assert product.outputs("zombie") == undisturbed


def test_a_terminated_worker_loses_no_work_and_joining_again_finishes(
    product: Product, undisturbed: Undisturbed
) -> None:
    job = product.submit("terminated", workers=1)
    product.wait_for(job, "checkpoint_saved")

    product.account.client("batch").terminate_job(jobId=job, reason="test")

    ended = product.account.wait(job)
    assert ended["status"] == "FAILED"
    product.wait_for(job, "worker_finished")
    logged = product.logged(job)
    assert "sigterm" in [line["signal"] for line in logged if line["event"] == "stop_seen"]
    # It finished the shard if that fitted into the grace, else it handed it back with everything saved.
    assert [line["lost_ms"] for line in logged if line["event"] == "shard_released"] in ([], [0])
    product.submit("terminated", workers=2)
    product.wait_complete("terminated")
    assert product.outputs("terminated") == undisturbed


def test_a_lost_notice_costs_time_and_nothing_else(product: Product, undisturbed: Undisturbed) -> None:
    product.account.admin.chaos("EC2 Spot Instance Interruption Warning", "drop")
    product.account.admin.chaos("EC2 Instance State-change Notification", "duplicate", count=4)
    job = product.submit("lossy")
    child = f"{job}:2"
    product.wait_for(child, "checkpoint_saved")
    host = product.account.host_of(child)

    product.account.admin.set_metadata(host, "refused")
    product.account.admin.interrupt(host)

    product.wait_complete("lossy")
    assert product.outputs("lossy") == undisturbed


def test_an_input_that_the_role_may_not_read_is_refused_in_one_line(product: Product) -> None:
    product.account.client("s3").create_bucket(Bucket="somebody-elses-data")
    product.account.client("s3").put_object(Bucket="somebody-elses-data", Key="in/0.jsonl", Body=b"{}\n")

    job = product.submit("forbidden", workers=1, input_uri="s3://somebody-elses-data/in/")

    ended = product.account.wait(job)
    assert ended["attempts"][-1]["container"]["exitCode"] == 4
    errors: list[str] = []

    def told() -> bool:  # the log of a container arrives after its end
        errors[:] = [line for line in product.account.lines(job) if line.startswith("spotproof: error:")]
        return bool(errors)

    eventually(told, "the refusal is in the log", timeout_s=20)
    assert len(errors) == 1
    assert "somebody-elses-data" in errors[0]


def test_cancelling_ends_run_and_workers(product: Product) -> None:
    job = product.submit("unwanted")
    product.wait_for(f"{job}:0", "shard_leased")

    done = product.command("-y", "cancel", "unwanted", "--reason", "test")

    assert done.returncode == 0, done.stderr
    eventually(
        lambda: all(
            not one.id.startswith(job) or one.status in ("SUCCEEDED", "FAILED")
            for one in product.account.admin.state().jobs
        ),
        "every worker has ended",
        timeout_s=40,
    )
    assert product.command("status", "unwanted", "--exit-code").returncode == 103


def test_results_are_downloaded_and_verified(product: Product, undisturbed: Undisturbed, tmp_path: Path) -> None:
    done = product.command("--json", "results", "undisturbed", "--download", str(tmp_path))

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["run"] == "undisturbed"
    found = {path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert {name: body for name, body in found.items() if not name.endswith("_SUCCESS")} == undisturbed


def test_the_command_interrupts_a_worker_and_follows_its_log(product: Product, undisturbed: Undisturbed) -> None:
    job = product.submit("by-command")
    product.wait_for(f"{job}:0", "checkpoint_saved")

    done = product.command("-y", "interrupt", "by-command", "--count", "1")

    assert done.returncode == 0, done.stderr
    product.wait_complete("by-command")
    assert product.outputs("by-command") == undisturbed
    log = product.command("logs", "by-command", "--event", "shard_committed")
    assert log.returncode == 0, log.stderr
    assert log.stdout.count("shard_committed") >= OBJECTS
