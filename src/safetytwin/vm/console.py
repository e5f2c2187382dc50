"""What a twin's console showed, as text: nothing that a terminal would act on is left in it."""

import re

from safetytwin.models.printable import printable

_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])")
"""Escape sequences: control sequences such as colours, strings such as titles, and the short ones (ECMA-48)."""


def console_lines(log: bytes, lines: int) -> list[str]:
    """Return the last lines of a console's log; what was overwritten by a carriage return is left out."""
    text = _SEQUENCE.sub("", log.decode("utf-8", "replace"))
    shown = [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")]
    if shown[-1] == "":
        shown.pop()
    return [printable(line) for line in shown[-lines:]] if lines > 0 else []
