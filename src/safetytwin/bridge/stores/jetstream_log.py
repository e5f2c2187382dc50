"""The history's stream in JetStream: written with a fence, read from a sequence on."""

import asyncio
import logging
import secrets
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from nats.aio.client import Client
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.api import ConsumerConfig, DeliverPolicy, DiscardPolicy, StorageType, StreamConfig
from nats.js.errors import APIError, NoStreamResponseError, NotFoundError

from safetytwin.bridge.stores.base import StoreError, StoreFullError, StoreMovedError
from safetytwin.bridge.stores.jetstream_messages import subject_of
from safetytwin.nats_link import EXPECTED_LAST, WRONG_LAST, LinkError, NatsLink
from safetytwin.nats_subjects import PART

_LOG = logging.getLogger(__name__)

_FULL = {10023, 10047, 10077}
"""err_code of: insufficient resources, no storage left, the stream could not store it (max_bytes)."""
_NO_LEADER = 10008
_PAUSES = (0.1, 0.3, 1.0, 2.0, 3.0)
"""Seconds between the tries to ask."""
_TRIES = 8
_SECONDS = 10.0
_WINDOW = 120.0
"""Seconds for which the server knows messages by their id."""


class Stored(NamedTuple):
    """A message in the stream."""

    subject: str
    sequence: int
    headers: dict[str, str]
    data: bytes


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
        if not self._told(lambda client: _is_there(client, self.stream)):
            try:
                self._told(lambda client: client.jetstream().add_stream(config), timeout=30)
            except StoreError as refused:
                raise StoreError(f"The stream {self.stream} can't be made: {refused}") from refused

    def write(self, blobs: dict[str, tuple[bytes, int]]) -> dict[str, int | StoreError]:
        """Write machines' blobs, each behind its subject's last sequence; return its sequence or what went wrong."""
        futures = {}
        try:
            parts = {host_id: self._link.parts(blob) for host_id, (blob, _) in blobs.items()}
        except LinkError as error:
            raise StoreError(str(error)) from error
        for host_id, (_, last) in blobs.items():
            subject = subject_of(self._prefix, host_id)
            futures[host_id] = self._link.start(_writer(self.stream, subject, parts[host_id], last), timeout=60)
        answers: dict[str, int | StoreError] = {}
        for host_id, future in futures.items():
            try:
                answers[host_id] = future.result(90)
            except (LinkError, TimeoutError) as error:
                answers[host_id] = _in_store_words(error, host_id)
        return answers

    def subjects(self, among: str = ">") -> dict[str, int]:
        """Return how many messages each subject has; raises StoreError."""
        info = self._told(lambda client: client.jetstream().stream_info(self.stream, subjects_filter=among))
        return dict(info.state.subjects or {})

    @property
    def everything(self) -> str:
        """The subject that stands for all machines."""
        return f"{self._prefix}.history.>"

    def size(self) -> int:
        """Return the stream's bytes; raises StoreError."""
        found: int = self._told(lambda client: client.jetstream().stream_info(self.stream)).state.bytes
        return found

    def last(self, subject: str) -> int:
        """Return the sequence of the last message on a subject, 0 where there is none; raises StoreError."""
        sequence: int = self._told(lambda client: _last(client, self.stream, subject))[0]
        return sequence

    def read(self, subject: str, after: int, until: int) -> list[Stored]:
        """Return the messages on a subject behind a sequence, up to the last there is; raises StoreError.

        What a server in the middle of its election leaves out is asked for again.
        """
        if after >= until:
            return []
        found: list[Stored] = []
        for pause in (*_PAUSES, None):
            found = self._told(lambda client: _read(client, self.stream, subject, after, until), timeout=300)
            missing = hole_in(found, after)
            if missing is None and found and found[-1].sequence >= until:
                return found
            if pause is not None:
                time.sleep(pause)
        if missing is not None:
            _LOG.error("the stream %s lacks messages that were acknowledged: %s", self.stream, missing)
        return found

    def purge(self, host_id: str) -> None:
        """Delete all of a machine; raises StoreError."""
        subject = subject_of(self._prefix, host_id)
        self._told(lambda client: client.jetstream().purge_stream(self.stream, subject=subject), timeout=30)

    def _told(self, make: Any, *, timeout: float = _SECONDS) -> Any:
        """Return what is told by what may be asked twice: while a cluster finds a new leader, nobody answers."""
        pauses = iter(_PAUSES)
        while True:
            try:
                return self._link.call(make, timeout=timeout)
            except LinkError as error:
                pause = next(pauses, None)
                if pause is None or error.code not in {None, _NO_LEADER}:
                    raise StoreError(str(error)) from error
            time.sleep(pause)


def _writer(stream: str, subject: str, parts: Sequence[bytes], last: int) -> Any:
    async def write(client: Client) -> int:
        expected, group = last, secrets.token_hex(12)
        for index, part in enumerate(parts):
            headers = {
                "Nats-Msg-Id": f"{group}.{index}",
                EXPECTED_LAST: str(expected),
                PART: f"{index + 1}/{len(parts)}",
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


async def _is_there(client: Client, stream: str) -> bool:
    try:
        await client.jetstream().stream_info(stream)
    except NotFoundError:
        return False
    return True


async def _last(client: Client, stream: str, subject: str) -> tuple[int, str]:
    try:
        found = await client.jetstream().get_last_msg(stream, subject)
    except NotFoundError:
        return 0, ""
    return found.seq or 0, (found.headers or {}).get("Nats-Msg-Id", "")


async def _read(client: Client, stream: str, subject: str, after: int, until: int) -> list[Stored]:
    config = ConsumerConfig(deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=after + 1)
    subscription = await client.jetstream().subscribe(subject, stream=stream, ordered_consumer=True, config=config)
    found: list[Stored] = []
    try:
        pending = 1
        while pending:
            message = await subscription.next_msg(timeout=10)
            sequence = message.metadata.sequence.stream
            found.append(Stored(message.subject, sequence, dict(message.headers or {}), message.data))
            pending = 0 if sequence >= until else message.metadata.num_pending
    finally:
        await subscription.unsubscribe()
    return found


def hole_in(messages: Sequence[Stored], after: int) -> str | None:
    """Say where a message is missing before another one: each names the one before it; None where all are there."""
    before: dict[str, int] = {}
    for message in messages:
        expected = int(message.headers.get(EXPECTED_LAST, "0"))
        if expected > after and before.get(message.subject) != expected:
            return f"{message.subject} before {message.sequence}"
        before[message.subject] = message.sequence
    return None


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
