"""safetytwin up as a process: agent and bridge together, from the first picture to a clean end."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from parts.bridge import Command, ask, free_port, is_there, until


def _up(folder, *arguments):
    return Command(folder, "up", "up", "--no-browser", *arguments)


def _listen(port):
    return ["--listen", f"127.0.0.1:{port}"]


def _live(url):
    return [host for host in ask(url, "/api/v1/hosts")["hosts"] if host["status"] == "live"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_this_machine_is_live_and_both_end_cleanly(tmp_path, number) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with _up(tmp_path, *_listen(port), "--interval", "1") as up:
        (host,) = until(lambda: _live(url), "this machine is live")
        assert host["hostname"] == socket.gethostname()
        state = ask(url, f"/api/v1/hosts/{host['host_id']}")
        assert up.process.pid in [process["pid"] for process in state["processes"]]
        assert state["agent"]["interval"] == 1.0
        (agent,) = up.children()
        assert up.stop(number) == 0
        assert not is_there(agent)
    assert f"The live twin of this machine: {url}\n" in up.said
    assert "Traceback" not in up.said
    assert "WARNING" not in up.said, "the agent ends before the bridge, and so never misses it"


def test_what_was_is_there_again_after_a_restart(tmp_path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    rows = []
    for _ in range(2):
        with _up(tmp_path, *_listen(port), "--interval", "0.5", "--data", str(tmp_path / "data")) as up:
            until(lambda: _live(url), "this machine is live")
            least = rows[0]["revision"] + 2 if rows else 2
            rows += until(lambda least=least: [row for row in _live(url) if row["revision"] > least], "it goes on")
            assert up.stop() == 0
    assert rows[0]["host_id"] == rows[1]["host_id"]
    assert not (tmp_path / "state").exists(), "with --data nothing is kept elsewhere"


def test_the_agent_does_not_outlive_it(tmp_path) -> None:
    port = free_port()
    with _up(tmp_path, *_listen(port)) as up:
        until(lambda: _live(f"http://127.0.0.1:{port}"), "this machine is live")
        (agent,) = up.children()
        up.kill()
        until(lambda: not is_there(agent), "the agent has ended too")


def test_it_ends_with_the_agent_and_says_so(tmp_path) -> None:
    port = free_port()
    with _up(tmp_path, *_listen(port)) as up:
        until(lambda: _live(f"http://127.0.0.1:{port}"), "this machine is live")
        os.kill(up.children()[0], signal.SIGKILL)
        assert up.process.wait(60) == 1
    assert "safetytwin up: the agent has ended (killed by signal 9); what it said is above" in up.said


def test_what_the_agent_can_not_do_is_said(tmp_path) -> None:
    with _up(tmp_path, *_listen(free_port()), "--interval", "never") as up:
        assert up.process.wait(60) == 1
    assert "'never' is no number" in up.said
    assert "the agent has ended (exit code 2)" in up.said


def test_a_port_that_was_asked_for_and_is_in_use_is_an_error(tmp_path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, _up(tmp_path, *_listen(other.getsockname()[1])) as up:
        assert up.process.wait(60) == 1
    assert "safetytwin up: Port " in up.said
    assert "is in use" in up.said
    assert "Traceback" not in up.said


_WITH_ANOTHER_DEFAULT = """
import sys
from safetytwin.cli import main, up
up.DEFAULT_PORT = int(sys.argv.pop(1))
sys.exit(main.main())
"""


def test_without_one_asked_for_the_next_that_is_free_is_taken(tmp_path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        command = [
            sys.executable,
            "-c",
            _WITH_ANOTHER_DEFAULT,
            str(taken),
            "up",
            "--no-browser",
            "--data",
            str(tmp_path),
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as up:
            said = up.stdout.readline()
            up.terminate()
    assert said.startswith("The live twin of this machine: http://127.0.0.1:")
    assert int(said.rsplit(":", 1)[1]) != taken


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.org"])
def test_off_loopback_it_points_to_the_bridge(tmp_path, host) -> None:
    with _up(tmp_path, "--listen", f"{host}:5678") as up:
        assert up.process.wait(60) == 2
    assert f"to listen on {host}: safetytwin bridge --help" in up.said
