"""The calls to a systemd manager that a look needs, in as few round trips as can be.

Source: org.freedesktop.systemd1(5).
"""

import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jeepney import DBusAddress, MatchRule, Message, message_bus, new_method_call

from safetytwin.collectors.dbus_connection import DBusConnection, DBusError
from safetytwin.collectors.dbus_values import Body
from safetytwin.collectors.systemd_units import WANTED_PROPERTIES, UnitRow

_NAME = "org.freedesktop.systemd1"
_PATH = "/org/freedesktop/systemd1"
_MANAGER = DBusAddress(_PATH, _NAME, "org.freedesktop.systemd1.Manager")
_SIGNALS = ("JobRemoved", "UnitFilesChanged", "Reloading")
BATCH = 32
"""Calls in flight: a bus allows a client 128 answers that are still out."""
_PLAIN = frozenset((string.ascii_letters + string.digits).encode())


@dataclass(slots=True)
class News:
    """What the manager has said since the last look."""

    units: set[str]
    """Units for which a job ended: started, stopped, restarted, reloaded."""
    files_changed: bool
    reloaded: bool


class SystemdManager:
    """A connection to the systemd manager on a bus, or to its own socket where is_peer.

    Raises as DBusConnection does (PermissionError also where a policy forbids a call), and DBusError.
    """

    def __init__(self, path: str, timeout: float, *, is_peer: bool) -> None:
        self._connection = DBusConnection(path, timeout, is_peer=is_peer)
        self._last_units: list[bytes] = []
        try:
            self._subscribe(timeout, () if is_peer else _SIGNALS)
        except BaseException:
            self.close()
            raise

    @property
    def calls(self) -> int:
        """Calls made so far."""
        return self._connection.calls

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def news(self) -> News:
        """Return what has happened since the last time; asked after units(), up to the moment that those tell of."""
        news = News(set(), False, False)
        for signal in self._connection.signals():
            if signal.member == "JobRemoved":
                news.units.add(str(signal.body.values("uoss")[2]))
            elif signal.member == "UnitFilesChanged":
                news.files_changed = True
            elif signal.member == "Reloading":
                is_beginning = signal.body.values("b")[0]
                news.reloaded = news.reloaded or not is_beginning
        return news

    def units(self, timeout: float) -> list[UnitRow] | None:
        """Return all services and all failed units of whatever type, None where that is as before."""
        messages = [
            new_method_call(_MANAGER, "ListUnitsByPatterns", "asas", ([], ["*.service"])),
            new_method_call(_MANAGER, "ListUnitsByPatterns", "asas", (["failed"], [])),
        ]
        bodies = [_result(answer) for answer in self._connection.call(messages, timeout)]
        received = [body.data for body in bodies]
        if received == self._last_units:
            return None
        self._last_units = received
        rows = {row[0]: row for body in bodies for row in body.rows("ssssssouso")}
        return [UnitRow(row[0], row[1], row[2], row[3], row[4], row[6], row[7]) for row in rows.values()]

    def unit_files(self, timeout: float) -> list[tuple[str, str]]:
        """Return path and state of the services' unit files."""
        message = new_method_call(_MANAGER, "ListUnitFilesByPatterns", "asas", ([], ["*.service"]))
        body = _result(self._connection.call([message], timeout)[0])
        return [(row[0], row[1]) for row in body.rows("ss")]

    def properties(self, paths: Sequence[str], timeout: float) -> list[dict[str, Any] | None]:
        """Return the wanted properties of at most a batch of units, None for one that is gone."""
        messages = [_get_all(path) for path in paths]
        answers = self._connection.call(messages, timeout)
        return [None if isinstance(answer, DBusError) else answer.properties(WANTED_PROPERTIES) for answer in answers]

    def _subscribe(self, timeout: float, signals: Sequence[str]) -> None:
        rules = [
            MatchRule(type="signal", sender=_NAME, interface=_MANAGER.interface, member=member, path=_PATH)
            for member in signals
        ]
        messages = [message_bus.AddMatch(rule) for rule in rules]
        for answer in self._connection.call([*messages, new_method_call(_MANAGER, "Subscribe")], timeout):
            _result(answer)


def _get_all(path: str) -> Message:
    properties = DBusAddress(path, _NAME, "org.freedesktop.DBus.Properties")
    return new_method_call(properties, "GetAll", "s", ("",))


def _result(answer: Body | DBusError) -> Body:
    if isinstance(answer, DBusError):
        if answer.name == "org.freedesktop.DBus.Error.AccessDenied":
            raise PermissionError(str(answer))
        raise answer
    return answer


def unit_path(name: str) -> str:
    """Return the object path of a unit: in its name what is no letter or digit, and a first digit, is _hh."""
    escaped = "".join(
        chr(byte) if byte in _PLAIN and (index or byte > 0x39) else f"_{byte:02x}"
        for index, byte in enumerate(name.encode())
    )
    return f"{_PATH}/unit/{escaped or '_'}"
