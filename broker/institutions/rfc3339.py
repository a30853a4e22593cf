"""Reads timestamps of RFC 3339 in full: fractions of any length, offsets, leap seconds, and T and Z in lower case.

Beyond it, `24:00:00` is read as the end of the day (ISO 8601), and a space may stand for the T. A leap second is the
last second of a day in UTC, and counts as the second after it, as in POSIX time.
"""

import re
from datetime import UTC, datetime

_DAY = 86_400
_read = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.\d+)?"
    r"(?:[Zz]|(?P<sign>[+-])(?P<offset_hours>\d\d):(?P<offset_minutes>\d\d))",
    re.ASCII,
).fullmatch


def seconds(text: str) -> int:
    """The timestamp in whole seconds since the epoch, rounded down. Raises `ValueError` if it is not a timestamp."""
    if (match := _read(text)) is None or (moment := _moment(match)) is None:
        msg = "not a timestamp of RFC 3339"
        raise ValueError(msg)
    return moment


def _moment(match: re.Match[str]) -> int | None:
    """None if there is no such day, time or offset."""
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    offset_hours, offset_minutes = int(match["offset_hours"] or 0), int(match["offset_minutes"] or 0)
    try:
        midnight = datetime(year, month, day, tzinfo=UTC)
    except ValueError:
        return None
    offset = 3600 * offset_hours + 60 * offset_minutes
    clock = 3600 * hour + 60 * minute + second
    moment = int(midnight.timestamp()) + clock - (-offset if match["sign"] == "-" else offset)
    is_on_clock = hour < 24 and second < 60
    is_end_of_day = clock == _DAY and hour == 24
    is_leap_second = second == 60 and hour < 24 and moment % _DAY == 0
    if minute > 59 or offset_hours > 23 or offset_minutes > 59:
        return None
    return moment if is_on_clock or is_end_of_day or is_leap_second else None
