"""Moments as people write them at a terminal, in the time zone of the terminal."""

import argparse
import re
import time as clocks
from datetime import date, datetime, time, timedelta

ACCEPTED = (
    "now, 14:00, yesterday, yesterday 14:00, 2 hours ago, -2h, 2026-01-31, 2026-01-31 14:00 (local time), "
    "2026-01-31T14:00:00Z"
)

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_NAMES = {
    "s": "s sec secs second seconds",
    "m": "m min mins minute minutes",
    "h": "h hr hrs hour hours",
    "d": "d day days",
    "w": "w week weeks",
}
_SECONDS = {name: _UNITS[unit] for unit, names in _NAMES.items() for name in names.split()}
_AMOUNT = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?|an?) ?([a-z]+)(?:,| and)? ?", re.ASCII)
_SHORT = re.compile(r"-([0-9]{1,9}(?:\.[0-9]{1,6})?)([smhdw])", re.ASCII)
_CLOCK = r"(?P<clock>[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?)"
_LOCAL = re.compile(
    rf"(?P<day>today|yesterday|[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})(?:(?:,| at|t)? ?{_CLOCK})?|(?:at )?(?P<only>[0-9:.]+)",
    re.ASCII,
)
_WITH_ZONE = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})[t ]([0-9:.]{8,15}) ?(z|[+-][0-9]{2}:?[0-9]{2})", re.ASCII)
_EPOCH = re.compile(r"[0-9]{9,12}(?:\.[0-9]{1,9})?", re.ASCII)


class TimeError(ValueError):
    """A text is no moment; the error's text says what is accepted."""


def parse_time(text: str, now: float) -> float:
    """Return the moment that a person means, in seconds since 1970; now is in the same unit.

    What has no zone is in the machine's local zone. A clock time alone is the last such time that has been; a day alone
    is where it begins; weeks and days are always of the same length. Raises TimeError, also for local times that the
    clock skipped or showed twice when it was changed.
    """
    words = " ".join(text.lower().split())
    try:
        moment = _parse(words, now)
        if moment is not None and 0 <= moment < 253402300800.0:  # the year 10000: RFC 3339 can write nothing later
            return moment
    except TimeError:
        raise
    except (ValueError, OverflowError, OSError):
        pass
    raise TimeError(f"{text[:60]!r} is no moment; write one as: {ACCEPTED}")


def moment(text: str) -> float:
    """Return parse_time of an option's value, as of this moment; for argparse, which prints what it raises."""
    try:
        return parse_time(text, clocks.time())
    except TimeError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _parse(words: str, now: float) -> float | None:
    if words == "now":
        return now
    if match := _SHORT.fullmatch(words):
        return now - float(match[1]) * _UNITS[match[2]]
    if words.endswith(" ago"):
        length = _length(words.removesuffix(" ago"))
        return None if length is None else now - length
    if match := _WITH_ZONE.fullmatch(words):
        return datetime.fromisoformat(f"{match[1]}T{match[2]}{match[3].upper()}").timestamp()
    if _EPOCH.fullmatch(words):
        return float(words)
    if match := _LOCAL.fullmatch(words):
        return _last(_clock(match["only"]), now) if match["only"] else _of_day(match["day"], match["clock"], now)
    return None


def _length(words: str) -> float | None:
    """Return the seconds of "2 hours", "an hour", "1h 30m"; None where words are none."""
    total, end = 0.0, 0
    while end < len(words):
        match = _AMOUNT.match(words, end)
        if match is None or match[2] not in _SECONDS:
            return None
        total += (1.0 if match[1] in {"a", "an"} else float(match[1])) * _SECONDS[match[2]]
        end = match.end()
    return total if end else None


def _of_day(day: str, clock: str | None, now: float) -> float:
    today = datetime.fromtimestamp(now).date()  # noqa: DTZ006 - local time is meant
    named = {"today": today, "yesterday": today - timedelta(days=1)}
    at = named[day] if day in named else date.fromisoformat(day)
    return _begin(at) if clock is None else _instant(datetime.combine(at, _clock(clock)))


def _last(clock: time, now: float) -> float:
    """Return when a clock last showed this."""
    today = datetime.fromtimestamp(now).date()  # noqa: DTZ006 - local time is meant
    moment = _instant(datetime.combine(today, clock))
    return moment if moment <= now else _instant(datetime.combine(today - timedelta(days=1), clock))


def _clock(text: str) -> time:
    hours, _, rest = text.partition(":")
    return time.fromisoformat(f"{hours:0>2}:{rest}" if rest else "")


def _begin(day: date) -> float:
    """Return the first moment of a local day: where midnight was skipped or twice, fold=0 (PEP 495) is that one."""
    return datetime.combine(day, time()).timestamp()


def _instant(local: datetime) -> float:
    moment, other = local.timestamp(), local.replace(fold=1).timestamp()
    if moment == other:
        return moment
    shown = f"{local:%Y-%m-%d %H:%M}"
    if datetime.fromtimestamp(moment) != local:  # noqa: DTZ006 - local time is meant
        raise TimeError(f"{shown} never was: the clocks were put forward over it")
    raise TimeError(
        f"{shown} was twice, as the clocks were put back: write {local_time(moment)} or {local_time(other)}"
    )


def local_time(seconds: float) -> str:
    """Return a moment as local time with its offset from UTC, such as 2026-01-31 15:00:00 +0100."""
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S %z")
