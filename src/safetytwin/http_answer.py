"""Reads an HTTP/1.1 answer from the bytes of a connection, as far as engines and bridges need it.

Own, because http.client costs 8 MB of the agent's memory (it imports email and ssl), and because a call to an engine
that hangs must be left in flight and taken up again, which http.client can't do. Source: RFC 9112.
"""

from collections.abc import Mapping
from dataclasses import dataclass

MAX_HEAD = 64 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: HTTP status, the words behind it, headers by lower-case name, body."""

    status: int
    reason: str
    headers: Mapping[bytes, bytes]
    body: bytes

    @property
    def server(self) -> str:
        """The Server header, such as Docker/20.10.24 (linux); empty without one."""
        return self.headers.get(b"server", b"").decode("latin-1")


class AnswerReader:
    """Takes the bytes of one answer as they come; who (the peer's name) and error are for what it raises."""

    def __init__(self, who: str, error: type[Exception], *, max_body: int) -> None:
        self._who = who
        self._error = error
        self._max_body = max_body
        self._buffer = bytearray()
        self._position = 0
        self._body: list[bytes] = []
        self._size = 0
        self._missing: int | None = None
        """Bytes of the body (or of its chunk, line end included) still to come; None where the peer's close ends it."""
        self._chunked = False
        self._headers: dict[bytes, bytes] | None = None
        self._status = 0
        self._reason = ""
        self._finished = False

    @property
    def answer(self) -> Answer | None:
        """The answer, once it is whole."""
        if not self._finished or self._headers is None:
            return None
        return Answer(self._status, self._reason, self._headers, b"".join(self._body))

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
        """Take bytes, b"" for the peer's close; raises the given error where they are no HTTP answer."""
        if not data:
            self._end()
            return
        self._buffer += data
        while self._headers is None:
            if not self._read_head():
                return
            if 100 <= self._status < 200:  # an interim answer: the real one follows (RFC 9110, section 15.2)
                self._headers = None
                del self._buffer[: self._position]
        if self._chunked:
            self._read_chunks()
        else:
            self._read_body()
        del self._buffer[: self._position]
        self._position = 0

    def _end(self) -> None:
        if self._headers is None or self._chunked or self._missing is not None:
            raise self._error(f"{self._who} closed the connection before its answer was whole")
        self._finished = True

    def _read_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 or end > MAX_HEAD:
            if len(self._buffer) > MAX_HEAD:
                raise self._error(f"{self._who}'s answer is no HTTP: its head does not end")
            return False
        lines = bytes(self._buffer[:end]).split(b"\r\n")
        self._position = end + 4
        parts = lines[0].split(b" ", 2)
        if not parts[0].startswith(b"HTTP/1.") or len(parts) < 2 or not parts[1].isdigit() or len(parts[1]) != 3:
            raise self._error(f"{self._who}'s answer is no HTTP: does something else listen there?")
        self._status = int(parts[1])
        self._reason = parts[2].decode("latin-1") if len(parts) > 2 else ""
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
            self._missing = self._number(length, 10)
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
                        raise self._error(f"{self._who}'s answer is no HTTP: a chunk has no size")
                    return
                size = self._number(bytes(self._buffer[self._position : end]).split(b";")[0].strip(), 16)
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
            raise self._error(f"{self._who}'s answer is no HTTP: it does not end behind its last chunk")
        self._position = self._buffer.rfind(b"\n", 0, end_of_size) + 1

    def _keep(self, data: bytes) -> None:
        self._size += len(data)
        self._check_size(self._size)
        if data:
            self._body.append(data)

    def _check_size(self, size: int) -> None:
        if size > self._max_body:
            raise self._error(f"{self._who}'s answer is larger than {self._max_body} bytes")

    def _number(self, text: bytes, base: int) -> int:
        try:
            value = int(text, base)
        except ValueError:
            value = -1
        if value < 0:
            raise self._error(f"{self._who}'s answer is no HTTP: {text[:20]!r} is no size")
        return value
