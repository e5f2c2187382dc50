"""Server-sent events: who listens to which machine, each with a queue of its own that can't grow without end.

A listener that reads too slowly loses its queue and is told the whole anew, as if it had just come; so a stalled
browser costs the bridge no memory and never sees a change without the one before it.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass

QUEUE_LENGTH = 256
"""Messages that wait for one listener; also how many are kept of a topic for one who comes back."""
QUEUE_BYTES = 2 << 20
"""Bytes that wait for one listener, or are kept of a topic."""
HEARTBEAT_SECONDS = 15.0
"""Between two signs of life: proxies cut a silent connection after 30 to 60 seconds."""
LINGER_SECONDS = 60.0
"""How long a topic is kept going after its last listener: a browser comes back after some seconds."""

HEARTBEAT = b": still here\n\n"


@dataclass(frozen=True, slots=True)
class Message:
    """One server-sent event, as its bytes."""

    data: bytes
    identity: str | None = None
    """What a client that comes back names as the last it saw."""

    @staticmethod
    def of(event: str, data: bytes, identity: str | None = None) -> "Message":
        """Return an event whose data is JSON on one line."""
        head = f"id: {identity}\n" if identity is not None else ""
        return Message(f"{head}event: {event}\ndata: ".encode() + data + b"\n\n", identity)


class _Queue:
    """Messages within bounds."""

    def __init__(self) -> None:
        self.messages: deque[Message] = deque()
        self.bytes = 0

    def put(self, message: Message) -> bool:
        """Append a message and say whether it fits."""
        self.messages.append(message)
        self.bytes += len(message.data)
        return len(self.messages) <= QUEUE_LENGTH and self.bytes <= QUEUE_BYTES

    def take(self) -> Message:
        message = self.messages.popleft()
        self.bytes -= len(message.data)
        return message

    def clear(self) -> None:
        self.messages.clear()
        self.bytes = 0


class Listener:
    """One open stream."""

    def __init__(self, topic: str, client: str, missed: Iterable[Message] | None) -> None:
        self.topic = topic
        self.client = client
        self._queue = _Queue()
        self._behind = missed is None
        """What it knows can't be carried on by what is queued: it is told the whole next."""
        self._closed = False
        self._wake = asyncio.Event()
        for message in missed or ():
            self._queue.put(message)

    def put(self, message: Message) -> None:
        """Queue a message, or give the queue up where it is too long."""
        if not self._behind and not self._queue.put(message):
            self._behind = True
            self._queue.clear()
        self._wake.set()

    def close(self) -> None:
        """End the stream once what waits has been sent."""
        self._closed = True
        self._wake.set()

    async def messages(self, whole: Callable[[], Iterable[Message]]) -> AsyncIterator[bytes]:
        """Yield what is to be sent, until the stream is closed; whole returns what tells everything as it is now."""
        while True:
            if self._behind:
                # In one step of the event loop: what is published from here on is newer than the whole.
                self._behind = False
                self._queue.clear()
                for message in list(whole()):
                    yield message.data
            elif self._queue.messages:
                yield self._queue.take().data
            elif self._closed:
                return
            else:
                self._wake.clear()
                try:
                    await asyncio.wait_for(self._wake.wait(), HEARTBEAT_SECONDS)
                except TimeoutError:
                    yield HEARTBEAT


class _Topic:
    """Those who listen to one thing, and the last that they were told."""

    def __init__(self) -> None:
        self.listeners: set[Listener] = set()
        self.recent = _Queue()
        self.alone_since: float | None = None

    def since(self, identity: str | None) -> list[Message] | None:
        """Return the messages after the one of this identity, or None where it is not among the recent."""
        if identity is None:
            return None
        messages = list(self.recent.messages)
        for index in range(len(messages) - 1, -1, -1):
            if messages[index].identity == identity:
                return messages[index + 1 :]
        return None

    def abandoned(self) -> bool:
        """Say whether no one listens and no one will come back."""
        return self.alone_since is not None and time.monotonic() - self.alone_since > LINGER_SECONDS


class Streams:
    """All open streams of a bridge; used on its event loop only."""

    def __init__(self, most: int, most_per_client: int) -> None:
        self._most = most
        self._most_per_client = most_per_client
        self._topics: dict[str, _Topic] = {}
        self._clients: dict[str, int] = {}
        self._closed = False

    def __len__(self) -> int:
        return sum(self._clients.values())

    def open(self, topic: str, client: str, last_seen: str | None = None) -> Listener | None:
        """Return a new listener, or None where there are too many already; last_seen is where it left off."""
        if self._closed or len(self) >= self._most or self._clients.get(client, 0) >= self._most_per_client:
            return None
        self._forget_abandoned()
        group = self._topics.setdefault(topic, _Topic())
        listener = Listener(topic, client, group.since(last_seen))
        group.listeners.add(listener)
        group.alone_since = None
        self._clients[client] = self._clients.get(client, 0) + 1
        return listener

    def leave(self, listener: Listener) -> None:
        """Forget a listener whose client has gone."""
        group = self._topics.get(listener.topic)
        if group is None or listener not in group.listeners:
            return
        group.listeners.discard(listener)
        if not group.listeners:
            group.alone_since = time.monotonic()
        self._count_out(listener)

    def _count_out(self, listener: Listener) -> None:
        self._clients[listener.client] -= 1
        if not self._clients[listener.client]:
            del self._clients[listener.client]

    def listened(self, topic: str) -> bool:
        """Say whether anyone listens or may soon come back, so that no message is made for no one."""
        group = self._topics.get(topic)
        if group is not None and group.abandoned():
            del self._topics[topic]
            return False
        return group is not None

    def publish(self, topic: str, message: Message) -> None:
        """Queue a message for all who listen to a topic."""
        group = self._topics.get(topic)
        if group is None:
            return
        if not group.recent.put(message):
            group.recent.take()
            while group.recent.messages and group.recent.bytes > QUEUE_BYTES:
                group.recent.take()
        for listener in group.listeners:
            listener.put(message)

    def end(self, topic: str) -> None:
        """End the streams of a topic and forget what was told: its next teller is another."""
        group = self._topics.pop(topic, None)
        for listener in list(group.listeners) if group is not None else ():
            listener.close()
            self._count_out(listener)

    def close(self) -> None:
        """End all streams, and let no one in any more."""
        self._closed = True
        for group in self._topics.values():
            for listener in group.listeners:
                listener.close()

    def _forget_abandoned(self) -> None:
        for topic, group in list(self._topics.items()):
            if group.abandoned():
                del self._topics[topic]
