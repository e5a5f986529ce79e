"""`spotproof gameday` from the first look to the report, on a run that is struck while it watches."""

import json
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from spotproof import contract, events
from spotproof.clients import Clients
from spotproof.clock import to_epoch_ms
from spotproof.interruptions.stop_file import notice_file, render_stop_file
from spotproof.leases.model import CapacityClass, Lease, OutputPointer, RunState, Session
from tests.cli.conftest import World
from tests.cli.fake_fis import GROUP_ARN, FakeEc2, FakeFis, FakeScaling
from tests.cli.test_results import manifest_of
from tests.cli.test_status import end

HOSTS = ("i-00000000000000aa", "i-00000000000000bb")
NOTHING = OutputPointer(files=(), manifest_key=None, sha256="0" * 64, size_bytes=0, records=0)
OUTPUTS = {name: f"EXT{1 if plan != 'no-capacity' else 2}" for plan, name in contract.GAME_DAY_OUTPUTS.items()}


@dataclass
class Play:
    """A run of two shards on two hosts; the first host is struck when an experiment starts."""

    world: World
    fis: FakeFis
    ec2: FakeEc2
    directory: Path

    def __post_init__(self) -> None:
        self.world.stacks.outputs["Spotproof-GameDays"] = OUTPUTS
        self.world.on_connect = self._connect
        self.run = self.world.put_run(shards=2, stripes=1)
        self.sessions = [
            self.world.open_session(self.run, name, instance_id=host) for name, host in zip("ab", HOSTS, strict=True)
        ]
        self.ec2.instances = list(HOSTS)

    def _connect(self, clients: Clients) -> None:
        vars(clients).update(fis=self.fis, ec2=self.ec2, autoscaling=FakeScaling())

    def call(self, *arguments: str) -> Any:
        return self.world.run("gameday", "run-1", "--output", str(self.directory), *arguments)

    def report(self) -> Any:
        return json.loads((self.directory / "report.json").read_text())

    def log(self, session: Session, event: str, **more: Any) -> None:
        now = self.world.clock.now()
        where = {"run_id": "run-1", "session_id": session.session_id, "instance_id": session.host.instance_id}
        line = {"ts": now.isoformat(), "event": event, **where, **more}
        self.world.logs.write(to_epoch_ms(now), json.dumps(line))

    def lease(self, session: Session) -> Lease:
        index = self.world.store.take_ticket(self.run, 0)
        assert index is not None
        return self._leased(session, self.world.store.claim_fresh(self.run, index, session))

    def take_over(self, session: Session) -> Lease:
        (found,) = self.world.store.candidates(self.run, CapacityClass.SPOT, limit=5)
        return self._leased(session, self.world.store.claim_requeued(self.run, found, session))

    def _leased(self, session: Session, lease: Lease | None) -> Lease:
        assert lease is not None
        self.world.store.hold(session, lease.index, seq=1, until=session.until)
        self.log(session, events.SHARD_LEASED, shard=lease.index, fencing_token=lease.fencing_token)
        return lease

    def commit(self, session: Session, lease: Lease) -> None:
        self.world.store.commit(lease, NOTHING)
        self.log(session, events.SHARD_COMMITTED, shard=lease.index, fencing_token=lease.fencing_token)

    def notice(self) -> None:
        now = self.world.clock.now()
        stop = notice_file(
            instance_id=HOSTS[0], event_id="e", event_time=now, written_at=now + timedelta(seconds=2),
            lead=timedelta(seconds=120),
        )  # fmt: skip
        body = render_stop_file(stop)
        self.world.s3().put_object(Bucket="work-bucket", Key=contract.stop_file_key(HOSTS[0]), Body=body)
        self.log(self.sessions[0], events.STOP_SEEN, kind="notice", signal="imds")

    def release(self, lease: Lease) -> None:
        self.world.store.release(lease, interrupted=True)
        fields = {"shard": lease.index, "fencing_token": lease.fencing_token, "lost_ms": 0}
        self.log(self.sessions[0], events.SHARD_RELEASED, **fields)

    def publish(self) -> None:
        prefix = self.run.output_uri.removeprefix("s3://data-bucket/")
        content = {"part-0": b"0", "part-1": b"1"}
        for name, body in content.items():
            self.world.s3().put_object(Bucket="data-bucket", Key=prefix + name, Body=body)
        manifest = {**manifest_of(self.run, content), "quarantined": []}
        self.world.s3().put_object(Bucket="data-bucket", Key=f"{prefix}_SUCCESS", Body=json.dumps(manifest).encode())
        end(self.world, self.run, RunState.COMPLETE)

    def unfold(self) -> None:
        """Both workers hold a shard; once the experiment starts, one lets go and the other does both."""
        first, second = self.lease(self.sessions[0]), self.lease(self.sessions[1])
        clock, other = self.world.clock, self.sessions[1]

        def struck() -> None:
            self.notice()
            clock.after(4, lambda: self.release(first))
            clock.after(6, lambda: self.commit(other, second))
            clock.after(8, lambda: leases.append(self.take_over(other)))
            clock.after(12, lambda: self.commit(other, leases[0]))
            clock.after(14, self.publish)

        leases: list[Lease] = []
        self.fis.on_start = struck


