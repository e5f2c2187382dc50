"""What systemd is told, received on a real socket."""

import os
import socket

import pytest

from safetytwin.notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def told(request, tmp_path):
    """A socket as systemd has it, and the name under which a service is told of it."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@safetytwin-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind("\0" + name[1:] if name.startswith("@") else name)
        receiver.settimeout(10)
        yield receiver, name


def test_a_life_from_start_to_end(told) -> None:
    receiver, name = told
    notifier = Notifier({"NOTIFY_SOCKET": name})
    notifier.ready("reporting")
    notifier.alive("reporting")
    notifier.alive("the bridge is away")
    notifier.reloading()
    notifier.stopping()
    assert [receiver.recv(4096) for _ in range(5)] == [
        b"READY=1\nSTATUS=reporting",
        b"WATCHDOG=1",
        b"WATCHDOG=1\nSTATUS=the bridge is away",
        b"RELOADING=1",
        b"STOPPING=1",
    ]


def test_a_status_can_add_no_variable_of_its_own(told) -> None:
    receiver, name = told
    Notifier({"NOTIFY_SOCKET": name}).ready("refused\nMAINPID=1\rWATCHDOG=trigger" + "x" * 5000)
    message = receiver.recv(65536)
    assert message.startswith(b"READY=1\nSTATUS=refused MAINPID=1 WATCHDOG=trigger")
    assert message.count(b"\n") == 1
    assert len(message) < 600


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({"WATCHDOG_USEC": "90000000"}, 90.0),
        ({"WATCHDOG_USEC": "90000000", "WATCHDOG_PID": str(os.getpid())}, 90.0),
        ({"WATCHDOG_USEC": "90000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_whether_systemd_watches(environment, seconds) -> None:
    assert Notifier({"NOTIFY_SOCKET": "/run/systemd/notify", **environment}).watchdog_seconds == seconds


def test_off_systemd_nothing_is_sent(caplog) -> None:
    notifier = Notifier({"WATCHDOG_USEC": "1000"})
    notifier.ready("ready")
    notifier.alive()
    assert notifier.watchdog_seconds is None
    assert not caplog.records


def test_a_socket_that_is_gone_is_said_and_harms_nothing(tmp_path, caplog) -> None:
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready("ready")
    assert "could not be told READY" in caplog.text
