"""Text from a machine, made safe to print: a process name may hold escape sequences, newlines or marks that reorder text."""

import re

_UNSAFE = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # C0 and C1 controls, ESC and CSI among them
    "\u00ad\u200b-\u200f\u2060-\u2064\ufeff"  # invisible: soft hyphen, zero width, marks of direction
    "\u2028-\u202e\u2066-\u206f"  # line and paragraph separators, embeddings, overrides, isolates
    "\ud800-\udfff"  # surrogates, which no encoding can print
    "\U000e0000-\U000e007f"  # tags
    "]"
)


def printable(text: str) -> str:
    r"""Return text on one line and without anything that a terminal would act on: \n, \x1b, \u202e are written out."""
    return _UNSAFE.sub(_written_out, text)


def _written_out(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")
