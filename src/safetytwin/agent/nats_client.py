"""Sends frames to whichever bridge has this machine, over NATS, and says what became of them (docs/cluster.md)."""

from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import zstandard

from safetytwin.agent.bridge_client import Answer, BridgeUrlError, answer_of
from safetytwin.nats_address import NatsAddressError, nats_address
from safetytwin.nats_link import LinkError, Message, NatsLink
from safetytwin.nats_subjects import PART, RETRY, STATUS, ingest_subject, token_of

if TYPE_CHECKING:
    from nats.aio.client import Client

TIMEOUT_SECONDS = 15.0
_AWAY_SECONDS = 3.0
"""After which to try again where no bridge has this machine's partition: one takes it within seconds."""
_OPENING, _COMMA, _CLOSING = (zstandard.ZstdCompressor().compress(piece) for piece in (b"[", b",", b"]"))


class NatsClient:
    """One connection to NATS."""

    def __init__(self, url: str, host_id: str, *, credentials_file: str | None, ca_file: str | None) -> None:
        """Begin to connect; raises BridgeUrlError where the address or a file can't be used."""
        if "@" in url:
            raise BridgeUrlError("a bridge's URL holds no user or password; use --token-file")
        try:
            address = nats_address(
                url,
                credentials_file=None if credentials_file is None else Path(credentials_file),
                ca_file=None if ca_file is None else Path(ca_file),
            )
        except NatsAddressError as error:
            raise BridgeUrlError(str(error)) from error
        if address.options:
            raise BridgeUrlError("what stands after the ? is for bridges: leave it out")
        self._subject = ingest_subject(host_id)
        # Its own, so that the server need let it listen to nobody else's answers.
        self._link = NatsLink(address, name=f"safetytwin agent {host_id}", inbox=f"_INBOX.{token_of(host_id)}")

    def send(self, frames: Sequence[bytes]) -> Answer:
        """Send frames, each the zstd of a JSON object, as one JSON array; never raises for what the network does."""
        body = b"".join((_OPENING, _COMMA.join(frames), _CLOSING))
        end = monotonic() + TIMEOUT_SECONDS
        try:
            self._link.wait(TIMEOUT_SECONDS)
            parts = self._link.parts(body)
            message = self._link.call(
                lambda client: _asked(client, self._subject, parts), timeout=max(1.0, end - monotonic())
            )
        except LinkError as error:
            return Answer(0, detail=str(error))
        if message.headers.get("Status") == "503":
            return Answer(503, detail="no bridge has this machine now", retry_after=_AWAY_SECONDS)
        status = message.headers.get(STATUS, "")
        if not status.isdecimal() or len(status) != 3:
            return Answer(0, detail="what came as an answer is none of a bridge")
        return answer_of(int(status), message.data, message.headers.get(RETRY, ""))

    def close(self) -> None:
        """Close the connection."""
        self._link.close()


async def _asked(client: "Client", subject: str, parts: Sequence[bytes]) -> Message:
    inbox = client.new_inbox()
    subscription = await client.subscribe(inbox, max_msgs=1)
    try:
        for number, part in enumerate(parts, 1):
            await client.publish(subject, part, reply=inbox, headers={PART: f"{number}/{len(parts)}"})
        # Without a bridge the server answers at once, to each part.
        found = await subscription.next_msg(TIMEOUT_SECONDS)
        return Message(found.subject, found.data, found.headers or {}, "")
    finally:
        await subscription.unsubscribe()
