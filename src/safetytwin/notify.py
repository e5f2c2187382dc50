"""Tells systemd how this process fares: sd_notify(3), without libsystemd."""

import logging
import os
import socket
from collections.abc import Mapping

_LOG = logging.getLogger(__name__)
_PATIENCE = 1.0
"""Seconds that systemd may take to receive a message; nothing here waits longer for it."""


class Notifier:
    """Sends what it is told to the socket in NOTIFY_SOCKET; without one, as off systemd, it does nothing."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        given = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + given[1:] if given.startswith("@") else given
        self._told: str | None = None
        self.watchdog_seconds = _watchdog_seconds(environment) if given else None
        """After how long a silence systemd takes this process for hung; None where it does not watch."""

    def ready(self, status: str) -> None:
        """Say that the start is over, or a reload, and what there is to say."""
        self._told = status
        self._send(f"READY=1\nSTATUS={_line(status)}")

    def alive(self, status: str | None = None) -> None:
        """Say that there is progress, and what there is to say where that is new."""
        message = "WATCHDOG=1"
        if status is not None and status != self._told:
            self._told = status
            message += f"\nSTATUS={_line(status)}"
        self._send(message)

    def reloading(self) -> None:
        """Say that the configuration is read again; ready() ends it."""
        self._send("RELOADING=1")

    def stopping(self) -> None:
        """Say that the end has begun."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
                connection.settimeout(_PATIENCE)
                connection.sendto(message.encode(), self._address)
        except OSError as error:
            _LOG.warning("systemd could not be told %s: %s", message.partition("=")[0], error)


def _line(text: str) -> str:
    return " ".join(text.splitlines())[:500]


def _watchdog_seconds(environment: Mapping[str, str]) -> float | None:
    """Return what sd_watchdog_enabled(3) would: None where it is off or meant for another process."""
    microseconds, process = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID")
    if not microseconds.isdecimal() or int(microseconds) == 0:
        return None
    if process is not None and process != str(os.getpid()):
        return None
    return int(microseconds) / 1e6
