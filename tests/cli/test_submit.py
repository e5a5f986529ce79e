"""`spotproof submit`."""

import pytest

from spotproof import contract
from spotproof.leases.model import FailurePolicy, RunOptions
from tests.cli.conftest import World

INPUT = ("--input", "s3://data-bucket/in/")


def test_submit_sends_what_a_person_would_give_in_the_console(world: World) -> None:
    result = world.run(
        "submit", "flight-delays", *INPUT, "--run", "r1", "--output", "s3://data-bucket/mine", "--shard-by", "hash:carrier:8",
        "--workers", "6", "-o", "ttl_s=60", "--option", "year=2013", "--queue", "on-demand",
    )  # fmt: skip

    assert result.exit_code == 0, result.output
    assert world.batch.submitted == [
        {
            "jobName": "r1",
            "jobQueue": "on-demand-queue",
            "jobDefinition": "spotproof-flight-delays",
            "parameters": {
                "run": "r1",
                "input": "s3://data-bucket/in/",
                "output": "s3://data-bucket/mine",
                "shard_by": "hash:carrier:8",
                "options": "ttl_s=60,year=2013",
            },
            "tags": {"spotproof:run": "r1", "spotproof:job": "flight-delays"},
            "propagateTags": True,
            "arrayProperties": {"size": 6},
        }
    ]
    assert result.stdout == "r1\n"
    assert "spotproof status r1 --wait" in result.stderr


def test_one_worker_is_submitted_without_an_array(world: World) -> None:
    world.run("submit", "flight-delays", *INPUT, "--workers", "1")

    assert "arrayProperties" not in world.batch.submitted[0]


def test_a_run_id_of_its_own_says_job_time_and_chance(world: World) -> None:
    document = world.json("submit", "flight-delays", *INPUT)

    assert document["run"] == "flight-delays-20261122T120000Z-000001"
    assert world.batch.submitted[0]["parameters"]["run"] == document["run"]


def test_what_is_not_given_is_left_to_the_worker(world: World) -> None:
    document = world.json("submit", "flight-delays", *INPUT)

    assert {document["parameters"][name] for name in ("output", "shard_by", "options")} == {"auto"}


def test_json_has_these_keys_in_this_order(world: World) -> None:
    document = world.json("submit", "flight-delays", *INPUT, "--run", "r1")

    assert list(document) == ["schema", "run", "job", "batch_job", "workers", "queue", "parameters", "joined"]


def test_a_dot_in_the_run_id_does_not_reach_the_name_of_the_batch_job(world: World) -> None:
    world.run("submit", "flight-delays", *INPUT, "--run", "2026.11.21")

    assert world.batch.submitted[0]["jobName"] == "2026-11-21"


def test_submitting_the_same_run_again_joins_it(world: World) -> None:
    world.put_run("r1")

    result = world.run("submit", "flight-delays", *INPUT, "--run", "r1", "--workers", "2")

    assert result.exit_code == 0
    assert "joined run r1" in result.stderr
    assert len(world.batch.submitted) == 1


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("submit", "other", *INPUT), "job"),
        (("submit", "flight-delays", "--input", "s3://data-bucket/elsewhere/"), "input"),
        (("submit", "flight-delays", *INPUT, "--output", "s3://data-bucket/elsewhere"), "output"),
        (("submit", "flight-delays", *INPUT, "-o", "failures_max=9"), "options"),
        (("submit", "flight-delays", *INPUT, "--shard-by", "size:1MiB"), "--shard-by"),
    ],
)
def test_the_same_run_with_other_parameters_is_a_conflict(world: World, arguments: tuple[str, ...], word: str) -> None:
    world.put_run("r1")

    result = world.run(*arguments, "--run", "r1")

    assert result.exit_code == 5
    assert word in result.stderr
    assert not world.batch.submitted


def test_equal_options_join_however_they_are_written(world: World) -> None:
    options = RunOptions(failures_max=9, on_failure=FailurePolicy.FAIL, job={"year": "2013"})
    world.put_run("r1", options=options)

    result = world.run(
        "submit",
        "flight-delays",
        *INPUT,
        "--run",
        "r1",
        "-o",
        "year=2013",
        "-o",
        "on_failure=fail",
        "-o",
        "failures_max=9",
    )

    assert result.exit_code == 0, result.output


def test_a_cancelled_run_is_not_joined(world: World) -> None:
    run = world.put_run("r1")
    world.store.cancel_run(run.run_id, reason="enough")

    result = world.run("submit", "flight-delays", *INPUT, "--run", "r1")

    assert result.exit_code == 5
    assert "choose another --run" in result.stderr
    assert not world.batch.submitted


