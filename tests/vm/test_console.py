"""A console's log as text: what firmware, kernel and systemd write there is meant for a terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safetytwin.models.printable import printable
from safetytwin.vm.console import console_lines


@pytest.mark.parametrize(
    ("log", "shown"),
    [
        (b"", []),
        (b"one\r\ntwo\n", ["one", "two"]),
        (b"no end", ["no end"]),
        (b"\n\n", ["", ""]),
        (b"\x1b[2J\x1b[01;01H[\x1b[0;32m  OK  \x1b[0m] Reached target\r\n", ["[  OK  ] Reached target"]),
        (b"\x1b]0;title\x07text\x1bc\x1b(B", ["text"]),
        (b" 10 %\r 20 %\r 30 %\n", [" 30 %"]),
        (b"\x1b", ["\\x1b"]),
        ("\u202eabc\x9b2J".encode(), ["\\u202eabc\\x9b2J"]),
        (b"\xff\x00", ["\ufffd\\x00"]),
    ],
)
def test_lines(log, shown):
    assert console_lines(log, 10) == shown


def test_only_the_last_are_shown():
    assert console_lines(b"1\n2\n3\n", 2) == ["2", "3"]
    assert console_lines(b"1\n", 0) == []


@given(st.binary(max_size=200), st.integers(0, 5))
def test_any_bytes_become_lines_that_are_safe_to_print(log, lines):
    shown = console_lines(log, lines)
    assert len(shown) <= lines
    assert all(line == printable(line) for line in shown)
