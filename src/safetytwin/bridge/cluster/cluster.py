"""This bridge among the others: what is another one's is asked of it, what is everyone's of all."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import msgspec
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from safetytwin.bridge.app import Bridge, json_response
from safetytwin.bridge.cluster.answering import Answering
from safetytwin.bridge.cluster.asking import Answers, Asking, NoAnswerError
from safetytwin.bridge.cluster.ingesting import Ingesting
from safetytwin.bridge.cluster.membership import Duties, Membership
from safetytwin.bridge.cluster.placing import name_of
from safetytwin.bridge.cluster.wire import Ask, Head
from safetytwin.bridge.limits import read_body
from safetytwin.bridge.problems import too_busy
from safetytwin.bridge.routes.table import Answer, Call, Endpoint
from safetytwin.bridge.twin_keeper import TwinKeeper
from safetytwin.nats_link import NatsLink
from safetytwin.nats_subjects import PARTITIONS, partition_of

_LOG = logging.getLogger(__name__)

_STREAM = "text/event-stream"
_FRAMES_SECONDS = 12.0
"""For an answer to what changes something: an agent waits for 15."""
_QUESTION_SECONDS = 30.0
_FLEET_SECONDS = 10.0
_PASSED_ON = (
    "accept-encoding",
    "content-encoding",
    "content-type",
    "if-none-match",
    "last-event-id",
)
SHARE = "safetytwin-share"
"""Header of an answer of a bridge for its own machines: its partitions, as the bits of a hexadecimal number."""


class Cluster:
    """Used on the bridge's event loop, but for what makes it."""

    def __init__(
        self, link: NatsLink, keeper: TwinKeeper, name: str, about: bytes, *, prefix: str, replicas: int
    ) -> None:
        """Name is BRIDGE-RUN; about is what other bridges may know of this one, as JSON."""
        self._link = link
        self._keeper = keeper
        self._prefix = prefix
        self._subject = self._subject_of(name)
        self.membership = Membership(
            link,
            name,
            about,
            Duties(self._gain, self._give, self._lose),
            prefix=prefix,
            replicas=replicas,
        )
        self.membership.when_live_changes = self._live_changed
        self._name = name
        self._asking: Asking | None = None
        self._answering: Answering | None = None
        self._ingesting: Ingesting | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._fleet_streams: set[_Relay] = set()

    @property
    def keeper(self) -> TwinKeeper:
        """What keeps the twins of the machines that are this bridge's."""
        return self._keeper

    async def start(self, app: ASGIApp) -> None:
        """Take part: answer other bridges through the application, and take a share."""
        self._asking = Asking(self._link, f"{self._prefix}.answers.{self._name}")
        self._answering = Answering(self._link, _with_share(app, self.membership), self._subject)
        self._ingesting = Ingesting(self._link, app, self._prefix)
        await self._asking.start()
        await self._answering.start()
        works = (self.membership.run(), self._asking.run(), self._answering.run())
        self._tasks = [asyncio.create_task(work) for work in works]

    async def leave(self) -> None:
        """Give everything up in order, and take part no more."""
        await self.membership.leave()
        if self._answering is not None:
            await self._answering.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def owns(self, host_id: str) -> bool:
        """Say whether a machine is this bridge's to answer for now."""
        return self.membership.owns(partition_of(host_id))

    async def elsewhere(self, bridge: Bridge, endpoint: Endpoint, call: Call) -> Response | None:
        """Return the answer of those bridges that a request is for, None where it is for this one alone."""
        if endpoint.fleet is not None:
            return await self._asked_of_all(endpoint, call)
        if "host_id" not in call.values:
            return await self._stream_of_all(call) if endpoint.media_type == _STREAM else None
        if endpoint.here or self.owns(call.host_id):
            return None
        token = call.token
        if endpoint.access == "agent":
            bridge.authorize_host(token, call.host_id)
            if token is not None and token.kind == "agent":
                token = msgspec.structs.replace(token, host_id=call.host_id)
        body = await read_body(call.request, bridge.limits) if endpoint.method == "POST" else b""
        return await self._asked_of_owner(call.host_id, msgspec.structs.replace(_ask(call, body), token=token))

    async def forwarded(self, call: Call, host_id: str, body: bytes) -> Response | None:
        """Return another bridge's answer to a request with a JSON body of a machine, None where it is this one's."""
        if self.owns(host_id):
            return None
        ask = _ask(call, body)
        headers = [one for one in ask.headers if not one[0].startswith("content-")]
        return await self._asked_of_owner(
            host_id, msgspec.structs.replace(ask, headers=[*headers, ("content-type", "application/json")])
        )

    async def _asked_of_owner(self, host_id: str, ask: Ask) -> Response:
        session = self.membership.owner(partition_of(host_id))
        if session is None or name_of(session) == self._name:
            raise too_busy("The bridge that is to have this machine is taking it over: try again in a moment.", 2)
        try:
            answers = await self._asked(session, ask)
            head = await _head(answers, _QUESTION_SECONDS if ask.method in {"GET", "HEAD"} else _FRAMES_SECONDS)
            if _is_stream(head) and ask.method == "GET":
                return _Relay([answers], head)
            with contextlib.closing(answers):
                return _response(head, await answers.rest())
        except NoAnswerError as error:
            raise too_busy(str(error), 2) from None

    async def _asked(self, session: str, ask: Ask) -> Answers:
        if self._asking is None:
            raise too_busy("This bridge is only starting.", 2)
        return await self._asking.ask(self._subject_of(name_of(session)), ask)

    async def _asked_of_all(self, endpoint: Endpoint, call: Call) -> Response:
        """Ask all bridges for their share; what could not be asked is said in the answer."""
        ask = _ask(call)
        headers = [one for one in ask.headers if one[0] != "accept-encoding"]
        ask = msgspec.structs.replace(ask, share=True, method="GET", headers=headers)
        found = await asyncio.gather(*(self._share(session, ask) for session in self._sessions()))
        parts: list[Any] = []
        covered: set[int] = set()
        for one in found:
            if one is None:
                continue
            head, body = one
            if head.status != 200:
                if 400 <= head.status < 500:
                    return _response(head, body)
                continue
            covered.update(_share_of(head))
            parts.append(msgspec.json.decode(body, type=endpoint.answer))
        if endpoint.fleet is None:
            raise AssertionError(endpoint.path)
        answer = endpoint.fleet(parts, call)
        missing = PARTITIONS - len(covered)
        if missing:
            why = (
                f"{missing} of {PARTITIONS} shares of the machines could not be asked: their bridges do not answer, or "
                "are just being replaced. Ask again in a moment."
            )
            answer = msgspec.structs.replace(answer, incomplete=why)
        return await json_response(call.request, Answer(answer))

    async def _share(self, session: str, ask: Ask) -> tuple[Head, bytes] | None:
        try:
            with contextlib.closing(await self._asked(session, ask)) as answers:
                async with asyncio.timeout(_FLEET_SECONDS):
                    return await answers.head(_FLEET_SECONDS), await answers.rest()
        except (NoAnswerError, TimeoutError) as error:
            _LOG.warning("the bridge %s did not tell of its machines: %s", session, error)
            return None

    def _subject_of(self, name: str) -> str:
        """Return the subject that a running bridge answers on."""
        return f"{self._prefix}.bridge.{name}"

    def _sessions(self) -> Sequence[str]:
        """Return the sessions that own something, or may soon."""
        return sorted(self.membership.live)

    async def _stream_of_all(self, call: Call) -> Response:
        """Join the streams of all bridges; where one ends all do, for the client to come back and be told the whole."""
        ask = msgspec.structs.replace(_ask(call), share=True)
        sources: list[Answers] = []
        head = None
        try:
            for session in self._sessions():
                sources.append(await self._asked(session, ask))  # noqa: PERF401 - those that were asked are closed
            for source in sources:
                head = await source.head(_FLEET_SECONDS)
                if not _is_stream(head) or call.request.method == "HEAD":
                    return _response(head, await source.rest())
            if head is None:
                raise too_busy("No bridge takes part yet.", 2)
            relay = _Relay(sources, head, self._fleet_streams)
            sources = []
        except NoAnswerError as error:
            raise too_busy(str(error), 2) from None
        else:
            return relay
        finally:
            for source in sources:
                source.close()

    def _live_changed(self) -> None:
        if self._asking is not None:
            self._asking.gone({self._subject_of(name_of(session)) for session in self.membership.live})
        for stream in list(self._fleet_streams):
            stream.end()

    async def _gain(self, partition: int) -> None:
        await self._keeper.gain(partition)
        if self._ingesting is not None:
            await self._ingesting.gain(partition)

    async def _give(self, partitions: frozenset[int]) -> None:
        await self._let_go(partitions, flush=True)

    async def _lose(self, partitions: frozenset[int]) -> None:
        await self._let_go(partitions, flush=False)

    async def _let_go(self, partitions: frozenset[int], *, flush: bool) -> None:
        if self._ingesting is not None:
            await self._ingesting.lose(partitions)
        await self._keeper.lose(partitions, flush=flush)


