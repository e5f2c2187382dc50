"""Moments as a client of the API writes them."""

import math
import re

from safetytwin.models.timestamps import seconds_of

ACCEPTED = "RFC 3339 (2026-01-31T14:00:00Z), seconds since 1970 (1769868000), now, or before now (-30s, -30m, -2h, -7d)"

_RELATIVE = r"-([0-9]{1,9}(?:\.[0-9]{1,6})?)([smhdw])"
_EPOCH = r"[0-9]{1,12}(?:\.[0-9]{1,9})?"
_RFC3339 = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:[Zz]|[+ -][0-9]{2}:[0-9]{2})"
PATTERN = f"^(now|{_RELATIVE}|{_EPOCH}|{_RFC3339})$"
"""What any moment looks like, for JSON Schema."""

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_LATEST = 253402300799.0
"""The end of the year 9999: RFC 3339 can write nothing later."""


def parse_moment(text: str, now: float) -> float:
    """Return the moment as seconds since 1970; now is the clock of the bridge in the same unit.

    Raises ValueError, whose text says what is accepted.
    """
    moment = _parse(text, now)
    if moment is None or not math.isfinite(moment) or not 0 <= moment <= _LATEST:
        raise ValueError(f"{text[:60]!r} is no moment. Accepted: {ACCEPTED}.")
    return moment


def _parse(text: str, now: float) -> float | None:
    if text == "now":
        return now
    if match := re.fullmatch(_RELATIVE, text, re.ASCII):
        return now - float(match[1]) * _SECONDS[match[2]]
    if re.fullmatch(_EPOCH, text, re.ASCII):
        return float(text)
    if not re.fullmatch(_RFC3339, text, re.ASCII):
        return None
    # "+01:00" that was not percent-encoded arrives as " 01:00": a query string writes "+" for a space.
    moment = text[:19].replace(" ", "T") + text[19:].replace(" ", "+")
    try:
        return seconds_of(moment.upper())
    except (ValueError, OverflowError):
        return None
