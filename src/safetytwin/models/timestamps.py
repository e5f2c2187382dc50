"""Moments as the state writes them: RFC 3339, UTC, with Z."""

from datetime import UTC, datetime


def timestamp(seconds: float) -> str | None:
    """Return seconds since 1970 as RFC 3339 UTC with milliseconds, or None outside the years 1 to 9999."""
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        return None
    if moment.year < 1000:
        return None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seconds_of(text: str) -> float:
    """Return an RFC 3339 moment as seconds since 1970; raises ValueError where text is none."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone; write it as 2026-01-31T14:00:00Z")
    return moment.timestamp()