def test_a_paused_run_is_resumed_and_not_joined(world: World) -> None:
    run = world.put_run("r1")
    world.store.pause_run(run.run_id, reason="budget")

    result = world.run("submit", "flight-delays", *INPUT, "--run", "r1")

    assert result.exit_code == 5
    assert "`spotproof resume r1` lets it go on" in result.stderr
    assert not world.batch.submitted


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("submit", "no-such-job", *INPUT), "there are: flight-delays, other"),
        (("submit", "Flight", *INPUT), "job name"),
        (("submit", "flight-delays", "--input", "s3://data-bucket/nothing/"), "nothing is below"),
        (("submit", "flight-delays", "--input", "s3://no-such-bucket/x"), "no bucket no-such-bucket"),
        (("submit", "flight-delays", "--input", "/tmp/file"), "s3://bucket/prefix"),
        (("submit", "flight-delays"), "--input"),
        (("submit", "flight-delays", *INPUT, "--workers", "0"), "--workers"),
        (("submit", "flight-delays", *INPUT, "--workers", "10001"), "--workers"),
        (("submit", "flight-delays", *INPUT, "--run", "a/b"), "run id"),
        (("submit", "flight-delays", *INPUT, "-o", "checkpoint=daily"), "hourly or incremental"),
        (
            ("submit", "flight-delays", *INPUT, "-o", "checkpoint=naive", "-o", "checkpoint_interval_s=5"),
            "naive never saves",
        ),
        (("submit", "flight-delays", *INPUT, "--run", "x" * 65), "run id"),
        (("submit", "flight-delays", *INPUT, "--run", ".."), "run id"),
        (("submit", "flight-delays", *INPUT, "-o", "ttl_s=soon"), "ttl_s"),
        (("submit", "flight-delays", *INPUT, "-o", "novalue"), "name=value"),
        (("submit", "flight-delays", *INPUT, "-o", "a=1", "-o", "a=2"), "twice"),
        (("submit", "flight-delays", *INPUT, "--output", "out"), "--output"),
        (("submit", "flight-delays", *INPUT, "--shard-by", "a\nb"), "--shard-by"),
        (("submit", "flight-delays", *INPUT, "--timeout", "5"), "--wait"),
        (("submit", "flight-delays", *INPUT, "--wait", "--timeout", "nan"), "--timeout"),
        (("submit", "flight-delays", *INPUT, "--queue", "cheap"), "--queue"),
    ],
)
def test_bad_input_is_one_line_that_names_it_and_nothing_is_submitted(
    world: World, arguments: tuple[str, ...], words: str
) -> None:
    result = world.run(*arguments)

    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("error: ")
    assert words in result.stderr
    assert not world.batch.submitted


def test_a_budget_and_a_deadline_are_run_options_with_a_name_of_their_own(world: World) -> None:
    document = world.json(
        "submit", "flight-delays", *INPUT, "--max-usd", "$12.50", "--deadline", "7200", "-o", "year=2013"
    )

    assert document["parameters"]["options"] == "year=2013,usd_max=12.5,deadline_s=7200"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--max-usd", "1", "-o", "usd_max=1"), "--max-usd and -o usd_max are the same option"),
        (("--deadline", "60", "-o", "deadline_s=1"), "--deadline and -o deadline_s are the same option"),
        (("--max-usd", "free"), "amount of US dollars"),
        (("--max-usd", "-1"), "amount of US dollars"),
        (("--deadline", "0"), "number of seconds"),
        (("--tag", "team"), "must be name=value"),
        (("--tag", "=delays"), "must be name=value"),
        (("--tag", "team=a\tb"), "must be name=value"),
        (("--tag", "team=" + "x" * 257), "must be name=value"),
        (("--tag", "AWS:team=x"), "are taken"),
        (("--tag", "spotproof:run=x"), "are taken"),
        (("--tag", "team=x", "--tag", "team=y"), "given twice"),
        (tuple(word for number in range(31) for word in ("--tag", f"t{number}=x")), "at most 30"),
    ],
)
def test_budgets_deadlines_and_tags_that_make_no_sense_are_one_line(
    world: World, arguments: tuple[str, ...], words: str
) -> None:
    result = world.run("submit", "flight-delays", *INPUT, *arguments)

    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert words in result.stderr
    assert not world.batch.submitted


def test_tags_go_to_the_batch_job_and_its_tasks(world: World) -> None:
    world.run("submit", "flight-delays", *INPUT, "--run", "r1", "--tag", "team=delays", "--tag", "cost-center=42/a=b")

    request = world.batch.submitted[0]
    assert request["tags"] == {
        "team": "delays", "cost-center": "42/a=b", "spotproof:run": "r1", "spotproof:job": "flight-delays",
    }  # fmt: skip
    assert request["propagateTags"] is True


def test_tags_that_the_deployment_requires_must_be_given(world: World) -> None:
    outputs = dict(world.stacks.outputs["Spotproof-Compute"])
    world.stacks.outputs["Spotproof-Compute"] = outputs | {contract.OUTPUT_REQUIRED_TAGS: "team,cost-center"}
    arguments = ("submit", "flight-delays", *INPUT, "--tag", "team=delays")

    refused = world.run(*arguments, "--tag", "cost-center=")
    taken = world.run(*arguments, "--tag", "cost-center=42")

    assert (refused.exit_code, taken.exit_code) == (2, 0)
    assert "requires tags on every run: give --tag cost-center=…" in refused.stderr
    assert len(world.batch.submitted) == 1
