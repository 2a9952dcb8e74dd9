"""Times as people write them: skipped, ambiguous and past ones are refused with what could be meant."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import moments
from service.moments import BadMoment

ZONE = "Europe/Stockholm"
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-03-01 09:30", "2026-03-01T08:30"),
        ("2026-07-01T09:30", "2026-07-01T07:30"),
        ("2026-03-01T09:30+05:30", "2026-03-01T04:00"),
        ("2026-03-01T09:30Z", "2026-03-01T09:30"),
        (" 2026-03-01 09:30:15 ", "2026-03-01T08:30:15"),
        ("2026-03-01", "2026-02-28T23:00"),
        ("2026-10-25T02:30+02:00", "2026-10-25T00:30"),
        ("2026-10-25T02:30+01:00", "2026-10-25T01:30"),
    ],
)
def test_a_time_is_local_to_the_newsroom_or_has_an_offset(text: str, utc: str) -> None:
    found = moments.parse(text, ZONE)
    assert found == datetime.fromisoformat(utc).replace(tzinfo=UTC)
    assert found.tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    ["", "tomorrow", "2026-02-30 10:00", "2026-13-01", "09:30", "1/3 2026", "2026-03-01 24:01", "2026-03-01 09:30 CET"],
)
def test_what_is_no_time_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(BadMoment, match="write it like 2026-03-01 09:30"):
        moments.parse(text, ZONE)


@pytest.mark.parametrize(
    "text", ["0001-01-01 00:30", "0001-01-01T00:00+23:59", "9999-12-31T23:59-23:59", "9999-12-31 23:30"]
)
def test_times_beyond_the_calendar_are_refused(text: str) -> None:
    with pytest.raises(BadMoment):
        moments.parse(text, ZONE)


def test_a_skipped_time_is_refused_with_the_times_around_it() -> None:
    with pytest.raises(BadMoment) as caught:
        moments.parse("2026-03-29 02:30", ZONE)
    said = str(caught.value)
    assert "does not exist in Europe/Stockholm" in said
    assert "2026-03-29 01:30" in said
    assert "2026-03-29 03:30" in said


def test_an_ambiguous_time_is_refused_with_both_offsets() -> None:
    with pytest.raises(BadMoment) as caught:
        moments.parse("2026-10-25 02:30", ZONE)
    said = str(caught.value)
    assert "happens twice in Europe/Stockholm" in said
    for offered in ("2026-10-25 02:30+02:00", "2026-10-25 02:30+01:00"):
        assert offered in said
        moments.parse(offered, ZONE)


def test_a_past_time_is_refused_with_a_later_one() -> None:
    with pytest.raises(BadMoment, match="2026-03-02 11:00"):
        moments.parse_future("2026-03-02 10:00", ZONE, NOW)
    later = moments.parse_future("2026-03-02 10:01", ZONE, NOW)
    assert later == NOW + timedelta(minutes=1)


@given(
    st.datetimes(datetime(1950, 1, 1), datetime(2100, 1, 1)),  # noqa: DTZ001 - a local time has no zone yet
    st.sampled_from([ZONE, "Europe/Helsinki", "America/St_Johns"]),
)
def test_a_local_time_means_itself_or_is_refused(local: datetime, zone: str) -> None:
    try:
        found = moments.parse(local.isoformat(), zone)
    except BadMoment:
        offsets = {local.replace(tzinfo=ZoneInfo(zone), fold=fold).utcoffset() for fold in (0, 1)}
        assert len(offsets) == 2
    else:
        assert found.astimezone(ZoneInfo(zone)).replace(tzinfo=None) == local


@given(st.text(max_size=40))
def test_any_text_is_a_time_or_refused(text: str) -> None:
    try:
        moments.parse(text, ZONE)
    except BadMoment as bad:
        assert "\n" not in str(bad).replace(text, "")