@pytest.fixture
def play(world: World, tmp_path: Path) -> Play:
    return Play(world=world, fis=FakeFis(world.clock), ec2=FakeEc2(), directory=tmp_path / "report")


def test_a_run_that_keeps_its_promise_ends_with_0_and_a_report(play: Play) -> None:
    play.unfold()

    result = play.call()

    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == f"promise kept; report in {play.directory}"
    report = play.report()
    assert (report["verdict"], report["run"]["state"], report["plan"]) == ("kept", "COMPLETE", "interrupt")
    assert [each["instance"] for each in report["struck"]] == [HOSTS[0]]
    assert report["latencies_s"]["released → leased again"]["p50_s"] == 4.0
    assert "promise" not in (play.directory / "report.md").read_text().splitlines()[0]
    assert play.fis.started[0]["template"] == "EXT1"


def test_the_run_ends_first_and_the_experiment_is_ended_with_it(play: Play) -> None:
    play.unfold()
    play.fis.lasts_s = 3600.0

    assert play.call().exit_code == 0
    assert play.fis.stopped == ["EXP1"]


def test_an_outage_while_it_watches_is_waited_out(play: Play) -> None:
    play.unfold()
    play.fis.silent_until = play.world.clock.monotonic() + 90

    result = play.call()

    assert result.exit_code == 0, result.output
    assert "warning: looking at the experiment" in result.stderr


def test_a_broken_promise_is_104(play: Play) -> None:
    play.unfold()
    struck = play.fis.on_start

    def and_twice() -> None:
        struck()
        play.world.clock.after(13, lambda: play.log(play.sessions[0], events.SHARD_LEASED, shard=0, fencing_token=9))
        play.world.clock.after(
            13.5, lambda: play.log(play.sessions[0], events.SHARD_COMMITTED, shard=0, fencing_token=9)
        )

    play.fis.on_start = and_twice

    result = play.call()

    assert result.exit_code == 104
    assert "✗ every shard committed exactly once: committed twice: 0" in result.stdout
    assert play.report()["verdict"] == "broken"


def test_an_experiment_that_struck_nobody_proves_nothing(play: Play) -> None:
    play.unfold()
    play.fis.lasts_s = 5.0
    play.fis.ends_as = "failed"
    play.notice = lambda: None  # type: ignore[method-assign]

    result = play.call()

    assert result.exit_code == 104
    assert "experiment failed" in result.stdout
    assert "no instance of the run got a notice" in result.stdout


