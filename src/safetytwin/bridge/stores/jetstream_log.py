"""The history's stream in JetStream: written with a fence, read from a sequence on."""

import asyncio
import secrets
from collections.abc import Sequence
from typing import Any

from nats.aio.client import Client
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.api import ConsumerConfig, DeliverPolicy, DiscardPolicy, StorageType, StreamConfig
from nats.js.errors import APIError, NoStreamResponseError, NotFoundError

from safetytwin.bridge.stores.base import StoreError, StoreFullError, StoreMovedError
from safetytwin.bridge.stores.jetstream_messages import parts_of, subject_of
from safetytwin.nats_link import LinkError, NatsLink

WRONG_LAST = 10071
_FULL = {10023, 10047, 10077}
"""err_code of: insufficient resources, no storage left, the stream could not store it (max_bytes)."""
_NOT_FOUND = {10037, 10059}
_TRIES = 8
_SECONDS = 10.0
_HEADERS_ROOM = 4096
_WINDOW = 120.0
"""Seconds for which the server knows messages by their id."""


class HistoryLog:
    """One deployment's history in one stream."""

    def __init__(self, link: NatsLink, prefix: str, *, replicas: int, max_bytes: int | None) -> None:
        """Make the stream where it is not there; raises StoreError."""
        self._link = link
        self._prefix = prefix
        self.stream = f"{prefix}-history"
        config = StreamConfig(
            name=self.stream,
            subjects=[f"{prefix}.history.*.*"],
            storage=StorageType.FILE,
            num_replicas=replicas,
            max_bytes=-1 if max_bytes is None else max_bytes,
            discard=DiscardPolicy.NEW,
            allow_direct=False,
            duplicate_window=_WINDOW,
        )
        try:
            self._link.call(lambda client: client.jetstream().stream_info(self.stream))
        except LinkError as error:
            if error.code not in _NOT_FOUND:
                raise StoreError(str(error)) from error
            try:
                self._link.call(lambda client: client.jetstream().add_stream(config), timeout=30)
            except LinkError as refused:
                raise StoreError(f"The stream {self.stream} can't be made: {refused}") from refused

    def write(self, blobs: dict[str, tuple[bytes, int]]) -> dict[str, int | StoreError]:
        """Write machines' blobs, each behind its subject's last sequence; return its sequence or what went wrong."""
        most = self._most()
        futures = {}
        for host_id, (blob, last) in blobs.items():
            subject = subject_of(self._prefix, host_id)
            futures[host_id] = self._link.start(_writer(self.stream, subject, parts_of(blob, most), last), timeout=60)
        answers: dict[str, int | StoreError] = {}
        for host_id, future in futures.items():
            try:
                answers[host_id] = future.result(90)
            except (LinkError, TimeoutError) as error:
                answers[host_id] = _in_store_words(error, host_id)
        return answers

    def subjects(self) -> dict[str, int]:
        """Return how many messages each subject has; raises StoreError."""
        info = self._told(lambda client: client.jetstream().stream_info(self.stream, subjects_filter=">"))
        return dict(info.state.subjects or {})

    def state(self) -> tuple[int, int, int]:
        """Return the stream's messages, bytes and last sequence; raises StoreError."""
        found = self._told(lambda client: client.jetstream().stream_info(self.stream)).state
        return found.messages, found.bytes, found.last_seq

    def last(self, host_id: str) -> int:
        """Return the sequence of a machine's last message, 0 where there is none; raises StoreError."""
        subject = subject_of(self._prefix, host_id)
        try:
            return self._link.call(lambda client: _last(client, self.stream, subject))[0]
        except LinkError as error:
            raise StoreError(str(error)) from error

    def read(self, host_id: str | None, after: int, until: int) -> list[tuple[str, int, dict[str, str], bytes]]:
        """Return messages of one machine or of all: subject, sequence, headers, data; raises StoreError."""
        if after >= until:
            return []
        subject = f"{self._prefix}.history.>" if host_id is None else subject_of(self._prefix, host_id)
        return self._told(lambda client: _read(client, self.stream, subject, after, until), timeout=300)

    def purge(self, host_id: str) -> None:
        """Delete all of a machine; raises StoreError."""
        subject = subject_of(self._prefix, host_id)
        self._told(lambda client: client.jetstream().purge_stream(self.stream, subject=subject), timeout=30)

    def _most(self) -> int:
        try:
            return self._link.max_payload - _HEADERS_ROOM
        except LinkError as error:
            raise StoreError(str(error)) from error

    def _told(self, make: Any, *, timeout: float = _SECONDS) -> Any:
        try:
            return self._link.call(make, timeout=timeout)
        except LinkError as error:
            raise StoreError(str(error)) from error


def _writer(stream: str, subject: str, parts: Sequence[bytes], last: int) -> Any:
    async def write(client: Client) -> int:
        expected, group = last, secrets.token_hex(12)
        for index, part in enumerate(parts):
            headers = {
                "Nats-Msg-Id": f"{group}.{index}",
                "Nats-Expected-Last-Subject-Sequence": str(expected),
                "Safetytwin-Part": f"{index + 1}/{len(parts)}",
            }
            expected = await _published(client, stream, subject, part, headers)
        return expected

    return write


async def _published(client: Client, stream: str, subject: str, part: bytes, headers: dict[str, str]) -> int:
    """Publish until it is known what became of it; a message with this id stands at most once."""
    tries = 0
    while True:
        tries += 1
        try:
            ack = await client.jetstream().publish(subject, part, timeout=5, stream=stream, headers=dict(headers))
        except (NatsTimeoutError, NoStreamResponseError):
            if tries == _TRIES:
                raise
            await asyncio.sleep(0.2 * tries)
        except APIError as error:
            if error.err_code != WRONG_LAST or tries == 1:
                raise
            sequence, identity = await _last(client, stream, subject)
            if identity != headers["Nats-Msg-Id"]:
                raise
            return sequence
        else:
            return ack.seq


async def _last(client: Client, stream: str, subject: str) -> tuple[int, str]:
    try:
        found = await client.jetstream().get_last_msg(stream, subject)
    except NotFoundError:
        return 0, ""
    return found.seq or 0, (found.headers or {}).get("Nats-Msg-Id", "")


async def _read(
    client: Client, stream: str, subject: str, after: int, until: int
) -> list[tuple[str, int, dict[str, str], bytes]]:
    config = ConsumerConfig(deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=after + 1)
    subscription = await client.jetstream().subscribe(subject, stream=stream, ordered_consumer=True, config=config)
    found = []
    try:
        pending = 1
        while pending:
            message = await subscription.next_msg(timeout=10)
            sequence = message.metadata.sequence.stream
            found.append((message.subject, sequence, dict(message.headers or {}), message.data))
            pending = 0 if sequence >= until else message.metadata.num_pending
    finally:
        await subscription.unsubscribe()
    return found


def _in_store_words(error: Exception, host_id: str) -> StoreError:
    code = getattr(error, "code", None)
    if code == WRONG_LAST:
        return StoreMovedError(f"Another bridge has written for {host_id}.", frozenset((host_id,)))
    if code in _FULL:
        return StoreFullError(
            "JetStream has no room: give it more (max_bytes, the server's disk), or keep less; "
            "nothing that was acknowledged is lost."
        )
    return StoreError(str(error))
