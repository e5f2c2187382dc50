"""Connections that can't be held for ever: deadlines on receipt, bounds on headers and on how many there are.

uvicorn has a limit on the idle time between two requests, none on how slowly a request may arrive (uvicorn#157).
"""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from safetytwin.bridge.limits import Limits
from safetytwin.bridge.problems import Problem

Refused = Callable[[str], None]
"""Is told why a connection was refused or cut: connections, client_connections, headers, slow, malformed."""


class Counts:
    """How many connections are open, by address."""

    def __init__(self, limits: Limits, *, per_client: bool, refused: Refused) -> None:
        self.limits = limits
        self.per_client = per_client
        self.refused = refused
        self.total = 0
        self._clients: dict[str, int] = {}

    def enter(self, client: str) -> str | None:
        """Count a connection; returns why it can't be let in, or None."""
        self.total += 1
        count = self._clients[client] = self._clients.get(client, 0) + 1
        if self.total > self.limits.connections:
            return "connections"
        # One address alone never takes all of them: half are left for everyone else.
        if self.per_client and count > max(1, self.limits.connections // 2):
            return "client_connections"
        return None

    def leave(self, client: str) -> None:
        """Count a connection out."""
        self.total -= 1
        self._clients[client] -= 1
        if not self._clients[client]:
            del self._clients[client]


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol with the bridge's limits on receipt."""

    counts: Counts

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._deadline: asyncio.TimerHandle | None = None
        self._header_bytes = 0
        self._in_headers = True
        self._ended_headers = False
        self._address = ""
        self._cut = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Count the connection; its first request's headers are due."""
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        why = self.counts.enter(self._address)
        if why is not None:
            self._refuse(Problem(503, "Too many connections are open.", headers={"Retry-After": "10"}), why)
            return
        self._start(self.counts.limits.header_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it out."""
        self._stop()
        self.counts.leave(self._address)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came, within the bounds on headers."""
        if self._cut:
            return
        if self._deadline is None and self._in_headers:
            self._start(self.counts.limits.header_seconds)
        self._ended_headers = False
        began_in_headers = self._in_headers
        super().data_received(data)
        # Only what surely was headers is counted: a piece in which some headers ended may hold a body too.
        if began_in_headers and not self._ended_headers:
            self._header_bytes += len(data)
            if self._header_bytes > self.counts.limits.headers:
                self._refuse(
                    Problem(431, f"The headers are longer than {self.counts.limits.headers} bytes."), "headers"
                )

    def on_headers_complete(self) -> None:
        """Begin the time for the body."""
        self._in_headers = False
        self._ended_headers = True
        self._header_bytes = 0
        self._start(self.counts.limits.body_seconds)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """End the time of receipt."""
        self._in_headers = True
        self._stop()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP; uvicorn calls this."""
        self._refuse(Problem(400, msg), "malformed")

    def _start(self, seconds: float) -> None:
        self._stop()
        self._deadline = self.loop.call_later(seconds, self._too_slow)

    def _stop(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        part = "headers" if self._in_headers else "body"
        self._refuse(Problem(408, f"The {part} of the request did not arrive in time."), "slow")

    def _refuse(self, problem: Problem, why: str) -> None:
        """Answer with a problem and close; where another answer is under way, only close."""
        self.counts.refused(why)
        self._cut = True
        self._stop()
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self.transport.write(_raw(problem))
        self.transport.close()


def _raw(problem: Problem) -> bytes:
    body = msgspec.json.encode(problem.details)
    headers = {
        "Content-Type": "application/problem+json",
        "Content-Length": str(len(body)),
        "X-Content-Type-Options": "nosniff",
        "Connection": "close",
        **problem.headers,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {problem.status} {problem.details.title}\r\n{head}\r\n".encode() + body