def test_json_is_the_report_itself(play: Play) -> None:
    play.unfold()

    document = play.world.json("gameday", "run-1", "--output", str(play.directory))

    assert document == play.report()


def test_nothing_is_struck_before_a_spot_worker_holds_a_shard(play: Play) -> None:
    began = play.world.clock.monotonic()
    play.world.clock.after(30, play.unfold)

    result = play.call()

    assert result.exit_code == 0, result.output
    assert play.fis.started[0]["at"] - began >= 30
    assert "waiting: no worker on Spot holds a shard yet" in result.stderr


def test_a_run_that_never_can_be_struck_is_given_up_in_time(play: Play) -> None:
    result = play.call("--timeout", "60")

    assert result.exit_code == 5
    assert "could not be struck in time" in result.stderr
    assert not play.fis.started


def test_a_run_that_does_not_end_in_time_goes_on_without_the_experiment(play: Play) -> None:
    play.lease(play.sessions[0])
    play.fis.on_start = play.notice
    play.fis.lasts_s = 3600.0

    result = play.call("--timeout", "60")

    assert result.exit_code == 124
    assert play.report()["verdict"] == "unfinished"
    assert play.fis.stopped == ["EXP1"]


def test_a_run_that_has_ended_is_refused(play: Play) -> None:
    play.world.store.cancel_run(play.run.run_id, reason="x")

    result = play.call()

    assert result.exit_code == 5
    assert "CANCELLED" in result.stderr


def test_another_number_is_a_template_of_this_game_day_only(play: Play) -> None:
    play.unfold()

    assert play.call("--percent", "100").exit_code == 0

    assert [each["targets"]["SpotInstances"]["selectionMode"] for each in play.fis.made] == ["COUNT(2)"]
    assert play.fis.started[0]["template"] == "EXT3"
    assert set(play.fis.templates) == {"EXT1", "EXT2"}


def test_instances_of_others_are_left_alone(play: Play) -> None:
    play.unfold()
    play.ec2.instances.append("i-00000000000000cc")

    assert play.call().exit_code == 0

    (made,) = play.fis.made
    assert made["targets"]["SpotInstances"]["resourceArns"] == [
        f"arn:aws:ec2:eu-central-1:123456789012:instance/{HOSTS[0]}"
    ]
    assert set(play.fis.templates) == {"EXT1", "EXT2"}


def test_a_shortage_names_the_groups_of_the_spot_environment(play: Play) -> None:
    play.unfold()

    assert play.call("--plan", "no-capacity").exit_code == 0

    (made,) = play.fis.made
    assert made["targets"]["SpotGroups"]["resourceArns"] == [GROUP_ARN]
    assert play.report()["experiment"]["starved_groups"] == [GROUP_ARN]


def test_instances_are_asked_for_by_the_tags_of_this_deployment(play: Play) -> None:
    play.unfold()
    play.call()

    asked = {each["Name"]: each["Values"] for each in play.ec2.filters[0]}
    assert asked == {
        "tag:Spotproof": ["Spotproof"],
        "tag:Lifecycle": ["spot"],
        "instance-state-name": ["running"],
    }


def test_without_the_stack_of_game_days_it_says_so(play: Play) -> None:
    del play.world.stacks.outputs["Spotproof-GameDays"]

    result = play.call()

    assert result.exit_code == 4
    assert "no stack Spotproof-GameDays" in result.stderr


def test_a_stack_that_is_older_than_the_plan_is_named(play: Play) -> None:
    play.world.stacks.outputs["Spotproof-GameDays"] = {}

    assert "has no output InterruptTemplateId" in play.call().stderr


@pytest.mark.parametrize("arguments", [("--count", "1", "--percent", "5"), ("--plan", "chaos"), ("--count", "0")])
def test_arguments_that_make_no_sense_are_usage_errors(play: Play, arguments: tuple[str, ...]) -> None:
    assert play.call(*arguments).exit_code == 2
