"""Timestamps, by tables and against the standard library."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.institutions import rfc3339

NEW_YEAR = 1_483_228_800  # 2017-01-01T00:00:00Z


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1969-12-31T23:59:59Z", -1),
        ("2017-01-01T00:00:00Z", NEW_YEAR),
        ("2017-01-01t00:00:00z", NEW_YEAR),
        ("2017-01-01 00:00:00Z", NEW_YEAR),
        ("2017-01-01T08:00:00+08:00", NEW_YEAR),
        ("2016-12-31T19:00:00-05:00", NEW_YEAR),
        ("2016-12-31T18:30:00-05:30", NEW_YEAR),
        ("2017-01-01T00:00:00-00:00", NEW_YEAR),
        ("2017-01-01T23:59:00+23:59", NEW_YEAR),
        ("2017-01-01T00:00:00.5Z", NEW_YEAR),
        ("2017-01-01T00:00:00.999999999Z", NEW_YEAR),
        ("2017-01-01T00:00:00." + "9" * 50 + "+00:00", NEW_YEAR),
        ("2016-12-31T24:00:00Z", NEW_YEAR),
        ("2017-01-01T24:00:00+23:00", NEW_YEAR + 3600),
        ("2016-12-31T23:59:60Z", NEW_YEAR),
        ("2016-12-31T23:59:60.25Z", NEW_YEAR),
        ("2017-01-01T07:59:60+08:00", NEW_YEAR),
        ("2016-12-31T18:59:60-05:00", NEW_YEAR),
        ("2024-02-29T00:00:00Z", 1_709_164_800),
        ("9999-12-31T23:59:59Z", 253_402_300_799),
    ],
)
def test_what_is_a_timestamp(text: str, expected: int) -> None:
    assert rfc3339.seconds(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "2017-01-01",
        "2017-01-01T00:00:00",
        "2017-01-01T00:00Z",
        "2017-01-01T00:00:00.Z",
        "2017-01-01T00:00:00,5Z",
        "2017-01-01T00:00:00+8:00",
        "2017-01-01T00:00:00+0800",
        "2017-01-01T00:00:00+24:00",
        "2017-01-01T00:00:00+08:60",
        "2017-01-01T00:00:00 Z",
        "2017-01-01T00:00:00Z ",
        "2017-01-01T00:00:00Z\n",
        "20170101T000000Z",
        "17-01-01T00:00:00Z",
        "+2017-01-01T00:00:00Z",
        "2017-1-1T00:00:00Z",
        "2017-13-01T00:00:00Z",
        "2017-00-01T00:00:00Z",
        "2017-02-29T00:00:00Z",
        "2017-02-00T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "2017-01-01T24:00:01Z",
        "2017-01-01T24:01:00Z",
        "2017-01-01T25:00:00Z",
        "2017-01-01T00:60:00Z",
        "2017-01-01T00:00:61Z",
        "2017-01-01T12:34:60Z",
        "2016-12-31T23:59:60+08:00",
        "２０１７-01-01T00:00:00Z",
        "1483228800",
        "Sun, 01 Jan 2017 00:00:00 GMT",
    ],
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="not a timestamp"):
        rfc3339.seconds(text)


@given(st.text(max_size=40) | st.from_regex(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([zZ]|[+-]\d\d:\d\d)"))
def test_anything_else_is_a_value_error(text: str) -> None:
    with suppress(ValueError):
        rfc3339.seconds(text)


@given(
    st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)),  # noqa: DTZ001 - the zone is drawn
    st.integers(-1439, 1439),
    st.booleans(),
)
def test_it_reads_what_the_standard_library_writes(moment: datetime, offset: int, lower: bool) -> None:
    there = moment.replace(tzinfo=UTC).astimezone(timezone(timedelta(minutes=offset)))
    text = there.isoformat().lower() if lower else there.isoformat()
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert rfc3339.seconds(text) == (there - epoch) // timedelta(seconds=1)
