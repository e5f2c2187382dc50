"""Bridges with real stores: in this process for what only asks them, else as processes that are stopped and killed."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

from safetytwin.bridge.server import BridgeOptions, BridgeThread

PYTHON = [sys.executable, "-m", "safetytwin"]
PATIENCE = 60.0
"""Seconds after which what should have happened will not: a slow machine is slow, not dead."""


@contextlib.contextmanager
def bridge_here(data_dir, port=0, **options):
    """Run a bridge in a thread and give its URL."""
    with BridgeThread(BridgeOptions(data_dir, port=port, **options)) as url:
        yield url


def free_port(host="127.0.0.1"):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, 0))
        return probe.getsockname()[1]


def ask(url, path, timeout=10.0):
    """Return the JSON that a bridge answers."""
    with urllib.request.urlopen(url + path, timeout=timeout) as response:  # noqa: S310 - a test's own bridge
        return json.load(response)


def answers(url):
    """Say whether a bridge answers."""
    try:
        return ask(url, "/healthz")["status"] == "ok"
    except OSError:
        return False


def until(condition, what, seconds=PATIENCE):
    """Return the first true value of a condition; fails with what it was about where none comes."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if found := condition():
                return found
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            pass  # the bridge is away, for now
        time.sleep(0.05)
    raise AssertionError(f"in {seconds:.0f} s it did not happen that {what}")


class Command:
    """A command of the product as a process, with what it says; within is what starts it elsewhere, such as nsenter."""

    def __init__(self, folder, name, *arguments, within=()):
        self.log = folder / f"{name}.log"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*within, *PYTHON, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**_without_ours(os.environ), "STATE_DIRECTORY": str(folder / "state")},
                start_new_session=True,
            )

    @property
    def said(self):
        return self.log.read_text()

    def kill(self):
        """End it as a crash would."""
        self.process.kill()
        self.process.wait()

    def stop(self, number=signal.SIGTERM):
        """Ask it to end and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def children(self):
        """Return the processes that it started, by id."""
        pid = self.process.pid
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as children:
            return [int(child) for child in children.read().split()]

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()


def _without_ours(environment):
    return {name: value for name, value in environment.items() if not name.startswith("SAFETYTWIN_")}


def is_there(pid):
    """Say whether a process runs: one that has ended and is not waited for does not."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return b") Z " not in stat.read()
    except (FileNotFoundError, ProcessLookupError):
        return False
