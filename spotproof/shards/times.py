"""Times of records as instants, and windows of local calendar time as ranges of instants.

Instants are integer nanoseconds since 1970 UTC. Reading a column: text is ISO 8601 (an offset or Z makes it an
instant, else it is local to the sharding's zone; eight digits are a date), numbers are epoch seconds, or milliseconds
from 1e11 on, microseconds from 1e14, nanoseconds from 1e17; so are texts of nine digits or more. A local time that
occurs twice is its first occurrence (fold 0), one that was skipped is as if the clock had not been set forward.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache, lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from spotproof.shards.spec import Window, WindowUnit
from spotproof.shards.values import Key, KeyValueError, Moment, as_key

NS_PER_S: Final = 1_000_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LOCAL_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - a wall clock without a zone, on purpose
_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()
_EPOCH_MONDAY_OFFSET: Final = 3  # 1970-01-01 was a Thursday
_EPOCH_NUMBER: Final = re.compile(r"[+-]?\d{9,19}(?:\.\d{1,9})?")
_YEAR_FIRST, _YEAR_LAST = 1, 9998  # room for a window on either side
_UNIT_LIMITS: Final = ((10**11, NS_PER_S), (10**14, 10**6), (10**17, 10**3))


class Calendar:
    """Local time of one zone."""

    def __init__(self, zone: str) -> None:
        self.zone = ZoneInfo(zone)

    @staticmethod
    @cache
    def of(zone: str) -> "Calendar":
        return Calendar(zone)

    def instant_ns(self, value: Key) -> int | None:
        """The instant that a record's value means; None for null.

        Raises:
            KeyValueError: it is not a time; the text says what was found.
        """
        key = as_key(value)
        match key:
            case None:
                return None
            case bool() | bytes():
                raise KeyValueError(f"{key!r} is not a time")
            case int() | float() | Decimal():
                return _epoch_ns(key)
            case Moment():
                return key.epoch_ns if key.zoned else self._local_ns(key.epoch_ns)
            case str():
                return self._parse(key)

    def _parse(self, text: str) -> int:
        stripped = text.strip()
        if _EPOCH_NUMBER.fullmatch(stripped):
            return _epoch_ns(Decimal(stripped))
        try:
            moment = datetime.fromisoformat(stripped)
        except ValueError:
            raise KeyValueError(f"{text[:60]!r} is not an ISO 8601 time or an epoch number") from None
        if moment.tzinfo is not None:
            return _to_ns(moment - _EPOCH)
        return self._local_ns(_to_ns(moment - _LOCAL_EPOCH))

    def _local_ns(self, wall_ns: int) -> int:
        return wall_ns - self._offset_s(wall_ns // NS_PER_S, 0) * NS_PER_S

    @lru_cache(maxsize=65_536)  # noqa: B019 - calendars live as long as the process, one per zone
    def _offset_s(self, wall_s: int, fold: int) -> int:
        try:
            wall = _LOCAL_EPOCH + timedelta(seconds=wall_s)
        except OverflowError:
            raise KeyValueError("the year must be 1 to 9998") from None
        offset = wall.replace(tzinfo=self.zone, fold=fold).utcoffset()
        assert offset is not None
        return offset // timedelta(seconds=1)

    def occurrences_ns(self, wall: datetime) -> tuple[int, ...]:
        """The one or two instants at which the local clock shows `wall`; for a skipped time the unshifted reading."""
        wall_s = (wall - _LOCAL_EPOCH) // timedelta(seconds=1)
        first = wall_s - self._offset_s(wall_s, 0)
        second = wall_s - self._offset_s(wall_s, 1)
        return (first * NS_PER_S, second * NS_PER_S) if second > first else (first * NS_PER_S,)

    def local(self, instant_ns: int) -> datetime:
        """What the local clock shows at an instant, without zone.

        Raises:
            KeyValueError: outside the years 1 to 9998.
        """
        try:
            moment: datetime | None = (_EPOCH + timedelta(microseconds=instant_ns // 1000)).astimezone(self.zone)
        except (OverflowError, ValueError):
            moment = None
        if moment is None or not _YEAR_FIRST < moment.year < _YEAR_LAST:
            raise KeyValueError("the year must be 1 to 9998")
        return moment.replace(tzinfo=None, fold=0)

    def boundaries_ns(self, window: Window, first_ns: int, last_ns: int) -> Iterator[int]:
        """Starts of the windows that cover [first, last], rising; the last one yielded is after `last_ns`.

        Windows of days, weeks (from Monday) and months start at local midnight, so a day of 23 or 25 hours is one day.
        Shorter windows start whenever the local clock shows a multiple of their length, at both occurrences of a
        repeated hour.
        """
        starts = self._starts(window, self.local(first_ns).date())
        previous: int | None = None
        for start in starts:
            if previous is not None and start <= previous:
                continue
            if previous is not None and start > first_ns:
                yield previous
            previous = start
            if start > last_ns:
                yield start
                return

    def _starts(self, window: Window, day: date) -> Iterator[int]:
        minutes = window.minutes
        if minutes is None:
            yield from (self.occurrences_ns(_midnight(start))[0] for start in _calendar_starts(window, day))
            return
        day -= timedelta(days=1)
        while True:
            walls = (_midnight(day) + timedelta(minutes=at) for at in range(0, 24 * 60, minutes))
            yield from sorted({instant for wall in walls for instant in self.occurrences_ns(wall)})
            day += timedelta(days=1)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day)  # noqa: DTZ001 - a wall clock without a zone, on purpose


def _calendar_starts(window: Window, day: date) -> Iterator[date]:
    """First days of windows, from one window before that of `day` on."""
    if window.unit is WindowUnit.MONTHS:
        months = (day.year * 12 + day.month - 1) // window.count - 1
        while True:
            year, month = divmod(max(months * window.count, 12), 12)
            yield date(year, month + 1, 1)
            months += 1
    length = window.count * (7 if window.unit is WindowUnit.WEEKS else 1)
    anchor = _EPOCH_ORDINAL - (_EPOCH_MONDAY_OFFSET if window.unit is WindowUnit.WEEKS else 0)
    number = (day.toordinal() - anchor) // length - 1
    while True:
        yield date.fromordinal(max(anchor + number * length, 1))
        number += 1


def window_of(boundaries_ns: list[int], instant_ns: int) -> int:
    """Index of the window that holds an instant, given its inner boundaries; the outer windows are open."""
    return bisect_right(boundaries_ns, instant_ns)


def _to_ns(span: timedelta) -> int:
    return (span.days * 86_400 + span.seconds) * NS_PER_S + span.microseconds * 1000


def _epoch_ns(number: int | float | Decimal) -> int:
    """Nanoseconds of an epoch number, whose unit its magnitude tells."""
    try:
        size: int | float | Decimal = number if number >= 0 else -number
        unit_ns = next((unit_ns for limit, unit_ns in _UNIT_LIMITS if size < limit), 1)
        return int(number * unit_ns)
    except (OverflowError, ValueError):
        raise KeyValueError(f"{number!r} is not a time") from None


def same_epoch_unit(low: Key, high: Key) -> bool:
    """Whether two epoch numbers and all between them are read in one unit, so that their order is that of time."""
    if not (isinstance(low, int | float) and isinstance(high, int | float)):
        return False
    return sum(abs(low) >= limit for limit, _ in _UNIT_LIMITS) == sum(abs(high) >= limit for limit, _ in _UNIT_LIMITS)
