"""safetytwin hosts against a bridge with a history."""

import contextlib
import fcntl
import json
import os
import re
import struct
import subprocess
import sys
import termios

import pytest

from parts.bridge_history import ALPHA, BETA
from safetytwin.cli.errors import UserError
from safetytwin.cli.known_hosts import HostRow, chosen_host, shortest_ids


def test_all_machines_each_on_a_line(safetytwin, told) -> None:
    code, out, err = safetytwin("hosts", "--bridge", told.url)
    assert (code, err) == (0, "")
    heading, alpha, ailing, beta = out.splitlines()
    assert heading.split() == ["NAME", "ID", "STATUS", "SEEN", "CPU", "MEM", "DISK"]
    assert alpha.split()[:3] == ["alpha", ALPHA[:9], "live"], "an id is shortened to what tells it from the others"
    assert ailing == "  1 failed unit"
    assert "–" in alpha, "what is not known is a dash"
    assert beta.startswith("beta\\x1b[31m\\u202ee…")
    assert max(map(len, out.splitlines())) <= 80
    assert "\x1b" not in out


def test_json_is_what_the_api_says(safetytwin, told) -> None:
    code, out, _ = safetytwin("hosts", "--json", "--bridge", told.url)
    rows = json.loads(out)["hosts"]
    assert code == 0
    assert [row["host_id"] for row in rows] == [ALPHA, BETA]
    assert rows[0]["summary"]["units_failed"] == 1
    assert "cpu_percent" not in rows[0]["summary"]


def test_the_bridge_may_be_named_by_the_environment(safetytwin, told, monkeypatch) -> None:
    monkeypatch.setenv("SAFETYTWIN_BRIDGE", told.url)
    assert safetytwin("hosts")[0] == 0


def _row(host_id: str, hostname: str | None) -> HostRow:
    return HostRow(host_id, hostname, "live", "2026-01-31T14:00:00Z", "2026-01-31T14:00:00Z", 1)


ROWS = [_row("abc1", "web-1"), _row("abd2", "web-2"), _row("web-3", "db"), _row("fff", None), _row("f", "fff")]


@pytest.mark.parametrize(
    ("wanted", "host_id"),
    [
        ("abc1", "abc1"),
        ("ABC1", "abc1"),
        ("abc", "abc1"),
        ("Web-2", "abd2"),
        ("web-3", "web-3"),
        ("d", "web-3"),
        ("fff", "fff"),  # an id is stronger than a name
        ("f", "f"),
    ],
)
def test_a_machine_is_named_by_id_hostname_or_their_beginning(wanted: str, host_id: str) -> None:
    assert chosen_host(ROWS, wanted).host_id == host_id


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("web", "'web' may be 3 machines; write more of one of these ids:\n  abc1  web-1\n  abd2  web-2\n  web-3  db"),
        ("wbe-1", "the bridge knows no machine 'wbe-1'; did you mean 'web-1'?"),
        ("", "the bridge knows no machine ''; safetytwin hosts lists all"),
        ("quux", "the bridge knows no machine 'quux'; safetytwin hosts lists all"),
    ],
)
def test_a_machine_that_is_not_clear_is_asked_for(wanted: str, said: str) -> None:
    with pytest.raises(UserError) as raised:
        chosen_host(ROWS, wanted)
    assert str(raised.value) == said


def test_without_machines_it_says_how_to_have_one() -> None:
    with pytest.raises(UserError, match="safetytwin agent --bridge"):
        chosen_host([], "web")


def test_shortened_ids_are_those_that_suffice() -> None:
    rows = [_row("a" * 12 + "1", "x"), _row("a" * 12 + "2", "y"), _row("b" * 13, "z"), _row("short", "w")]
    short = shortest_ids(rows)
    assert list(short.values()) == ["a" * 12 + "1", "a" * 12 + "2", "b" * 8, "short"]
    for row in rows:
        assert chosen_host(rows, short[row.host_id]) is row


def test_on_a_terminal_it_has_colour_and_the_terminals_width(told) -> None:
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    environment = {"TERM": "xterm-256color", "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    with subprocess.Popen(
        [sys.executable, "-m", "safetytwin", "hosts", "--bridge", told.url], stdout=theirs, env=environment
    ) as command:
        os.close(theirs)
        written = b""
        with contextlib.suppress(OSError):  # the terminal's other end is closed
            while piece := os.read(ours, 65536):
                written += piece
    os.close(ours)
    assert command.returncode == 0
    text = written.decode()
    assert "\x1b[" in text
    assert "\x1b[31mevil" not in text
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert max(map(len, plain.splitlines())) <= 60
