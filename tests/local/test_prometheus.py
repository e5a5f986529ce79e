"""A real Prometheus scrapes the exporter while a run is interrupted: every query of the dashboard has an answer."""

import json
import math
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from spotproof_cli.exporter.metrics import METRICS, Kind
from tests.local.account import TestAccount
from tests.local.product import OBJECTS, Product
from tests.local.prometheus_server import RULES, Server, running_exporter, running_prometheus
from tools.grafana_dashboard import PATH, expressions
from tools.prometheus import Prometheus, fetch, installed, is_debian

RUN = "observed"
EXPRESSIONS = expressions(json.loads(PATH.read_text()))

pytestmark = pytest.mark.skipif(
    installed() is None and not is_debian(), reason="no Prometheus here, and no Debian to take its package from"
)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What was seen of a run that was noticed, struck and short of capacity."""

    server: Server
    exposition: str  # one scrape
    committed: int


@pytest.fixture(scope="module")
def programs() -> Prometheus:
    return fetch()


@pytest.fixture(scope="module")
def scene(deployed: TestAccount, programs: Prometheus, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """The exporter sees the run from its submission to its end."""
    deployed.admin.reset_jobs()
    deployed.empty_fleet()
    product = Product(account=deployed)
    product.upload_input()
    directory = tmp_path_factory.mktemp("prometheus")
    with (
        running_exporter(deployed) as target,
        running_prometheus(programs, target=target, directory=directory) as server,
    ):
        server.wait('count(spotproof_reading_ok == 1) == 4 and on() up{job="spotproof"} == 1')
        play(product, server)
        with urllib.request.urlopen(target, timeout=10) as answer:
            exposition = answer.read().decode()
        yield Scene(server=server, exposition=exposition, committed=product.status(RUN)["shards"]["done"])
    deployed.admin.reset_jobs()


def play(product: Product, server: Server) -> None:
    """A host is noticed and another killed while EC2 has nothing to offer; then it has, and the run completes."""
    admin = product.account.admin
    job = product.submit(RUN, workers=3, usd_max="50", pace_s="0.002")  # two minutes of work
    hosts = {}
    for child in (f"{job}:0", f"{job}:1"):
        product.wait_for(child, "checkpoint_saved")
        hosts[child] = product.account.host_of(child)
    first, *others = dict.fromkeys(hosts.values())
    admin.rebalance(first)
    server.wait("sum(spotproof_rebalance_recommendations_total) > 0")
    admin.market(capacity={"*": 0})
    admin.notice(first)
    if others:
        admin.kill(others[0])
    server.wait('sum(spotproof_interruptions_total{signal="notice"}) > 0')
    server.wait('sum(spotproof_failed_scale_ups_total{reason="capacity"}) > 0')
    admin.market(reset=True)
    product.wait_complete(RUN)
    server.wait('spotproof_runs_ended_total{state="complete"} > 0')


def ready_to_ask(expression: str, server: Server) -> str:
    """As Grafana asks it, with all values of the variables and the whole time."""
    values = {"$__rate_interval": "5s", "$__range": f"{server.age_s}s", "$run": ".*", "$exporter": ".*"}
    for name, value in values.items():
        expression = expression.replace(name, value)
    assert "$" not in expression
    return expression


@pytest.mark.parametrize(("panel", "expression"), EXPRESSIONS, ids=[f"{title}" for title, _ in EXPRESSIONS])
def test_every_query_of_the_dashboard_has_finite_answers(scene: Scene, panel: str, expression: str) -> None:
    found = scene.server.series(ready_to_ask(expression, scene.server))

    assert found, f"{panel}: nothing for {expression}"
    assert all(math.isfinite(value) for series in found for value in series), f"{panel}: {found}"


@pytest.mark.parametrize(
    "query",
    [
        'spotproof_interruptions_total{signal="notice"}',
        'spotproof_nodes_removed_total{lifecycle="spot", reason="interrupted"}',
        'spotproof_failed_scale_ups_total{reason="capacity"}',
        'spotproof_cost_usd_total{lifecycle="spot"}',
        'spotproof_worker_seconds_total{activity="work"}',
        'spotproof_worker_seconds_total{activity="checkpoint"}',
        "spotproof_workers_started_total",
        'spotproof_workers{lifecycle="spot", state="running"}',
        'spotproof_workers_waiting{reason="no_capacity"}',
        'spotproof_allocatable_vcpus{lifecycle="spot"}',
        'spotproof_requested_vcpus{lifecycle="spot"}',
        f'spotproof_run_interruptions{{run="{RUN}"}}',
        f'spotproof_run_shards{{run="{RUN}", state="leased"}}',
        f'spotproof_run_eta_seconds{{run="{RUN}"}}',
        f'spotproof_run_cost_usd{{run="{RUN}"}}',
    ],
)
def test_what_happened_to_the_run_is_in_prometheus(scene: Scene, query: str) -> None:
    """More than zero at some moment: a dashboard of zeroes answers every query too."""
    assert max(value for series in scene.server.series(query) for value in series) > 0


def test_the_numbers_of_the_run_are_those_of_the_table(scene: Scene) -> None:
    (cut,) = scene.server.series(f'max(sum without (state) (spotproof_run_shards{{run="{RUN}"}}))')
    (finished,) = scene.server.now(
        'sum(spotproof_shards_finished_total{job_name="flight-delays", outcome="committed"})'
    )

    assert set(cut) == {OBJECTS}  # in whatever state, at every moment
    assert scene.committed == OBJECTS
    assert finished >= OBJECTS
    assert scene.server.now(f'spotproof_run_shards{{run="{RUN}"}}') == []  # it is not live any more


def test_no_counter_ever_fell(scene: Scene) -> None:
    counters = [each.full_name for each in METRICS if each.kind is Kind.COUNTER]

    assert {name: scene.server.now(f"sum(resets({name}[1h]))") for name in counters} == {name: [0] for name in counters}


def test_every_alert_rule_is_evaluated_without_an_error(scene: Scene) -> None:
    groups: list[dict[str, Any]] = scene.server.api("rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]

    assert len(rules) >= 14
    assert [(rule["name"], rule.get("lastError")) for rule in rules if rule["health"] != "ok"] == []


def test_promtool_finds_nothing_to_say_about_the_metrics(scene: Scene, programs: Prometheus) -> None:
    done = subprocess.run(
        [programs.promtool, "check", "metrics"], input=scene.exposition, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_each_alert_fires_when_it_should_and_not_before(programs: Prometheus) -> None:
    tests = RULES.with_name("spotproof.test.yml")
    done = subprocess.run([programs.promtool, "test", "rules", tests], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_rule_that_is_wrong_fails_its_test(programs: Prometheus, tmp_path: Any) -> None:
    for name in (RULES.name, "spotproof.test.yml"):
        (tmp_path / name).write_text(RULES.with_name(name).read_text().replace("> 0.8", "> 0.95"))

    done = subprocess.run(
        [programs.promtool, "test", "rules", tmp_path / "spotproof.test.yml"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "SpotproofBudgetNearlySpent" in done.stdout + done.stderr
