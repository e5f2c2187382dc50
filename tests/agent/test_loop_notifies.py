"""What systemd is told by an agent as it runs: by the real command, on a real socket."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from parts.bridge import bridge_here, free_port


@pytest.fixture
def agent(tmp_path):
    """Start an agent as systemd would; return it and what receives its messages."""
    started = []
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.bind(str(tmp_path / "notify"))
    receiver.settimeout(60)

    def start(url):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SAFETYTWIN_")} | {
            "NOTIFY_SOCKET": str(tmp_path / "notify"),
            "WATCHDOG_USEC": "600000",
            "STATE_DIRECTORY": str(tmp_path / "state"),
            "XDG_CONFIG_HOME": str(tmp_path),
        }
        (tmp_path / "agent.toml").write_text("interval = 3600\n")
        command = [sys.executable, "-m", "safetytwin", "agent", "--bridge", url, "--config", tmp_path / "agent.toml"]
        process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        started.append(process)
        return process, receiver

    yield start
    for process in started:
        process.kill()
        process.wait()
    receiver.close()


def _first(receiver, wanted):
    while wanted not in (message := receiver.recv(4096).decode()):
        pass
    return message


def test_it_is_ready_once_the_bridge_has_the_first_look_and_alive_while_it_waits(agent, tmp_path) -> None:
    with bridge_here(tmp_path / "bridge") as url:
        process, receiver = agent(url)
        assert "STATUS=reporting to the bridge every 3600 s" in _first(receiver, "READY=1")
        for _ in range(3):  # a sign of life each 0.2 s, though the next look is an hour away
            assert receiver.recv(4096) == b"WATCHDOG=1"
        process.send_signal(signal.SIGHUP)
        _first(receiver, "RELOADING=1")
        assert "STATUS=the configuration was read again" in _first(receiver, "READY=1")
        (tmp_path / "agent.toml").write_text("interval = never\n")
        process.send_signal(signal.SIGHUP)
        assert "is unfit" in _first(receiver, "READY=1")
        process.terminate()
        _first(receiver, "STOPPING=1")
        assert process.wait(60) == 0


def test_it_is_ready_without_the_bridge_too_and_says_so(agent) -> None:
    _, receiver = agent(f"http://127.0.0.1:{free_port()}")
    message = _first(receiver, "READY=1")
    assert "the bridge can't be reached" in message
    assert "1 frames wait" in message


def test_an_agent_that_hangs_gives_no_sign_of_life(agent, tmp_path) -> None:
    with bridge_here(tmp_path / "bridge") as url:
        process, receiver = agent(url)
        _first(receiver, "READY=1")
        process.send_signal(signal.SIGSTOP)
        receiver.settimeout(2)
        with pytest.raises(TimeoutError):
            _first(receiver, "said by no one")
        process.send_signal(signal.SIGCONT)
        receiver.settimeout(60)
        _first(receiver, "WATCHDOG=1")
