"""Asks a container engine over its unix socket: HTTP/1.1 as far as an engine's answers need it.

Own, because http.client costs 8 MB of the agent's memory (it imports email and ssl), and because a call that hangs
must be left in flight and taken up again, which http.client can't do. Source: RFC 9112.
"""

import socket
import time
from dataclasses import dataclass

MAX_HEAD = 64 * 1024
MAX_BODY = 64 * 1024 * 1024


class EngineError(Exception):
    """The engine's answer makes no sense, or says that it could not do what was asked."""


class EngineSilentError(Exception):
    """The engine has not answered in time; the call is still in flight."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: HTTP status, body, and the Server header ("Docker/…", "Libpod/…")."""

    status: int
    body: bytes
    server: str


class AnswerReader:
    """Takes the bytes of one answer as they come."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._position = 0
        self._body: list[bytes] = []
        self._size = 0
        self._missing: int | None = None
        """Bytes of the body (or of its chunk, line end included) still to come; None where the peer's close ends it."""
        self._chunked = False
        self._headers: dict[bytes, bytes] | None = None
        self._status = 0
        self._finished = False

    @property
    def answer(self) -> Answer | None:
        """The answer, once it is whole."""
        if not self._finished or self._headers is None:
            return None
        server = self._headers.get(b"server", b"").decode("latin-1")
        return Answer(self._status, b"".join(self._body), server)

    @property
    def begun(self) -> bool:
        """Whether anything of it has come."""
        return self._headers is not None or bool(self._buffer)

    @property
    def keeps_connection(self) -> bool:
        """Whether another question may follow on the same connection."""
        closing = self._headers is None or self._headers.get(b"connection", b"").lower() == b"close"
        return self._finished and not closing and (self._chunked or self._missing is not None)

    def feed(self, data: bytes) -> None:
        """Take bytes, b"" for the peer's close; raises EngineError where they are no HTTP answer."""
        if not data:
            self._end()
            return
        self._buffer += data
        if self._headers is None and not self._read_head():
            return
        if self._chunked:
            self._read_chunks()
        else:
            self._read_body()
        del self._buffer[: self._position]
        self._position = 0

    def _end(self) -> None:
        if self._headers is None or self._chunked or self._missing is not None:
            raise EngineError("the engine closed the connection before its answer was whole")
        self._finished = True

    def _read_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 or end > MAX_HEAD:
            if len(self._buffer) > MAX_HEAD:
                raise EngineError("the engine's answer is no HTTP: its head does not end")
            return False
        lines = bytes(self._buffer[:end]).split(b"\r\n")
        self._position = end + 4
        parts = lines[0].split(b" ", 2)
        if not parts[0].startswith(b"HTTP/1.") or len(parts) < 2 or not parts[1].isdigit() or len(parts[1]) != 3:
            raise EngineError("the engine's answer is no HTTP: is this an engine's socket?")
        self._status = int(parts[1])
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(b":")
            headers[name.strip().lower()] = value.strip()
        if parts[0] == b"HTTP/1.0":
            headers.setdefault(b"connection", b"close")
        self._headers = headers
        self._chunked = headers.get(b"transfer-encoding", b"").lower() == b"chunked"
        length = headers.get(b"content-length")
        if self._status in (204, 304):
            self._chunked, self._missing = False, 0
        elif self._chunked:
            self._missing = None
        elif length is not None:
            self._missing = _number(length, 10)
            self._check_size(self._missing)
        return True

    def _read_body(self) -> None:
        data = bytes(self._buffer[self._position :])
        if self._missing is not None:
            data = data[: self._missing]
            self._missing -= len(data)
            self._finished = self._missing == 0
        self._position = len(self._buffer)
        self._keep(data)

    def _read_chunks(self) -> None:
        while not self._finished:
            if self._missing is None:
                end = self._buffer.find(b"\r\n", self._position)
                if end < 0:
                    if len(self._buffer) - self._position > MAX_HEAD:
                        raise EngineError("the engine's answer is no HTTP: a chunk has no size")
                    return
                size = _number(bytes(self._buffer[self._position : end]).split(b";")[0].strip(), 16)
                self._check_size(self._size + size)
                self._position = end + 2
                self._missing = size + 2
                if size == 0:
                    self._missing = None
                    self._read_trailer(end)
                    return
            available = len(self._buffer) - self._position
            if available < self._missing:
                return
            self._keep(bytes(self._buffer[self._position : self._position + self._missing - 2]))
            self._position += self._missing
            self._missing = None

    def _read_trailer(self, end_of_size: int) -> None:
        """Finish at the empty line behind the last chunk; else stay before the last chunk's size line."""
        if self._buffer.startswith(b"\r\n", self._position) or self._buffer.find(b"\r\n\r\n", self._position) >= 0:
            self._finished = True
            self._position = len(self._buffer)
            return
        if len(self._buffer) - self._position > MAX_HEAD:
            raise EngineError("the engine's answer is no HTTP: it does not end behind its last chunk")
        self._position = self._buffer.rfind(b"\n", 0, end_of_size) + 1

    def _keep(self, data: bytes) -> None:
        self._size += len(data)
        self._check_size(self._size)
        if data:
            self._body.append(data)

    def _check_size(self, size: int) -> None:
        if size > MAX_BODY:
            raise EngineError(f"the engine's answer is larger than {MAX_BODY} bytes")


