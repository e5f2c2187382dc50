"""A small HTTP server on a unix socket that answers as an engine did once, or as none should."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


def answer(body: bytes, status: str = "200 OK", server: str = "Docker/20.10.24 (linux)") -> bytes:
    """Return an answer as an engine writes a short one."""
    head = f"HTTP/1.1 {status}\r\nServer: {server}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def chunked(body: bytes, size: int = 1000) -> bytes:
    """Return an answer as an engine writes a long one."""
    parts = [b"HTTP/1.1 200 OK\r\nServer: Docker/20.10.24 (linux)\r\nTransfer-Encoding: chunked\r\n\r\n"]
    for start in range(0, len(body), size):
        chunk = body[start : start + size]
        parts.append(b"%x\r\n%s\r\n" % (len(chunk), chunk))
    return b"".join(parts) + b"0\r\n\r\n"


NOT_FOUND = answer(b'{"message":"No such container"}', "404 Not Found")


class FakeEngine:
    """Answers each target with the bytes under its name; None is an engine that never answers."""

    def __init__(self, path: Path, answers: Mapping[str, bytes | Callable[[], bytes] | None]) -> None:
        self.path = str(path)
        self.answers = dict(answers)
        self.asked: list[str] = []
        self.connections = 0
        self.closes_after_answer = False
        self.piece: int | None = None
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen(16)
        self._open: list[socket.socket] = [self._listener]
        self._release = threading.Event()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def release(self) -> None:
        """Let calls that hang be answered with 404."""
        self._release.set()

    def close(self) -> None:
        """Stop, as an engine that is killed does."""
        self._release.set()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        buffer = b""
        with contextlib.suppress(OSError):
            while True:
                while b"\r\n\r\n" not in buffer:
                    data = connection.recv(65536)
                    if not data:
                        return
                    buffer += data
                request, _, buffer = buffer.partition(b"\r\n\r\n")
                target = request.split(b" ")[1].decode()
                self.asked.append(target)
                self._reply(connection, self.answers.get(target, NOT_FOUND))
                if self.closes_after_answer:
                    connection.shutdown(socket.SHUT_RDWR)
                    return

    def _reply(self, connection: socket.socket, reply: bytes | Callable[[], bytes] | None) -> None:
        if reply is None:
            self._release.wait(60)
            reply = NOT_FOUND
        data = reply() if callable(reply) else reply
        step = self.piece or max(1, len(data))
        for start in range(0, len(data), step):
            connection.sendall(data[start : start + step])


@contextmanager
def fake_engine(path: Path, answers: Mapping[str, bytes | Callable[[], bytes] | None]) -> Iterator[FakeEngine]:
    """Serve answers at path."""
    engine = FakeEngine(path, answers)
    try:
        yield engine
    finally:
        engine.close()
