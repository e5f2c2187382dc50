"""Opening a browser: for whom, and where there is one."""

import os
import pathlib
import shutil
import sys
import tempfile

import pytest

from parts.bridge import until
from safetytwin.cli.browser import has_display, open_browser


@pytest.mark.parametrize(
    ("environment", "platform", "there"),
    [
        ({}, "linux", False),
        ({"DISPLAY": ""}, "linux", False),
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({"BROWSER": "my-browser %s"}, "linux", True),
        ({}, "darwin", True),
        ({"SSH_CONNECTION": "192.0.2.1 1 192.0.2.2 22"}, "darwin", False),
    ],
)
def test_where_there_is_one(environment, platform, there) -> None:
    assert has_display(environment, platform) is there


@pytest.fixture
def browser(monkeypatch):
    """Make a browser that notes what it was asked for, by whom, and how; any user may run it."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="browser-"))
    folder.chmod(0o777)
    noted = folder / "noted"
    script = folder / "browser"
    script.write_text(f'#!/bin/sh\necho "$(id -u) ${{TERM-none}} $HOME $1" >{noted}.new && mv {noted}.new {noted}\n')
    script.chmod(0o755)
    monkeypatch.setenv("BROWSER", f"{script} %s")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("HOME", "/home/someone")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SUDO_UID"):
        monkeypatch.delenv(name, raising=False)
    yield noted
    shutil.rmtree(folder)


def test_it_is_asked_for_the_address_without_the_terminal(browser) -> None:
    assert open_browser("http://127.0.0.1:5678")
    until(browser.exists, "the browser was started")
    assert browser.read_text() == f"{os.geteuid()} none /home/someone http://127.0.0.1:5678\n"


@pytest.mark.root
def test_under_sudo_it_is_the_callers(browser, monkeypatch) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root: becomes another user")
    if not os.path.exists("/usr/bin/python3"):
        pytest.skip("there is no Python that all users may run")
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")
    monkeypatch.setenv("SUDO_UID", "65534")
    assert open_browser("http://127.0.0.1:5678")
    until(browser.exists, "the browser was started")
    assert browser.read_text().startswith("65534 none /nonexistent ")


def test_without_one_nothing_is_started(browser, monkeypatch) -> None:
    monkeypatch.delenv("BROWSER")
    assert not open_browser("http://127.0.0.1:5678")
