"""The lifecycle is a safety net that can't hit a live run, however long it takes. The clock is moved, not waited for."""

from datetime import UTC, datetime, timedelta

import pytest

from spotproof import contract
from spotproof.checkpoints.manifest import ManifestId, data_key, manifest_key
from tests.stacks.assembly import Assembly, bucket
from tests.stacks.lifecycle import Rule, StoredObject, Upload, aborted, expired

RUN = "delays-2026"
BEGIN = datetime(2026, 11, 22, 7, 30, tzinfo=UTC)
DONE = dict([contract.CHECKPOINT_DONE_TAG])
ID = ManifestId(epoch=3, seq=7, nonce="0a")
LIVE = (
    contract.plan_key(RUN, "b" * 64),
    manifest_key(RUN, 5, ID),
    data_key(RUN, 5, ID, 0),
    f"{contract.staging_prefix(RUN, 5)}00000003-worker/part-00000005.json",
)
DAY = timedelta(days=1)


@pytest.fixture
def work(assembly: Assembly) -> list[Rule]:
    return rules_of(assembly, "Work")


def rules_of(assembly: Assembly, name: str) -> list[Rule]:
    _, properties = bucket(assembly, name)
    rules: list[Rule] = properties["LifecycleConfiguration"]["Rules"]
    return rules


@pytest.mark.parametrize("age_days", [1, 30, 400])
@pytest.mark.parametrize("key", LIVE)
def test_nothing_of_a_live_run_expires_however_old_it_gets(work: list[Rule], key: str, age_days: int) -> None:
    assert expired(work, StoredObject(key=key, created=BEGIN), BEGIN + age_days * DAY) == []


@pytest.mark.parametrize("key", LIVE[1:])
def test_the_same_objects_go_within_two_days_once_the_ended_run_tagged_them(work: list[Rule], key: str) -> None:
    stored = StoredObject(key=key, created=BEGIN, tags=DONE)

    assert expired(work, stored, BEGIN + timedelta(hours=23)) == []
    assert expired(work, stored, BEGIN + 2 * DAY) == ["done"]


def test_another_value_of_the_tag_expires_nothing(work: list[Rule]) -> None:
    stored = StoredObject(key=LIVE[1], created=BEGIN, tags={contract.CHECKPOINT_DONE_TAG[0]: "live"})

    assert expired(work, stored, BEGIN + 400 * DAY) == []


def test_stop_files_go_and_a_stop_file_of_today_stays(work: list[Rule]) -> None:
    stored = StoredObject(key=contract.stop_file_key("i-0a"), created=BEGIN)

    assert expired(work, stored, BEGIN + DAY) == []
    assert expired(work, stored, BEGIN + 2 * DAY) == ["stop-files"]


def test_deleted_checkpoints_do_not_pile_up_if_somebody_turns_versioning_on(work: list[Rule]) -> None:
    deleted = StoredObject(key=LIVE[1], created=BEGIN, replaced=BEGIN + 30 * DAY)

    assert expired(work, deleted, BEGIN + 31 * DAY) == []
    assert expired(work, deleted, BEGIN + 32 * DAY) == ["noncurrent"]
    assert any(rule.get("ExpiredObjectDeleteMarker") for rule in work)


@pytest.mark.parametrize("name", ["Work", "Data"])
def test_abandoned_uploads_go_within_two_days_and_one_of_today_goes_on(assembly: Assembly, name: str) -> None:
    upload = Upload(key=LIVE[3], initiated=BEGIN)

    assert aborted(rules_of(assembly, name), upload, BEGIN + DAY) == []
    assert aborted(rules_of(assembly, name), upload, BEGIN + 2 * DAY) == ["multipart"]


@pytest.mark.parametrize("age_days", [30, 4000])
def test_inputs_and_results_never_expire_and_can_be_had_back_for_a_month(assembly: Assembly, age_days: int) -> None:
    rules = rules_of(assembly, "Data")
    overwritten = StoredObject(key="output/part-0.json", created=BEGIN, replaced=BEGIN + DAY)

    assert expired(rules, StoredObject(key="output/_SUCCESS", created=BEGIN), BEGIN + age_days * DAY) == []
    assert expired(rules, overwritten, BEGIN + 30 * DAY) == []
    assert expired(rules, overwritten, BEGIN + 33 * DAY) == ["noncurrent"]


