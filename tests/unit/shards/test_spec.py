import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotproof.errors import ConfigurationError
from spotproof.shards.spec import EXAMPLES, ShardingSpec, StrategyName, Window, WindowUnit, parse_shard_by


@pytest.mark.parametrize("text", EXAMPLES)
def test_every_example_parses_and_its_canonical_text_means_the_same(text: str) -> None:
    spec = parse_shard_by(text)

    assert parse_shard_by(spec.text) == spec


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("size:64MiB", 64 * 2**20), ("size:1.5GB", 1_500_000_000), ("size:1000", 1000), ("size:1 kib", 1024)],
)
def test_sizes_take_decimal_and_binary_units(text: str, size_bytes: int) -> None:
    assert parse_shard_by(text).size_bytes == size_bytes


def test_a_column_may_contain_colons() -> None:
    assert parse_shard_by("hash:a:b:8") == ShardingSpec(strategy=StrategyName.HASH, column="a:b", count=8)
    assert parse_shard_by("time:a:b:1d:Europe/Berlin").column == "a:b"


def test_the_zone_is_utc_if_left_out() -> None:
    spec = parse_shard_by("time:at:15min")

    assert (spec.zone, spec.window) == ("UTC", Window(count=15, unit=WindowUnit.MINUTES))


def test_whole_days_of_hours_are_days() -> None:
    assert parse_shard_by("time:at:48h").window == Window(count=2, unit=WindowUnit.DAYS)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "unknown strategy ''"),
        ("sizes:1", "unknown strategy 'sizes'"),
        ("auto:1", "takes nothing after it, got '1'"),
        ("size:", "size '' is not a number"),
        ("size:-1", "size '-1' is not a number"),
        ("size:0.2", "at least one byte"),
        ("size:nan", "size 'nan' is not a number"),
        ("hash:8", "column is missing"),
        ("hash:a:b", "whole number, got 'b'"),
        ("hash:a:0", "1 to 1,000,000, got 0"),
        ("range:a:9999999", "1 to 1,000,000"),
        ("range:a:²", "whole number, got '²'"),
        ("time:1d", "column is missing"),
        ("time:at:7min", "must divide a day evenly"),
        ("time:at:5h", "must divide a day evenly"),
        ("time:at:0d", "window '0d' is not one of"),
        ("time:at:1d:Mars/Olympus", "no time zone 'Mars/Olympus'"),
        ("time:at:1d:../../etc/passwd", "no time zone"),
    ],
)
def test_errors_name_the_wrong_part_and_show_examples(text: str, named: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(named)) as raised:
        parse_shard_by(text)

    assert EXAMPLES[1] in str(raised.value)
    assert "\n" not in str(raised.value)


@given(st.text(max_size=40) | st.from_regex(r"(size|hash|range|time):.{0,20}:?.{0,10}"))
def test_any_text_parses_or_is_refused_cleanly(text: str) -> None:
    try:
        spec = parse_shard_by(text)
    except ConfigurationError:
        return
    assert parse_shard_by(spec.text) == spec
