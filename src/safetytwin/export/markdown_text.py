"""Markdown (CommonMark with GitHub's tables) in which text from a machine is only ever text."""

import re
from collections.abc import Iterable, Sequence

from safetytwin.models.printable import printable

_ACTIVE = re.compile(r"[\\`*_\[\]<>|~&$^#@]|:(?=//)|(?<=www)\.", re.IGNORECASE)
UNKNOWN = "–"


def escaped(text: str) -> str:
    """Return text that shows itself on one line: no markup, no link, no HTML, no cell's end."""
    return _ACTIVE.sub(r"\\\g<0>", printable(text).strip())


def cell(value: object) -> str:
    """Return one cell: a dash for what is not known, yes and no, lists with commas."""
    if value is None or value == "":
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(escaped(str(one)) for one in value) or UNKNOWN
    return escaped(str(value)) or UNKNOWN


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Return the lines of a table."""
    lines = ["| " + " | ".join(headings) + " |", "|" + "---|" * len(headings)]
    return lines + ["| " + " | ".join(map(cell, row)) + " |" for row in rows]
