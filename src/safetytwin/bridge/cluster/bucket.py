"""A key-value bucket of JetStream, each key changed only from the revision that was seen.

Source: ADR-8 of NATS: a bucket is the stream KV_NAME, a key the subject $KV.NAME.KEY, a revision its sequence.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from nats.aio.client import Client
from nats.js.api import KeyValueConfig
from nats.js.errors import NotFoundError

from safetytwin.nats_link import EXPECTED_LAST, WRONG_LAST, LinkError, NatsLink

_SECONDS = 3.0
T = TypeVar("T")


class ChangedError(Exception):
    """The key is not as it was seen."""


class Bucket:
    """Awaited on any event loop but the link's own; everything here raises LinkError."""

    def __init__(self, link: NatsLink, name: str, *, seconds: float | None = None, replicas: int = 1) -> None:
        """With seconds, a key that is not written again for as long is gone."""
        self._link = link
        self._name = name
        self._stream = f"KV_{name}"
        self._config = KeyValueConfig(bucket=name, history=1, ttl=seconds, replicas=replicas)

    async def make(self) -> None:
        """Make the bucket where it is not there."""

        async def made(client: Client) -> None:
            try:
                await client.jetstream().stream_info(self._stream)
            except NotFoundError:
                await client.jetstream().create_key_value(self._config)

        await self._done(made)

    async def get(self, key: str) -> tuple[bytes, int] | None:
        """Return a key's value and revision, None where it is not there."""

        async def got(client: Client) -> tuple[bytes, int] | None:
            try:
                found = await client.jetstream().get_last_msg(self._stream, self._subject(key))
            except NotFoundError:
                return None
            return found.data or b"", found.seq or 0

        return await self._done(got)

    async def put(self, key: str, value: bytes, revision: int) -> int:
        """Write a key that is at a revision, 0 where it is not there; return the new one. Raises ChangedError."""
        headers = {EXPECTED_LAST: str(revision)}

        async def written(client: Client) -> int:
            ack = await client.jetstream().publish(
                self._subject(key), value, timeout=_SECONDS, stream=self._stream, headers=headers
            )
            return ack.seq

        try:
            return await self._done(written)
        except LinkError as error:
            if error.code == WRONG_LAST:
                raise ChangedError from error
            raise

    async def keys(self) -> list[str]:
        """Return all keys that are there."""

        async def listed(client: Client) -> list[str]:
            info = await client.jetstream().stream_info(self._stream, subjects_filter=">")
            return [subject.removeprefix(self._subject("")) for subject in info.state.subjects or {}]

        return await self._done(listed)

    async def remove(self, key: str) -> None:
        """Remove a key, without a trace that would look like a value."""

        async def purged(client: Client) -> None:
            await client.jetstream().purge_stream(self._stream, subject=self._subject(key))

        await self._done(purged)

    def _subject(self, key: str) -> str:
        return f"$KV.{self._name}.{key}"

    async def _done(self, make: Callable[[Client], Coroutine[Any, Any, T]]) -> T:
        return await asyncio.wrap_future(self._link.start(make, timeout=_SECONDS + 1))
