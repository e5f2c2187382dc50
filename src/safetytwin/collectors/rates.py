"""Arithmetic on counters that may wrap, be reset or be missing."""

from typing import TypeVar

T = TypeVar("T")


def rate(new: int | None, old: int | None, seconds: float) -> float | None:
    """Return the growth of a counter per second, or None where it is unknown.

    A counter that went down was reset or wrapped; how often it wrapped can't be told, so there is no rate.
    """
    if new is None or old is None or seconds <= 0 or new < old:
        return None
    return round((new - old) / seconds, 1)


def percent(part: float | None, whole: float | None) -> float | None:
    """Return part of whole in percent within 0-100, or None where there is no whole."""
    if part is None or whole is None or whole <= 0:
        return None
    return round(min(100.0, max(0.0, 100.0 * part / whole)), 2)


def same_if_equal(old: T | None, new: T) -> T:
    """Return old where new says the same: what did not change stays one object, cheap to compare and to keep."""
    return old if old is not None and old == new else new


def integer(text: bytes | str) -> int | None:
    """Return text as a whole number in decimal, or None where it is none."""
    try:
        return int(text)
    except ValueError:
        return None