def _number(text: bytes, base: int) -> int:
    try:
        value = int(text, base)
    except ValueError:
        value = -1
    if value < 0:
        raise EngineError(f"the engine's answer is no HTTP: {text[:20]!r} is no size")
    return value


class EngineClient:
    """One connection to an engine, kept between looks, with at most one call in flight."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.calls = 0
        """Calls made so far."""
        self.was_dropped = False
        """Whether the engine closed the kept connection before the last call: one that stops itself when idle."""
        self._socket: socket.socket | None = None
        self._reader: AnswerReader | None = None

    @property
    def in_flight(self) -> bool:
        """Whether a call is still waiting for its answer."""
        return self._reader is not None

    def get(self, target: str, timeout: float) -> Answer:
        """Return the answer to GET target, within timeout seconds.

        Raises EngineSilentError where the engine does not answer in time or where an earlier call is still in flight
        (there is never a second one), EngineError where its answer makes no sense, and OSError as connect(2) does:
        FileNotFoundError, PermissionError, ConnectionRefusedError.
        """
        if self.in_flight:
            raise EngineSilentError(f"{self.path} has not answered an earlier call")
        deadline = time.monotonic() + timeout
        reused = self._socket is not None
        self.was_dropped = False
        try:
            self._send(target, deadline)
            return self._receive(deadline)
        except (OSError, EngineError):
            had_answer = self._reader is not None and self._reader.begun
            self.close()
            if not reused or had_answer:
                raise
        self.was_dropped = True
        try:
            self._send(target, deadline)
            return self._receive(deadline)
        except (OSError, EngineError):
            self.close()
            raise

    def settle(self, timeout: float) -> None:
        """Wait for the call that is in flight, if any, and drop its late answer.

        Raises EngineSilentError where it still hangs.
        """
        if self._reader is None:
            return
        try:
            self._receive(time.monotonic() + timeout)
        except (EngineError, OSError):
            self.close()

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        self._reader = None

    def _send(self, target: str, deadline: float) -> None:
        if self._socket is None:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
            connection.settimeout(_remaining(deadline))
            try:
                connection.connect(self.path)
            except (TimeoutError, BlockingIOError):
                connection.close()
                raise EngineSilentError(f"{self.path} takes no connection") from None
            except BaseException:
                connection.close()
                raise
            self._socket = connection
        self._reader = AnswerReader()
        self.calls += 1
        self._socket.settimeout(_remaining(deadline))
        self._socket.sendall(f"GET {target} HTTP/1.1\r\nHost: engine\r\n\r\n".encode("ascii"))

    def _receive(self, deadline: float) -> Answer:
        assert self._socket is not None  # noqa: S101 - _send() set both; this tells the type checker
        assert self._reader is not None  # noqa: S101
        late = EngineSilentError(f"no answer from {self.path} in time")
        while True:
            self._socket.settimeout(_remaining(deadline))
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                raise late from None
            self._reader.feed(data)
            answer = self._reader.answer
            if answer is not None:
                keeps = self._reader.keeps_connection
                self._reader = None
                if not keeps:
                    self.close()
                return answer
            if time.monotonic() > deadline:  # one that drips byte by byte never times out by itself
                raise late


def _remaining(deadline: float) -> float:
    return max(0.001, deadline - time.monotonic())
