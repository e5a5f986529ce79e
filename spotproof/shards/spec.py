"""How a run's input is cut: the grammar of `shard_by`, in one place."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from spotproof.errors import ConfigurationError

EXAMPLES: Final = (
    "auto",
    "size:64MiB",
    "objects",
    "rowgroups",
    "hash:customer_id:32",
    "range:price:16",
    "time:time_hour:1mo:America/New_York",
)
DEFAULT_SIZE_BYTES: Final = 64 * 1024**2
SHARDS_MAX: Final = 1_000_000  # a plan beyond it is refused: shards should be minutes of work, not seconds

_SIZE: Final = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)\s*([KMGT]i?B|B)?", re.IGNORECASE)
_UNITS: Final = {
    "b": 1,
    "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
}  # fmt: skip
_WINDOW: Final = re.compile(r"([1-9]\d{0,3})(min|h|d|w|mo)")
MINUTES_PER_DAY: Final = 24 * 60


class StrategyName(StrEnum):
    AUTO = "auto"  # row groups for Parquet, objects for unknown formats, size otherwise
    SIZE = "size"
    OBJECTS = "objects"
    ROW_GROUPS = "rowgroups"
    HASH = "hash"
    RANGE = "range"
    TIME = "time"


class WindowUnit(StrEnum):
    MINUTES = "min"
    HOURS = "h"
    DAYS = "d"
    WEEKS = "w"
    MONTHS = "mo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A length of local calendar time. Minutes and hours divide the day evenly."""

    count: int
    unit: WindowUnit

    @property
    def text(self) -> str:
        return f"{self.count}{self.unit}"

    @property
    def minutes(self) -> int | None:
        """Minutes on the local clock for windows shorter than a day, else None."""
        match self.unit:
            case WindowUnit.MINUTES:
                return self.count
            case WindowUnit.HOURS if self.count < 24:
                return self.count * 60
            case _:
                return None

    @property
    def nominal_minutes(self) -> int:
        """Its length but for changes of the clock; months of 31 days."""
        days = {WindowUnit.DAYS: 1, WindowUnit.WEEKS: 7, WindowUnit.MONTHS: 31}
        return self.minutes or self.count * days[self.unit] * MINUTES_PER_DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardingSpec:
    """A parsed `shard_by`; fields that the strategy does not use stay None."""

    strategy: StrategyName
    size_bytes: int | None = None
    column: str | None = None
    count: int | None = None  # shards wanted, for hash and range
    window: Window | None = None
    zone: str | None = None  # IANA name

    @property
    def text(self) -> str:
        """The canonical form; parsing it gives this value again."""
        match self.strategy:
            case StrategyName.SIZE:
                return f"size:{self.size_bytes}B"
            case StrategyName.HASH | StrategyName.RANGE:
                return f"{self.strategy}:{self.column}:{self.count}"
            case StrategyName.TIME:
                assert self.window is not None
                return f"time:{self.column}:{self.window.text}:{self.zone}"
            case _:
                return str(self.strategy)


def parse_shard_by(text: str) -> ShardingSpec:
    """The sharding that `text` asks for.

    `auto` | `size:<bytes>` | `objects` | `rowgroups` | `hash:<column>:<n>` | `range:<column>:<n>` |
    `time:<column>:<window>[:<IANA zone>]`. Sizes: `64MiB`, `1.5GB`, `1000`. Windows: `15min`, `6h`, `1d`, `1w`, `1mo`.
    A column may contain colons. The zone is UTC if left out.

    Raises:
        ConfigurationError: the text is none of these; names the part that is wrong.
    """
    name, _, rest = text.strip().partition(":")
    match name:
        case StrategyName.AUTO | StrategyName.OBJECTS | StrategyName.ROW_GROUPS:
            if rest:
                raise _wrong(text, f"{name!r} takes nothing after it, got {rest!r}")
            return ShardingSpec(strategy=StrategyName(name))
        case StrategyName.SIZE:
            return ShardingSpec(strategy=StrategyName.SIZE, size_bytes=_parse_size(text, rest))
        case StrategyName.HASH | StrategyName.RANGE:
            column, _, count = rest.rpartition(":")
            strategy = StrategyName(name)
            return ShardingSpec(strategy=strategy, column=_column(text, column), count=_parse_count(text, count))
        case StrategyName.TIME:
            return _parse_time(text, rest)
        case _:
            raise _wrong(text, f"unknown strategy {name!r}")


def _wrong(text: str, problem: str) -> ConfigurationError:
    return ConfigurationError(f"shard_by {text!r}: {problem}; examples: {', '.join(EXAMPLES)}")


def _column(text: str, column: str) -> str:
    if not column:
        raise _wrong(text, "the column is missing")
    return column


def _parse_size(text: str, size: str) -> int:
    match = _SIZE.fullmatch(size.strip())
    if match is None:
        raise _wrong(text, f"size {size!r} is not a number of bytes such as 64MiB")
    size_bytes = int(float(match[1]) * _UNITS[(match[2] or "B").lower()])
    if size_bytes < 1:
        raise _wrong(text, f"size {size!r} must be at least one byte")
    return size_bytes


def _parse_count(text: str, count: str) -> int:
    if not (count.isascii() and count.isdigit() and len(count) <= 9):
        raise _wrong(text, f"the number of shards must be a whole number, got {count!r}")
    if not 1 <= int(count) <= SHARDS_MAX:
        raise _wrong(text, f"the number of shards must be 1 to {SHARDS_MAX:,}, got {int(count):,}")
    return int(count)


def _parse_time(text: str, rest: str) -> ShardingSpec:
    head, _, last = rest.rpartition(":")
    if _WINDOW.fullmatch(last):
        column, window, zone = head, last, "UTC"
    else:
        zone = last
        column, _, window = head.rpartition(":")
    if not _WINDOW.fullmatch(window):
        wrong = window if _is_zone(last) else last
        raise _wrong(text, f"window {wrong!r} is not one of 15min, 6h, 1d, 1w, 1mo and the like")
    return ShardingSpec(
        strategy=StrategyName.TIME,
        column=_column(text, column),
        window=_parse_window(text, window),
        zone=_checked_zone(text, zone),
    )


def _parse_window(text: str, window: str) -> Window:
    match = _WINDOW.fullmatch(window)
    assert match is not None
    parsed = Window(count=int(match[1]), unit=WindowUnit(match[2]))
    if parsed.unit is WindowUnit.HOURS and parsed.count % 24 == 0:
        return Window(count=parsed.count // 24, unit=WindowUnit.DAYS)
    if parsed.unit is WindowUnit.MINUTES and parsed.count % MINUTES_PER_DAY == 0:
        return Window(count=parsed.count // MINUTES_PER_DAY, unit=WindowUnit.DAYS)
    minutes = parsed.count * 60 if parsed.unit is WindowUnit.HOURS else parsed.minutes
    if minutes is not None and MINUTES_PER_DAY % minutes:
        raise _wrong(text, f"window {window!r} must divide a day evenly, such as 15min, 1h, 6h or 12h")
    return parsed


def _is_zone(name: str) -> bool:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _checked_zone(text: str, zone: str) -> str:
    if not _is_zone(zone):
        hint = "IANA names such as Europe/Berlin; `pip install tzdata` if none works"
        raise _wrong(text, f"no time zone {zone!r} here ({hint})")
    return zone
