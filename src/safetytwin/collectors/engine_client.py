"""Asks a container engine over its unix socket; a call that hangs is left in flight and taken up again."""

import socket
import time

from safetytwin.http_answer import Answer, AnswerReader

MAX_BODY = 64 * 1024 * 1024


class EngineError(Exception):
    """The engine's answer makes no sense, or says that it could not do what was asked."""


class EngineSilentError(Exception):
    """The engine has not answered in time; the call is still in flight."""


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
        self._reader = AnswerReader("the engine", EngineError, max_body=MAX_BODY)
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
