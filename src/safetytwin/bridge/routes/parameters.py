"""The parameters that routes share."""

import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from safetytwin.bridge.moments import ACCEPTED, PATTERN, parse_moment
from safetytwin.bridge.routes.table import Parameter
from safetytwin.models.system_state import SystemState

_HOST_ID = r"(?!\.{1,2}$)[a-z0-9._-]{1,64}"
_FIELD = rf"(?:{'|'.join(SystemState.__struct_fields__)})(?:\.[A-Za-z0-9_-]{{1,60}}){{0,8}}"
_KIND = r"[a-z0-9_.*-]{1,100}"
_SERIES = r"[^,\u0000]{1,200}"
_MAX_TEXT = 500


def is_host_id(text: str) -> bool:
    """Say whether a text is a machine's id."""
    return re.fullmatch(_HOST_ID, text, re.ASCII) is not None


def _host_id(text: str) -> str:
    if not is_host_id(text):
        raise ValueError(f"{text[:80]!r} is no host id: 1 to 64 of a-z 0-9 . _ - and more than dots")
    return text


def _moment(text: str) -> float:
    return parse_moment(text, time.time())


def boolean(text: str) -> bool:
    """Return true or false; raises ValueError where text is neither."""
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


def _list(what: str, each: str) -> Callable[[str], list[str]]:
    pattern = re.compile(each, re.ASCII)

    def parse(text: str) -> list[str]:
        names = text.split(",")
        if len(names) > 100:
            raise ValueError("At most 100 names, with a comma between them.")
        for name in names:
            if not pattern.fullmatch(name):
                raise ValueError(f"{name[:60]!r} is none of {what}.")
        return names

    return parse


def _series(text: str) -> list[str]:
    return [unquote(name) for name in _list("the names of series", _SERIES)(text)]


_A_MOMENT: dict[str, Any] = {"type": "string", "pattern": PATTERN}


def _names(each: str) -> dict[str, Any]:
    return {"type": "string", "pattern": rf"^{each}(,{each}){{0,99}}$"}


HOST_ID = Parameter(
    "host_id",
    "The machine.",
    {"type": "string", "pattern": f"^{_HOST_ID}$"},
    _host_id,
    "path",
    "atlas",
)
AT = Parameter("at", f"The moment to show; left out: now. {ACCEPTED}.", _A_MOMENT, _moment, example="-2h")
FROM = Parameter("from", f"Where to begin. {ACCEPTED}.", _A_MOMENT, _moment, example="-24h")
TO = Parameter("to", f"Where to end; left out: now. {ACCEPTED}.", _A_MOMENT, _moment, example="now")
ALL = Parameter("all", "Gauges too, not only what is significant.", {"type": "boolean"}, boolean, example="true")
FIELDS = Parameter(
    "fields",
    "Only these: top-level names or dotted paths, comma-separated.",
    _names(_FIELD),
    _list(f"the fields of a state ({', '.join(SystemState.__struct_fields__)}), or a dotted path below one", _FIELD),
    example="hardware.cpu,ai",
)
CURSOR = Parameter(
    "cursor",
    "Where the page before said that the next one begins.",
    {"type": "string", "pattern": r"^[^\u0000]{1,500}$"},
    _text("A cursor"),
)
KIND = Parameter(
    "kind",
    "Only events of these kinds, comma-separated; a kind that ends in .* is all of its family.",
    _names(_KIND),
    _list("the kinds of events", _KIND),
    example="unit.failed,model.*",
)
SUBJECT = Parameter(
    "subject",
    "Only events of this subject, or of all below it.",
    {"type": "string", "pattern": r"^[^\u0000]{1,500}$"},
    _text("A subject"),
    example="services/systemd/ssh.service",
)
SERIES = Parameter(
    "names",
    "Which series, comma-separated; series/names lists them. Within a name a comma is %2C and % is %25.",
    _names(_SERIES),
    _series,
    example="cpu.usage_percent",
)


def limit(most: int, usual: int, name: str = "limit") -> Parameter:
    """Return the parameter that says how many items a page, or an answer, may hold."""
    return Parameter(
        name,
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
