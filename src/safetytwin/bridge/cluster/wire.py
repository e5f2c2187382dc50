"""What bridges say to each other: a request and its answer, each in blocks, each block in as many messages as it takes.

NATS keeps the order of what one connection publishes on one subject, so that parts need no numbers.
"""

import asyncio
from collections.abc import Sequence

import msgspec
from nats.aio.client import Client

from safetytwin.bridge.auth import Token
from safetytwin.nats_link import NatsLink

_SECONDS = 10.0

PART, BLOCK, END, LEAVE, ALIVE = "part", "block", "end", "leave", "alive"
"""More of this block follows; the block is whole; nothing more comes; who asked has gone; who asked is still there."""


class Piece(msgspec.Struct, frozen=True, array_like=True):
    """One message."""

    kind: str
    data: bytes = b""


class Ask(msgspec.Struct, frozen=True):
    """One request, as the bridge that took it has let it in."""

    method: str
    path: str
    query: bytes = b""
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b""
    token: Token | None = None
    """Whose request it is."""
    share: bool = False
    """Asked is of the machines that the bridge owns, no others."""
    client: str = ""
    """Address of who asked."""


class Head(msgspec.Struct, frozen=True):
    """What an answer begins with; its body's blocks follow."""

    status: int
    headers: Sequence[tuple[str, str]]


_PIECE = msgspec.msgpack.Decoder(Piece)


def encoded(value: Ask | Head | Piece) -> bytes:
    """Return what can be sent."""
    return msgspec.msgpack.encode(value)


def piece_of(data: bytes) -> Piece | None:
    """Return what a message is, None where it is nothing that a bridge says."""
    try:
        return _PIECE.decode(data)
    except msgspec.MsgspecError:
        return None


async def send_block(link: NatsLink, subject: str, block: bytes, reply: str = "") -> None:
    """Send a block, in order with those before it that were awaited; raises LinkError."""
    parts = link.parts(block)
    messages = [encoded(Piece(PART, part)) for part in parts[:-1]] + [encoded(Piece(BLOCK, parts[-1]))]
    await send_all(link, subject, messages, reply)


async def send_all(link: NatsLink, subject: str, messages: Sequence[bytes], reply: str = "") -> None:
    """Send messages one after the other; raises LinkError."""

    async def publish(client: Client) -> None:
        for message in messages:
            await client.publish(subject, message, reply=reply)

    await asyncio.wrap_future(link.start(publish, timeout=_SECONDS))
