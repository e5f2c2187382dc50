"""Frames that agents publish to NATS themselves: the owner of a machine's partition takes and answers them.

The subject says whose frames they are: the server lets each agent publish on its own machine's alone (docs/cluster.md).
"""

import asyncio
import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
from starlette.types import ASGIApp
from starlette.types import Message as AsgiMessage

from safetytwin.bridge.cluster.answering import run_inside
from safetytwin.bridge.cluster.wire import Ask
from safetytwin.bridge.problems import Problem, too_busy
from safetytwin.bridge.routes.parameters import is_host_id
from safetytwin.nats_link import LinkError, Message, NatsLink
from safetytwin.nats_subjects import PART, RETRY, STATUS, host_of, partition_of

_LOG = logging.getLogger(__name__)
_PART = re.compile(r"([1-9][0-9]{0,3})/([1-9][0-9]{0,3})", re.ASCII)
_MOST_BYTES = 16 << 20
_PATIENCE = 30.0
"""Seconds for which the parts of a request may be on their way."""


@dataclass(slots=True)
class _Parts:
    parts: list[bytes] = field(default_factory=list)
    begun: float = field(default_factory=time.monotonic)


class Ingesting:
    """Used on one event loop."""

    def __init__(self, link: NatsLink, app: ASGIApp, prefix: str) -> None:
        self._link = link
        self._app = app
        self._prefix = prefix
        self._loop = asyncio.get_running_loop()
        self._ends: dict[int, Callable[[], None]] = {}
        self._waiting: dict[str, _Parts] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def gain(self, partition: int) -> None:
        """Take the frames of a partition's machines."""
        subject = f"{self._prefix}.ingest.{partition:02}.*"
        self._ends[partition] = await asyncio.to_thread(self._link.subscribe, subject, self._came)

    async def lose(self, partitions: frozenset[int]) -> None:
        """Take the frames of these partitions' machines no more."""
        for partition in partitions & self._ends.keys():
            await asyncio.to_thread(self._ends.pop(partition))

    def _came(self, message: Message) -> None:
        """Take a message, on the link's thread."""
        if message.reply:
            self._loop.call_soon_threadsafe(self._got, message)

    def _got(self, message: Message) -> None:
        host_id = host_of(message.subject)
        partition = message.subject.split(".")[-2]
        if not is_host_id(host_id) or partition != f"{partition_of(host_id):02}":
            self._say(message.reply, Problem(422, "The subject names no machine in its own partition."))
            return
        body = self._whole(message)
        if body is not None:
            task = self._loop.create_task(self._take(message.reply, host_id, body))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _whole(self, message: Message) -> bytes | None:
        """Return a request of which the last part has come, None where more is to come or it is no request."""
        match = _PART.fullmatch(message.headers.get(PART, "1/1"))
        if match is None:
            self._say(message.reply, Problem(400, f"The header {PART} is NUMBER/OF."))
            return None
        number, of = int(match[1]), int(match[2])
        now = time.monotonic()
        for reply in [reply for reply, one in self._waiting.items() if now - one.begun > _PATIENCE]:
            del self._waiting[reply]
        some = self._waiting.setdefault(message.reply, _Parts())
        if number != len(some.parts) + 1:
            del self._waiting[message.reply]
            if number == of:
                self._say(message.reply, too_busy("A part of the request is missing: send it again.", 1))
            return None
        some.parts.append(message.data)
        if sum(len(part) for part in some.parts) > _MOST_BYTES:
            del self._waiting[message.reply]
            self._say(message.reply, Problem(413, "The request is larger than 16 MiB."))
            return None
        if number < of:
            return None
        del self._waiting[message.reply]
        return b"".join(some.parts)

    async def _take(self, reply: str, host_id: str, body: bytes) -> None:
        headers = [("content-type", "application/json"), ("content-encoding", "zstd")]
        status = 500
        retry = ""
        blocks: list[bytes] = []

        async def keep(message: AsgiMessage) -> None:
            nonlocal status, retry
            if message["type"] == "http.response.start":
                status = message["status"]
                retry = next((value.decode() for name, value in message["headers"] if name == b"retry-after"), "")
            else:
                blocks.append(message.get("body", b""))

        await run_inside(self._app, Ask("POST", f"/api/v1/hosts/{host_id}/frames", headers=headers, body=body), keep)
        self._answer(reply, status, retry, b"".join(blocks))

    def _say(self, reply: str, problem: Problem) -> None:
        self._answer(
            reply, problem.status, problem.headers.get("Retry-After", ""), msgspec.json.encode(problem.details)
        )

    def _answer(self, reply: str, status: int, retry: str, body: bytes) -> None:
        headers = {STATUS: str(status)} | ({RETRY: retry} if retry else {})
        try:
            self._link.send(reply, body, headers=headers)
        except LinkError as error:
            _LOG.debug("an agent could not be answered: %s", error)
