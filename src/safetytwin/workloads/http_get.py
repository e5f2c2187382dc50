"""One GET to a server on this machine, with a deadline for the whole of it, a limit, and no redirects."""

import socket
import time
from typing import NamedTuple

_LIMIT = 1024 * 1024
"""Bytes of an answer that are read, its header included."""
_LOOPBACK = frozenset({"127.0.0.1", "::1"})


class Answer(NamedTuple):
    """An answer of HTTP."""

    status: int
    body: bytes


def get(host: str, port: int, path: str, seconds: float) -> Answer | None:
    """Return the answer of a server on loopback, None where there is none in time or it is too long.

    Raises ValueError for another host: nothing beyond this machine is ever asked.
    """
    if host not in _LOOPBACK:
        raise ValueError(f"{host} is not loopback")
    deadline = time.monotonic() + seconds
    shown = f"[{host}]" if ":" in host else host
    # HTTP/1.0: the answer ends with the connection.
    request = f"GET {path} HTTP/1.0\r\nHost: {shown}:{port}\r\nAccept: application/json\r\nConnection: close\r\n\r\n"
    try:
        with socket.create_connection((host, port), timeout=seconds) as connection:
            connection.sendall(request.encode("ascii"))
            data = _read(connection, deadline)
    except OSError:
        return None
    return parse_answer(data) if data is not None else None


def _read(connection: socket.socket, deadline: float) -> bytes | None:
    parts: list[bytes] = []
    size = 0
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            return None
        connection.settimeout(left)
        part = connection.recv(65536)
        if not part:
            return b"".join(parts)
        size += len(part)
        if size > _LIMIT:
            return None
        parts.append(part)
        data = b"".join(parts) if len(parts) < 8 else b""
        if data and _is_whole(data):
            return data


def _is_whole(data: bytes) -> bool:
    """Tell whether an answer has all the bytes that its Content-Length says, for a server may keep the connection."""
    head, separator, body = data.partition(b"\r\n\r\n")
    length = _header(head, b"content-length")
    return bool(separator) and length is not None and length.isdigit() and len(body) >= int(length[:12])


def _header(head: bytes, name: bytes) -> bytes | None:
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.strip().lower() == name:
            return value.strip()
    return None


def parse_answer(data: bytes) -> Answer | None:
    """Return the status and body of an answer, chunks put together; None where it is not HTTP."""
    head, separator, body = data.partition(b"\r\n\r\n")
    words = head.split(b"\r\n", 1)[0].split()
    if not separator or len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
        return None
    if (_header(head, b"transfer-encoding") or b"").lower() == b"chunked":
        chunks = _unchunked(body)
        if chunks is None:
            return None
        body = chunks
    return Answer(int(words[1][:3]), body)


def _unchunked(body: bytes) -> bytes | None:
    parts: list[bytes] = []
    while True:
        line, separator, rest = body.partition(b"\r\n")
        try:
            size = int(line.partition(b";")[0][:16], 16)
        except ValueError:
            return None
        if not separator or size < 0 or len(rest) < size:
            return None
        if size == 0:
            return b"".join(parts)
        parts.append(rest[:size])
        body = rest[size + 2 :]
