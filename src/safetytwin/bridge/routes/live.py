"""Routes that stay open: a machine, or the list of machines, as it changes."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from safetytwin.bridge.problems import Problem, too_busy
from safetytwin.bridge.routes import parameters as p
from safetytwin.bridge.routes.answers import HostRow, StoredEvent
from safetytwin.bridge.routes.table import Call, Endpoint
from safetytwin.bridge.streams import Listener, Message, Streams
from safetytwin.models.change import Change

if TYPE_CHECKING:
    from safetytwin.bridge.app import Bridge

MEDIA_TYPE = "text/event-stream"
ALL_HOSTS = "all"
"""Topic of the list; no host id is written in a topic without a prefix."""


def topic_of(host_id: str) -> str:
    """Return the topic of one machine."""
    return f"host/{host_id}"


def publish(
    streams: Streams, row: HostRow, change: Change | None, happened: Sequence[StoredEvent], state: Callable[[], bytes]
) -> None:
    """Tell those who listen that a machine has changed.

    change leads to the row's revision from the one before; where it is None the whole state is told. Events go first
    and without an id: a client that comes back with the id of a revision has seen all of it.
    """
    topic = topic_of(row.host_id)
    events = [Message.of("event", msgspec.json.encode(event)) for event in happened]
    encoded = msgspec.json.encode(row)
    if streams.listened(topic):
        for message in (*events, Message.of("status", encoded)):
            streams.publish(topic, message)
        kind, data = ("state", state()) if change is None else ("change", msgspec.json.encode(change))
        streams.publish(topic, Message.of(kind, data, str(row.revision)))
    if streams.listened(ALL_HOSTS):
        for message in (*events, Message.of("host", encoded)):
            streams.publish(ALL_HOSTS, message)


async def host_stream(bridge: "Bridge", call: Call) -> Response:
    """Send a machine's state, then what changes."""
    host_id = call.host_id
    bridge.keeper.now(host_id)  # 404 where there is none

    def whole() -> Iterable[Message]:
        try:
            seen = bridge.keeper.now(host_id)
            row = bridge.keeper.row(host_id)
        except Problem:  # forgotten meanwhile
            return
        yield Message.of("state", seen.state, str(seen.revision))
        yield Message.of("status", msgspec.json.encode(row))

    return _stream(bridge, call, topic_of(host_id), whole)


async def all_stream(bridge: "Bridge", call: Call) -> Response:
    """Send a row for each machine, then each row that changes."""

    def whole() -> Iterable[Message]:
        return (Message.of("host", msgspec.json.encode(row)) for row in bridge.keeper.rows())

    return _stream(bridge, call, ALL_HOSTS, whole)


def _stream(bridge: "Bridge", call: Call, topic: str, whole: Callable[[], Iterable[Message]]) -> Response:
    request = call.request
    # no-transform: a proxy that compresses would hold messages back; X-Accel-Buffering says the same to nginx.
    headers = {"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no"}
    if request.method == "HEAD":
        return Response(headers=headers, media_type=MEDIA_TYPE)
    client = request.client.host if request.client else ""
    listener = bridge.streams.open(topic, client, request.headers.get("last-event-id"))
    if listener is None:
        raise too_busy("Too many streams are open.", 30)
    return _EventStream(bridge.streams, listener, whole, headers)


class _EventStream(StreamingResponse):
    """An answer that goes on until the client leaves or the bridge ends."""

    def __init__(
        self,
        streams: Streams,
        listener: Listener,
        whole: Callable[[], Iterable[Message]],
        headers: Mapping[str, str],
    ) -> None:
        super().__init__(_sent(listener, whole), headers=headers, media_type=MEDIA_TYPE)
        self._streams = streams
        self._listener = listener

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._streams.leave(self._listener)


async def _sent(listener: Listener, whole: Callable[[], Iterable[Message]]) -> AsyncIterator[bytes]:
    # How soon a browser comes back when the stream breaks off.
    yield b"retry: 2000\n\n"
    async for data in listener.messages(whole):
        yield data


ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/v1/hosts/{host_id}/stream",
        host_stream,
        "Server-sent events: state (whole), then change, event, status; id is the revision.",
        None,
        parameters=(p.HOST_ID,),
        media_type=MEDIA_TYPE,
        problems=(503,),
    ),
    Endpoint(
        "GET",
        "/api/v1/stream",
        all_stream,
        "Server-sent events of all machines: host (one row), event.",
        None,
        media_type=MEDIA_TYPE,
        problems=(503,),
    ),
)