class TestTheEvaluator:
    """What the tests above rely on."""

    def test_days_are_rounded_up_to_midnight(self) -> None:
        rule = {"Id": "r", "Status": "Enabled", "ExpirationInDays": 1}
        stored = StoredObject(key="k", created=datetime(2026, 11, 22, 0, 0, 1, tzinfo=UTC))
        at_midnight = StoredObject(key="k", created=datetime(2026, 11, 22, tzinfo=UTC))

        assert expired([rule], stored, datetime(2026, 11, 23, 23, 59, 59, tzinfo=UTC)) == []
        assert expired([rule], stored, datetime(2026, 11, 24, tzinfo=UTC)) == ["r"]
        assert expired([rule], at_midnight, datetime(2026, 11, 23, tzinfo=UTC)) == ["r"]

    @pytest.mark.parametrize(
        ("selection", "hits"),
        [
            ({}, True),
            ({"Prefix": "a/"}, True),
            ({"Prefix": "b/"}, False),
            ({"TagFilters": [{"Key": "x", "Value": "1"}]}, True),
            ({"TagFilters": [{"Key": "x", "Value": "1"}, {"Key": "y", "Value": "2"}]}, False),
            ({"Prefix": "b/", "TagFilters": [{"Key": "x", "Value": "1"}]}, False),
            ({"ObjectSizeGreaterThan": 999}, True),
            ({"ObjectSizeGreaterThan": 1000}, False),
            ({"ObjectSizeLessThan": 1000}, False),
            ({"Status": "Disabled"}, False),
        ],
    )
    def test_filters_are_all_needed(self, selection: dict[str, object], hits: bool) -> None:
        rule = {"Id": "r", "Status": "Enabled", "ExpirationInDays": 1, **selection}
        stored = StoredObject(key="a/k", created=BEGIN, tags={"x": "1", "z": "3"})

        assert bool(expired([rule], stored, BEGIN + 9 * DAY)) is hits

    def test_current_and_noncurrent_actions_are_not_mixed_up(self) -> None:
        current = {"Id": "c", "Status": "Enabled", "ExpirationInDays": 1}
        old = {"Id": "n", "Status": "Enabled", "NoncurrentVersionExpiration": {"NoncurrentDays": 1}}

        assert expired([current, old], StoredObject(key="k", created=BEGIN), BEGIN + 9 * DAY) == ["c"]
        replaced = StoredObject(key="k", created=BEGIN, replaced=BEGIN + 5 * DAY)
        assert expired([current, old], replaced, BEGIN + 6 * DAY) == []
        assert expired([current, old], replaced, BEGIN + 9 * DAY) == ["n"]

    def test_a_fixed_date_is_kept_too(self) -> None:
        rule = {"Id": "d", "Status": "Enabled", "ExpirationDate": "2027-01-01T00:00:00+00:00"}
        stored = StoredObject(key="k", created=BEGIN)

        assert expired([rule], stored, datetime(2026, 12, 31, 23, tzinfo=UTC)) == []
        assert expired([rule], stored, datetime(2027, 1, 1, tzinfo=UTC)) == ["d"]

    @pytest.mark.parametrize(
        ("members", "error"),
        [
            ({"Transitions": []}, NotImplementedError),
            ({"NoncurrentVersionExpiration": {"NoncurrentDays": 1, "NewerNoncurrentVersions": 3}}, NotImplementedError),
            ({}, ValueError),
            ({"TagFilters": [], "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}}, ValueError),
        ],
    )
    def test_what_it_does_not_know_or_s3_refuses_is_an_error(
        self, members: dict[str, object], error: type[Exception]
    ) -> None:
        with pytest.raises(error):
            expired([{"Id": "r", "Status": "Enabled", **members}], StoredObject(key="k", created=BEGIN), BEGIN)