class _Relay(StreamingResponse):
    """Streams of other bridges as one answer, until the client leaves or one of them ends."""

    def __init__(self, sources: Sequence[Answers], head: Head, among: "set[_Relay] | None" = None) -> None:
        headers = {name: value for name, value in head.headers if name.lower() not in {"content-type", SHARE}}
        super().__init__(self._blocks(), head.status, headers, _STREAM)
        self._sources = sources
        self._among = among
        self._ended = asyncio.Event()
        if among is not None:
            among.add(self)

    def end(self) -> None:
        """End the answer."""
        self._ended.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            if self._among is not None:
                self._among.discard(self)
            for source in self._sources:
                source.close()

    async def _blocks(self) -> AsyncIterator[bytes]:
        ended = asyncio.ensure_future(self._ended.wait())
        waiting = {asyncio.ensure_future(source.block()): source for source in self._sources}
        try:
            while True:
                done, _ = await asyncio.wait({ended, *waiting}, return_when=asyncio.FIRST_COMPLETED)
                if ended in done:
                    return
                for task in done:
                    source = waiting.pop(task)  # type: ignore[arg-type]  # ended is not among them
                    try:
                        block = task.result()
                    except NoAnswerError as error:
                        _LOG.info("a stream of another bridge broke off: %s", error)
                        return
                    if block is None:
                        return
                    yield block  # type: ignore[misc]  # bytes, as above
                    waiting[asyncio.ensure_future(source.block())] = source
        finally:
            tasks = [ended, *waiting]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _ask(call: Call, body: bytes = b"") -> Ask:
    request = call.request
    headers = [(name, request.headers[name]) for name in _PASSED_ON if name in request.headers]
    client = request.client.host if request.client else ""
    query: bytes = request.scope.get("query_string", b"")
    return Ask(request.method, request.url.path, query, headers, body, call.token, client=client)


async def _head(answers: Answers, seconds: float) -> Head:
    try:
        return await answers.head(seconds)
    except BaseException:
        answers.close()
        raise


def _is_stream(head: Head) -> bool:
    return any(name.lower() == "content-type" and value.startswith(_STREAM) for name, value in head.headers)


def _response(head: Head, body: bytes) -> Response:
    response = Response(body, head.status)
    for name, value in head.headers:
        if name.lower() != SHARE:
            response.headers[name] = value
    return response


def _share_of(head: Head) -> Iterator[int]:
    value = next((value for name, value in head.headers if name.lower() == SHARE), "0")
    bits = int(value, 16)
    return (number for number in range(PARTITIONS) if bits >> number & 1)


def _with_share(app: ASGIApp, membership: Membership) -> ASGIApp:
    """Return the application with the bridge's share in its answers: what it had from the question to the answer."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        before = membership.held

        async def send_with_share(message: Any) -> None:
            if message["type"] == "http.response.start":
                bits = sum(1 << number for number in before & membership.held)
                message["headers"] = [*message["headers"], (SHARE.encode(), f"{bits:x}".encode())]
            await send(message)

        await app(scope, receive, send_with_share)

    return answer
