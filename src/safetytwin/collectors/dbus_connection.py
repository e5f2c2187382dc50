"""One connection to a D-Bus message bus or peer: many calls at once under a deadline, and the signals in between.

Bodies are handed on as bytes: an answer that equals the last one need not be decoded. Authentication and marshalling
are jeepney's. Source: D-Bus Specification, "Message Protocol".
"""

import fcntl
import itertools
import select
import socket
import sys
import termios
import time
from collections.abc import Sequence

from jeepney.auth import AuthenticationError
from jeepney.bus_messages import DBus
from jeepney.io.blocking import prep_socket
from jeepney.low_level import Header, HeaderFields, Message, MessageType, calc_msg_size

from safetytwin.collectors.dbus_values import Body

LARGEST_MESSAGE = 128 * 1024 * 1024
"""Bytes; the specification's own limit."""


class DBusError(Exception):
    """What the bus or the called answers instead of a result."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{name}: {text}" if text else name)
        self.name = name


class Signal:
    """A signal: its member and its body."""

    __slots__ = ("body", "member")

    def __init__(self, member: str, body: Body) -> None:
        self.member = member
        self.body = body


class DBusConnection:
    """A connection to what is behind a unix socket: a bus or, where is_peer, a program that speaks D-Bus itself.

    Raises PermissionError where the bus refuses us, OSError where it isn't there or goes away, TimeoutError (an OSError
    too) where it does not answer in time. After any of these the connection is of no more use.
    """

    def __init__(self, path: str, timeout: float, *, is_peer: bool = False) -> None:
        self.calls = 0
        """Calls made so far."""
        self._serials = itertools.count(1)
        self._buffer = bytearray()
        self._signals: list[Signal] = []
        try:
            self._socket: socket.socket = prep_socket(path, timeout=timeout)
        except AuthenticationError as error:
            raise PermissionError(f"the bus at {path} refuses this user: {error}") from error
        try:
            if is_peer:
                _await_begun(self._socket, timeout)
            else:
                _raised(self.call([DBus().Hello()], timeout)[0])
        except BaseException:
            self.close()
            raise

    def call(self, messages: Sequence[Message], timeout: float) -> list[Body | DBusError]:
        """Send all messages at once and return the answers in their order; an error answer is returned, not raised."""
        deadline = time.monotonic() + timeout
        serials = [next(self._serials) for _ in messages]
        request = b"".join(message.serialise(serial=serial) for message, serial in zip(messages, serials, strict=True))
        self._socket.settimeout(timeout)
        self._socket.sendall(request)
        self.calls += len(messages)
        answers: dict[int, Body | DBusError] = {}
        waiting = set(serials)
        while waiting:
            header, body = self._receive(deadline)
            serial = header.fields.get(HeaderFields.reply_serial)
            if serial in waiting:
                waiting.remove(serial)
                answers[serial] = body if header.message_type is MessageType.method_return else _error(header, body)
        return [answers[serial] for serial in serials]

    def signals(self) -> list[Signal]:
        """Return the signals that have come since the last time, without waiting for more."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        while poll.poll(0):
            self._read()
            while self._take() is not None:
                pass
        signals, self._signals = self._signals, []
        return signals

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _receive(self, deadline: float) -> tuple[Header, Body]:
        while (message := self._take()) is None:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise TimeoutError("no answer from the bus in time")
            self._socket.settimeout(remaining)
            self._read()
        return message

    def _read(self) -> None:
        data = self._socket.recv(256 * 1024)
        if not data:
            raise ConnectionResetError("the bus closed the connection")
        self._buffer += data

    def _take(self) -> tuple[Header, Body] | None:
        """Return the next message that is there whole; signals are kept aside as well."""
        if len(self._buffer) < 16:
            return None
        size = calc_msg_size(self._buffer)
        if size > LARGEST_MESSAGE:
            raise ConnectionAbortedError(f"the bus announces a message of {size} bytes")
        if len(self._buffer) < size:
            return None
        message = bytes(memoryview(self._buffer)[:size])
        del self._buffer[:size]
        header, end = Header.from_buffer(message)
        body = Body(message[(end + 7) & ~7 :], header.endianness)
        if header.message_type is MessageType.signal:
            self._signals.append(Signal(header.fields.get(HeaderFields.member, ""), body))
        return header, body


def _await_begun(connection: socket.socket, timeout: float) -> None:
    """Wait until the peer has taken in the last line of the authentication.

    systemd leaves a message lying that it reads together with that line.
    """
    deadline = time.monotonic() + timeout
    while int.from_bytes(fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)), sys.byteorder):
        if time.monotonic() > deadline:
            raise TimeoutError("the peer does not take part in the authentication")
        time.sleep(0.0005)


def _error(header: Header, body: Body) -> DBusError:
    text = ""
    if header.fields.get(HeaderFields.signature, "").startswith("s"):
        text = str(body.values("s")[0])
    return DBusError(header.fields.get(HeaderFields.error_name, "unknown error"), text)


def _raised(answer: Body | DBusError) -> Body:
    if isinstance(answer, DBusError):
        raise answer
    return answer
