"""Moments as people write them; the zones are POSIX rules (tzset(3)), so that no zone files are needed."""

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safetytwin.cli.human_times import TimeError, local_time, parse_time

BERLIN = "CET-1CEST,M3.5.0,M10.5.0/3"
CAIRO = "EET-2EEST,M4.5.5/0,M10.5.4/24"


def _utc(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.fixture
def zone(monkeypatch):
    def use(rule: str) -> None:
        monkeypatch.setenv("TZ", rule)
        time.tzset()

    yield use
    monkeypatch.undo()
    time.tzset()


NOW = _utc("2026-01-31 13:30:00")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("now", 0),
        ("-2h", 7200),
        ("-90s", 90),
        ("-1.5m", 90),
        ("-7d", 7 * 86400),
        ("-1w", 7 * 86400),
        ("2 hours ago", 7200),
        ("  2   HOURS ago ", 7200),
        ("an hour ago", 3600),
        ("a day ago", 86400),
        ("1 week ago", 604800),
        ("2h ago", 7200),
        ("1h 30m ago", 5400),
        ("1 hour and 30 minutes ago", 5400),
        ("1 day, 2 hours ago", 93600),
        ("10 sec ago", 10),
    ],
)
def test_before_now(text: str, seconds: float) -> None:
    assert parse_time(text, NOW) == NOW - seconds


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("14:00", "2026-01-31 13:00:00"),
        ("at 14:00", "2026-01-31 13:00:00"),
        ("14:30:00", "2026-01-31 13:30:00"),
        ("14:31", "2026-01-30 13:31:00"),  # not yet today: the last one was yesterday
        ("9:05", "2026-01-31 08:05:00"),
        ("today", "2026-01-30 23:00:00"),
        ("today 09:00:01", "2026-01-31 08:00:01"),
        ("yesterday", "2026-01-29 23:00:00"),
        ("yesterday 14:00", "2026-01-30 13:00:00"),
        ("Yesterday at 14:00", "2026-01-30 13:00:00"),
        ("2026-01-30", "2026-01-29 23:00:00"),
        ("2026-01-30 14:00", "2026-01-30 13:00:00"),
        ("2026-01-30T14:00:00.5", "2026-01-30 13:00:00.5"),
        ("2025-07-01 14:00", "2025-07-01 12:00:00"),  # summer time
        ("2026-01-31T14:00:00Z", "2026-01-31 14:00:00"),
        ("2026-01-31t14:00:00.250z", "2026-01-31 14:00:00.250"),
        ("2026-01-31 14:00:00+05:30", "2026-01-31 08:30:00"),
        ("2026-01-31 14:00:00 -0800", "2026-01-31 22:00:00"),
        ("1769868000", "2026-01-31 14:00:00"),
    ],
)
def test_clock_and_calendar(zone, text: str, utc: str) -> None:
    zone(BERLIN)
    assert parse_time(text, NOW) == pytest.approx(_utc(utc), abs=1e-6)


def test_the_day_is_the_terminals_day(zone) -> None:
    zone("NZST-12NZDT,M9.5.0,M4.1.0/3")
    assert parse_time("today", NOW) == _utc("2026-01-31 11:00:00"), "it is February there already"


def test_yesterday_at_the_same_time_is_25_hours_ago_when_the_clocks_were_put_back(zone) -> None:
    zone(BERLIN)
    now = _utc("2026-10-25 13:00:00")
    assert now - parse_time("yesterday 14:00", now) == 25 * 3600
    assert now - parse_time("1 day ago", now) == 24 * 3600


def test_a_time_that_was_twice_asks_which(zone) -> None:
    zone(BERLIN)
    now = _utc("2026-10-26 12:00:00")
    with pytest.raises(TimeError, match="02:30 was twice") as raised:
        parse_time("2026-10-25 02:30", now)
    offered = str(raised.value).split("write ")[1].split(" or ")
    assert [parse_time(one, now) for one in offered] == [_utc("2026-10-25 00:30:00"), _utc("2026-10-25 01:30:00")]


def test_a_time_that_never_was_is_said(zone) -> None:
    zone(BERLIN)
    with pytest.raises(TimeError, match="02:30 never was"):
        parse_time("2026-03-29 02:30", _utc("2026-03-30 12:00:00"))
    assert parse_time("2026-03-29 03:00", NOW) == _utc("2026-03-29 01:00:00")


def test_a_day_without_midnight_begins_at_one(zone) -> None:
    zone(CAIRO)
    begin = parse_time("2026-04-24", _utc("2026-04-25 12:00:00"))
    assert begin == _utc("2026-04-23 22:00:00")
    assert local_time(begin) == "2026-04-24 01:00:00 +0300"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "2 hours",
        "ago",
        "hours ago",
        "2 parsecs ago",
        "-2",
        "-2y",
        "25:00",
        "14:60",
        "14",
        "12:",
        "2026-02-30",
        "2026-01-31 24:01",
        "2026-13-01 10:00",
        "tomorrow",
        "999999999 weeks ago",
        "9999999999999",
        "1900-01-01",
        "2026-01-31T14:00:00+25:00",
        "1\x00",
        "٢ hours ago",
    ],
)
def test_what_is_no_moment_is_told_what_is_accepted(text: str) -> None:
    with pytest.raises(TimeError, match=r"is no moment; write one as: now, 14:00, yesterday.*2 hours ago"):
        parse_time(text, NOW)


@given(st.text(alphabet="0123456789:-+ztn agohurs.,dywek", max_size=40) | st.text(max_size=40))
def test_any_text_is_a_moment_or_a_time_error(text: str) -> None:
    try:
        moment = parse_time(text, NOW)
    except TimeError:
        return
    assert 0 <= moment < 253402300800


@given(st.integers(0, 253402300799 - 86400))
def test_what_is_shown_can_be_typed(seconds: int) -> None:
    assert parse_time(local_time(seconds), NOW) == seconds
