import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from safetytwin.collectors import systemd_view
from safetytwin.collectors.base import AbsentError, DeniedError, Look, LookOptions
from safetytwin.collectors.host_root import HostRoot
from safetytwin.collectors.systemd import SystemdCollector

FIXTURES = Path(__file__).parent.parent / "fixtures/systemd"


def collect(root: Path) -> None:
    look = Look(HostRoot.fixture(str(root)), LookOptions(), 0, {}, 1000.0, 1_800_000_000.0)
    SystemdCollector().collect(look)


def test_no_systemd() -> None:
    with pytest.raises(AbsentError, match="systemd does not run here"):
        collect(FIXTURES / "no-systemd")


def test_no_bus() -> None:
    with pytest.raises(AbsentError, match="no system bus"):
        collect(FIXTURES / "no-bus")


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[socket.socket]:
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    (tmp_path / "run/dbus").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "run/dbus/system_bus_socket"))
        listener.listen()
        yield listener


def test_a_bus_that_nobody_serves_is_absent(tmp_path: Path, bus: socket.socket) -> None:
    bus.close()
    with pytest.raises(AbsentError, match="Connection refused"):
        collect(tmp_path)


def test_a_bus_that_refuses_us_is_denied_with_a_hint(tmp_path: Path, bus: socket.socket) -> None:
    def refuse() -> None:
        connection, _ = bus.accept()
        with connection:
            said = b""
            while not said.endswith(b"\r\n"):  # the client's NUL comes before its first line
                said += connection.recv(1024)
            connection.sendall(b"REJECTED EXTERNAL\r\n")

    thread = threading.Thread(target=refuse)
    thread.start()
    with pytest.raises(DeniedError) as raised:
        collect(tmp_path)
    thread.join()
    assert raised.value.hint


def test_a_bus_that_never_answers_is_left_after_a_while(
    tmp_path: Path, bus: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systemd_view, "ANSWER_TIMEOUT", 0.1)
    with pytest.raises(TimeoutError):
        collect(tmp_path)
