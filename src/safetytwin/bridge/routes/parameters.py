"""The parameters that routes share."""

import re
import time
from collections.abc import Callable
from typing import Any

from safetytwin.bridge.moments import ACCEPTED, parse_moment
from safetytwin.bridge.routes.table import Parameter

_HOST_ID = re.compile(r"[a-z0-9._-]{1,64}\Z", re.ASCII)
_FIELD = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_-]+)*\Z", re.ASCII)
_MAX_TEXT = 500


def _host_id(text: str) -> str:
    if not _HOST_ID.match(text):
        raise ValueError(f"{text[:80]!r} is no host id: 1 to 64 of a-z 0-9 . _ -")
    return text


def _moment(text: str) -> float:
    return parse_moment(text, time.time())


def _boolean(text: str) -> bool:
    if text not in {"true", "false"}:
        raise ValueError(f"{text[:20]!r} is neither true nor false.")
    return text == "true"


def _integer(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,10}", text, re.ASCII) or not low <= int(text) <= high:
            raise ValueError(f"{text[:20]!r} is no whole number from {low} to {high}.")
        return int(text)

    return parse


def _text(what: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if not 1 <= len(text) <= _MAX_TEXT or "\0" in text:
            raise ValueError(f"{what}: 1 to {_MAX_TEXT} characters, none of them NUL.")
        return text

    return parse


def _list(what: str, pattern: re.Pattern[str] | None) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        names = text.split(",")
        if len(names) > 100 or not all(0 < len(name) <= 200 and "\0" not in name for name in names):
            raise ValueError(f"{what}: 1 to 100 names with a comma between them.")
        for name in names:
            if pattern is not None and not pattern.match(name):
                raise ValueError(f"{name[:60]!r} is none of the {what}.")
        return names

    return parse


_NAMES = {"type": "string", "minLength": 1, "maxLength": 20_000}
_A_MOMENT: dict[str, Any] = {"type": "string", "maxLength": 60}

HOST_ID = Parameter(
    "host_id",
    "The machine.",
    {"type": "string", "pattern": r"^[a-z0-9._-]{1,64}$"},
    _host_id,
    "path",
    "atlas",
)
AT = Parameter("at", f"The moment to show; left out: now. {ACCEPTED}.", _A_MOMENT, _moment, example="-2h")
FROM = Parameter("from", f"Where to begin. {ACCEPTED}.", _A_MOMENT, _moment, example="-24h")
TO = Parameter("to", f"Where to end; left out: now. {ACCEPTED}.", _A_MOMENT, _moment, example="now")
ALL = Parameter("all", "Gauges too, not only what is significant.", {"type": "boolean"}, _boolean, example="true")
FIELDS = Parameter(
    "fields",
    "Only these: top-level names or dotted paths, comma-separated.",
    _NAMES,
    _list("fields", _FIELD),
    example="hardware.cpu,ai",
)
CURSOR = Parameter(
    "cursor",
    "Where the page before said that the next one begins.",
    {"type": "string", "minLength": 1, "maxLength": _MAX_TEXT},
    _text("A cursor"),
)
KIND = Parameter(
    "kind",
    "Only events of these kinds, comma-separated; a kind that ends in .* is all of its family.",
    _NAMES,
    _list("kinds of events", None),
    example="unit.failed,model.*",
)
SUBJECT = Parameter(
    "subject",
    "Only events of this subject, or of all below it.",
    {"type": "string", "minLength": 1, "maxLength": _MAX_TEXT},
    _text("A subject"),
    example="services/systemd/ssh.service",
)
SERIES = Parameter(
    "names",
    "Which series, comma-separated; series/names lists them.",
    _NAMES,
    _list("names of series", None),
    example="cpu.usage_percent",
)


def limit(most: int, usual: int) -> Parameter:
    """Return the parameter that says how many items a page may hold."""
    return Parameter(
        "limit",
        "How many at most.",
        {"type": "integer", "minimum": 1, "maximum": most, "default": usual},
        _integer(1, most),
        example=str(usual),
    )


POINTS = Parameter(
    "points",
    "How many points a series may have at most.",
    {"type": "integer", "minimum": 2, "maximum": 5000, "default": 500},
    _integer(2, 5000),
    example="500",
)
