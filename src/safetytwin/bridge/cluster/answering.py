"""The side of an owner: what another bridge asks, or an agent over NATS, goes through the same application as HTTP."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from starlette.types import ASGIApp, Message, Scope

from safetytwin.bridge.cluster.wire import ALIVE, BLOCK, END, LEAVE, PART, Ask, Head, Piece, encoded, piece_of, send_all
from safetytwin.bridge.cluster.wire import send_block as send
from safetytwin.bridge.routes.table import FORWARDED, Forwarded
from safetytwin.nats_link import LinkError, NatsLink
from safetytwin.nats_link import Message as NatsMessage

_LOG = logging.getLogger(__name__)
_SILENT_SECONDS = 60.0
"""Without a sign of the one who asked, after which nobody listens."""
_MOST_BYTES = 20 << 20
"""Of a request."""
_OWN_HEADERS = frozenset({"content-length", "date", "server", "connection"})


@dataclass(slots=True)
class _Exchange:
    parts: list[bytes] = field(default_factory=list)
    size: int = 0
    heard: float = field(default_factory=time.monotonic)
    task: asyncio.Task[None] | None = None


class Answering:
    """Answers on one subject; used on one event loop."""

    def __init__(self, link: NatsLink, app: ASGIApp, subject: str) -> None:
        self._link = link
        self._app = app
        self._subject = subject
        self._loop = asyncio.get_running_loop()
        self._exchanges: dict[str, _Exchange] = {}
        self._unsubscribe: Callable[[], None] = lambda: None

    async def start(self) -> None:
        """Listen for requests."""
        self._unsubscribe = await asyncio.to_thread(self._link.subscribe, self._subject, self._came)

    async def stop(self) -> None:
        """Take no more requests, and end what is under way."""
        await asyncio.to_thread(self._unsubscribe)
        for reply in list(self._exchanges):
            self._end(reply)

    async def run(self) -> None:
        """End what nobody listens to any more, until cancelled."""
        while True:
            await asyncio.sleep(_SILENT_SECONDS / 4)
            for reply, exchange in list(self._exchanges.items()):
                if time.monotonic() - exchange.heard > _SILENT_SECONDS:
                    self._end(reply)

    def _came(self, message: NatsMessage) -> None:
        """Take a message, on the link's thread."""
        if message.reply:
            self._loop.call_soon_threadsafe(self._got, message)

    def _got(self, message: NatsMessage) -> None:
        piece = piece_of(message.data)
        if piece is None or piece.kind not in {PART, BLOCK, LEAVE, ALIVE}:
            return
        exchange = self._exchanges.get(message.reply)
        if piece.kind in {LEAVE, ALIVE}:
            if exchange is not None and piece.kind == LEAVE:
                self._end(message.reply)
            elif exchange is not None:
                exchange.heard = time.monotonic()
            return
        if exchange is None:
            exchange = self._exchanges[message.reply] = _Exchange()
        if exchange.task is not None:
            return
        exchange.parts.append(piece.data)
        exchange.size += len(piece.data)
        exchange.heard = time.monotonic()
        if exchange.size > _MOST_BYTES:
            self._end(message.reply)
        elif piece.kind == BLOCK:
            self._begin(message.reply, exchange)

    def _begin(self, reply: str, exchange: _Exchange) -> None:
        try:
            ask = msgspec.msgpack.decode(b"".join(exchange.parts), type=Ask)
        except msgspec.MsgspecError as error:
            _LOG.warning("another bridge asks what this one does not understand (%s): are they of one version?", error)
            self._end(reply)
            return
        exchange.parts.clear()
        exchange.task = self._loop.create_task(self._answer(reply, ask))

    def _end(self, reply: str) -> None:
        exchange = self._exchanges.pop(reply, None)
        if exchange is not None and exchange.task is not None:
            exchange.task.cancel()

    async def _answer(self, reply: str, ask: Ask) -> None:
        async def send_message(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in message["headers"]]
                head = Head(message["status"], [one for one in headers if one[0].lower() not in _OWN_HEADERS])
                await send(self._link, reply, encoded(head))
            elif message.get("body"):
                await send(self._link, reply, message["body"])

        try:
            await run_inside(self._app, ask, send_message)
            await send_all(self._link, reply, [encoded(Piece(END))])
        except LinkError as error:
            _LOG.debug("an answer could not be sent: %s", error)
        finally:
            self._exchanges.pop(reply, None)


async def run_inside(app: ASGIApp, ask: Ask, send_message: Callable[[Message], Any]) -> None:
    """Have the application answer a request that did not come over HTTP, and that is let in already."""
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": ask.method,
        "scheme": "http",
        "path": ask.path,
        "raw_path": ask.path.encode(),
        "query_string": ask.query,
        "root_path": "",
        "headers": [
            (b"host", b"localhost"),
            *((name.encode(), value.encode("latin-1")) for name, value in ask.headers),
        ],
        "client": (ask.client, 0),
        "server": ("localhost", 80),
        FORWARDED: Forwarded(ask.token, ask.share),
    }
    received = False

    async def receive() -> Message:
        nonlocal received
        if not received:
            received = True
            return {"type": "http.request", "body": ask.body, "more_body": False}
        await asyncio.Event().wait()  # whoever asked leaves by cancelling
        raise AssertionError

    await app(scope, receive, send_message)
