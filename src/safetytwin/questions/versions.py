"""Versions in their order."""

import re
from typing import Any

_RUN = re.compile(r"([^0-9]*)([0-9]*)", re.ASCII)


def version_key(text: str) -> tuple[Any, ...]:
    """Return what sorts as the version does: epoch, upstream, revision as deb-version(7) orders them.

    Numbers are compared as numbers, a tilde sorts before the end, letters before other signs.
    """
    epoch, colon, rest = text.partition(":")
    if not colon or not (epoch.isascii() and epoch.isdigit()):
        epoch, rest = "", text
    upstream, _, revision = rest.rpartition("-") if "-" in rest else (rest, "", "")
    return _number(epoch), _part(upstream), _part(revision)


def _part(text: str) -> tuple[Any, ...]:
    runs = [(_signs(signs), _number(digits)) for signs, digits in _RUN.findall(text) if signs or digits]
    return (*runs, (_signs(""), _number("")))


def _signs(text: str) -> tuple[int, ...]:
    return (*(-1 if sign == "~" else ord(sign) + (0 if sign.isalpha() else 0x110000) for sign in text), 0)


def _number(digits: str) -> tuple[int, str]:
    # Not int(): a hostile machine's version may have more digits than Python turns into a number.
    digits = digits.lstrip("0")
    return len(digits), digits
