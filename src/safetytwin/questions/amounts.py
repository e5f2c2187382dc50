"""What a written value means to a field: a size, a percentage, a duration, a number, a version or a text."""

import re
from typing import Any, Literal

from safetytwin.questions.versions import version_key

Kind = Literal["text", "version", "size", "percent", "duration", "number"]

_AMOUNT = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)\s?([A-Za-z%]*)", re.ASCII)
_UNITS: dict[Kind, dict[str, float]] = {
    "size": {"": 1, "b": 1}
    | {f"{letter}ib": 1024.0 ** (power + 1) for power, letter in enumerate("kmgtp")}
    | {f"{letter}b": 1000.0 ** (power + 1) for power, letter in enumerate("kmgtp")},
    "percent": {"": 1, "%": 1},
    "duration": {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800},
    "number": {"": 1},
}
_EXPECTED: dict[Kind, str] = {
    "text": "a text",
    "version": "a version such as 6.1",
    "size": "a size such as 8GiB or 500MB",
    "percent": "a percentage such as 90%",
    "duration": "a duration such as 30d, 2h, 5min or 10s",
    "number": "a number such as 8",
}
OPERATORS: dict[Kind, tuple[str, ...]] = {
    "text": ("=", "!=", "~", "in"),
    "version": ("=", "!=", "~", "<", "<=", ">", ">=", "in"),
    **dict.fromkeys(_UNITS, ("=", "!=", "<", "<=", ">", ">=", "in")),
}


def comparable(kind: Kind, value: str) -> Any:
    """Return what compares as values of a kind do: bytes, percent, seconds; raises ValueError where it is none."""
    if kind == "text":
        return value
    if kind == "version":
        return version_key(value)
    match = _AMOUNT.fullmatch(value)
    factor = _UNITS[kind].get(match[2].lower()) if match else None
    if match is None or factor is None:
        raise ValueError(f"{value[:60]!r} is not {_EXPECTED[kind]}")
    return float(match[1]) * factor
