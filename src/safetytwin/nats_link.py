"""One connection to NATS that comes back by itself, for code that is not asynchronous.

It lives on a thread of its own. A connection that is lost ends what waits on it at once; the next one is made with
jitter, at any of the servers that are known, for as long as the link is not closed.
"""

import asyncio
import logging
import random
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError, NoServersError
from nats.js.errors import APIError

from safetytwin.nats_address import NatsAddress

_LOG = logging.getLogger(__name__)
T = TypeVar("T")

_CONNECT_SECONDS = 3
_PING_SECONDS = 5
"""Two pings without an answer: the connection is dead."""
_HEADERS_ROOM = 4096
"""Bytes of a message that are left for its headers."""
EXPECTED_LAST = "Nats-Expected-Last-Subject-Sequence"
"""Header by which JetStream keeps a message only behind that one of its subject; 0: behind none."""
WRONG_LAST = 10071
"""LinkError.code where another message stands there."""
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0


class LinkError(Exception):
    """NATS can't be reached, or did not do what it was asked; the text says why and what to do."""

    def __init__(self, text: str, *, code: int | None = None, unknown: bool = False) -> None:
        super().__init__(text)
        self.code = code
        """JetStream's number of the error (err_code), where it answered with one."""
        self.unknown = unknown
        """It may have been done all the same: no answer came."""


@dataclass(frozen=True, slots=True)
class Message:
    """What came on a subject."""

    subject: str
    data: bytes
    headers: Mapping[str, str]
    reply: str
    """Where an answer is expected, empty where none is."""


@dataclass(slots=True)
class _Wish:
    """A subscription that every connection has."""

    subject: str
    queue: str
    callback: Callable[[Message], None]
    number: int = 0
    """Of the connection that has it now."""
    here: Any = None


class NatsLink:
    """A connection to NATS; what waits may be called by any thread but the link's own."""

    def __init__(self, address: NatsAddress, *, name: str = "safetytwin", inbox: str = "_INBOX") -> None:
        """Begin to connect; nothing is waited for. Answers come on subjects below inbox."""
        self._address = address
        self._inbox = inbox
        self._name = name
        self._servers = list(address.servers)
        self._client: Client | None = None
        self._lost: asyncio.Event = asyncio.Event()
        self._up = threading.Event()
        self._why = f"NATS at {address.text} has not answered yet."
        self._wishes: list[_Wish] = []
        self._told: list[Callable[[bool], None]] = []
        self._number = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="nats", daemon=True)
        self._thread.start()
        self._keeper: asyncio.Task[None] | None = None
        self._loop.call_soon_threadsafe(self._begin)

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self._up.is_set()

    @property
    def why(self) -> str:
        """Why there is no connection."""
        return self._why

    def parts(self, data: bytes) -> list[bytes]:
        """Return data in pieces that the server takes as one message each, at least one; raises LinkError."""
        most = max(1, self._now().max_payload - _HEADERS_ROOM)
        return [data[begin : begin + most] for begin in range(0, len(data), most)] or [b""]

    def wait(self, seconds: float) -> None:
        """Return once there is a connection; raises LinkError where none comes within the seconds."""
        if not self._up.wait(seconds):
            raise LinkError(self._why)

    def when_changed(self, callback: Callable[[bool], None]) -> None:
        """Call back on the link's thread with True after each connection and with False after its loss.

        What hangs on one connection, such as a consumer of JetStream or a watch of a key, is made again then. The
        callback may not block; start() may be called in it.
        """
        self._told.append(callback)

    def request(
        self, subject: str, payload: bytes = b"", *, timeout: float = 5.0, headers: Mapping[str, str] | None = None
    ) -> Message:
        """Return the first answer to a message; raises LinkError."""
        wanted = None if headers is None else dict(headers)
        return self.call(lambda client: _asked(client, subject, payload, wanted, timeout), timeout=timeout + 1)

    def publish(self, subject: str, payload: bytes = b"", *, headers: Mapping[str, str] | None = None) -> None:
        """Send a message; that it went out says nothing of who got it. Raises LinkError."""
        wanted = None if headers is None else dict(headers)
        self.call(lambda client: client.publish(subject, payload, headers=wanted))

    def send(self, subject: str, payload: bytes = b"", *, headers: Mapping[str, str] | None = None) -> None:
        """Send a message some time, or never where there is no connection; may be called on the link's thread too."""
        wanted = None if headers is None else dict(headers)
        self.start(lambda client: client.publish(subject, payload, headers=wanted))

    def subscribe(self, subject: str, callback: Callable[[Message], None], *, queue: str = "") -> Callable[[], None]:
        """Call back for each message on a subject, on every connection from now on; returns what ends it.

        Callbacks run on the link's thread and may not block; an answer is sent with send(message.reply, …). Of those
        with one queue's name each message goes to one. Returns once the server knows, where there is a connection.
        """
        wish = _Wish(subject, queue, callback)

        async def add() -> None:
            self._wishes.append(wish)
            if self._client is not None:
                await self._fulfil(self._client, wish)
                await self._client.flush(_CONNECT_SECONDS)

        async def end() -> None:
            self._wishes.remove(wish)
            if wish.here is not None and wish.number == self._number and self._client is not None:
                await wish.here.unsubscribe()

        self._done(asyncio.run_coroutine_threadsafe(add(), self._loop), 10.0)
        return lambda: self._done(asyncio.run_coroutine_threadsafe(end(), self._loop), 10.0)

    def call(self, make: Callable[[Client], Coroutine[Any, Any, T]], *, timeout: float = 10.0) -> T:
        """Return what a coroutine gives that uses the connection (client.jetstream() is JetStream); raises LinkError.

        It is cancelled when the connection is lost or the seconds are over; then the error's unknown is set.
        """
        return self._done(self.start(make, timeout=timeout), timeout + 5)

    def start(self, make: Callable[[Client], Coroutine[Any, Any, T]], *, timeout: float = 10.0) -> Future[T]:
        """Begin what call() does and return its future (asyncio.wrap_future awaits it elsewhere)."""
        if self._loop.is_closed():
            raise LinkError("The connection to NATS has been closed.")
        return asyncio.run_coroutine_threadsafe(self._guarded(make, timeout), self._loop)

    def close(self) -> None:
        """Send what waits, and end the connection and its thread."""
        if self._loop.is_closed():
            return
        self._done(asyncio.run_coroutine_threadsafe(self._end(), self._loop), 10.0)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10.0)

    def _begin(self) -> None:
        self._keeper = self._loop.create_task(self._keep())

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()

    def _done(self, future: Future[T], seconds: float) -> T:
        if threading.current_thread() is self._thread:
            raise RuntimeError("the link's own thread may not wait for it")
        try:
            return future.result(seconds)
        except TimeoutError as error:
            future.cancel()
            raise LinkError("The thread of the connection to NATS does not answer.", unknown=True) from error

    def _now(self) -> Client:
        client = self._client
        if client is None:
            raise LinkError(self._why)
        return client

    async def _guarded(self, make: Callable[[Client], Coroutine[Any, Any, T]], seconds: float) -> T:
        client, lost = self._now(), self._lost
        work = asyncio.ensure_future(make(client))
        watch = asyncio.ensure_future(lost.wait())
        try:
            await asyncio.wait({work, watch}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
            if watch.done():
                raise LinkError(f"The connection to NATS was lost before the answer came. {self._why}", unknown=True)
            raise LinkError(f"NATS has not answered for {seconds:g} s.", unknown=True)
        except (NatsError, TimeoutError, OSError) as error:
            raise translated(error) from error
        finally:
            watch.cancel()
            work.cancel()
            await asyncio.gather(work, watch, return_exceptions=True)

    async def _keep(self) -> None:
        """Connect, and again whenever the connection is lost."""
        pause = _FIRST_PAUSE
        while True:
            lost = asyncio.Event()
            client = await self._connected(lost)
            if client is not None:
                pause = _FIRST_PAUSE
                await lost.wait()
                self._drop(client)
                await _let_go(client)
            await asyncio.sleep(random.uniform(pause / 2, pause))  # noqa: S311 - jitter, not a secret
            pause = min(_LONGEST_PAUSE, 2 * pause)

    async def _connected(self, lost: asyncio.Event) -> Client | None:
        """Return a connection to one of the servers, None where none lets us in."""
        known = list(self._servers)
        random.shuffle(known)
        for server in known:
            client = Client()
            reasons: list[Exception] = []
            try:
                await self._connect(client, server, lost, reasons)
                if await self._take(client, lost):
                    return client
            except (NatsError, OSError, TimeoutError) as error:
                reason = reasons[-1] if reasons and isinstance(error, NoServersError) else error
                self._why = f"NATS at {server} can't be reached: {_reason(reason)}"
                _LOG.debug("%s", self._why)
            await _let_go(client)
        return None

    async def _connect(self, client: Client, server: str, lost: asyncio.Event, reasons: list[Exception]) -> None:
        async def over() -> None:
            lost.set()

        async def wrong(error: Exception) -> None:
            reasons.append(error)
            del reasons[:-1]
            _LOG.debug("NATS at %s: %s", server, _reason(error))

        address = self._address
        try:
            await asyncio.wait_for(
                client.connect(
                    servers=[f"nats://{server}"],
                    name=self._name,
                    inbox_prefix=self._inbox,
                    allow_reconnect=False,
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0,
                    connect_timeout=_CONNECT_SECONDS,
                    ping_interval=_PING_SECONDS,
                    user=address.user,
                    password=address.password,
                    token=address.token,
                    closed_cb=over,
                    disconnected_cb=over,
                    error_cb=wrong,
                    tls=address.tls,
                    tls_hostname=None if address.tls is None else _host(server),
                    user_credentials=address.credentials_file,
                ),
                2 * _CONNECT_SECONDS,
            )
        except ModuleNotFoundError as error:
            raise NatsError(f"a .creds file needs the package {error.name}; run: pip install {error.name}") from error

    async def _take(self, client: Client, lost: asyncio.Event) -> bool:
        """Make a connection the current one; returns False where it was lost meanwhile."""
        self._number += 1
        for wish in self._wishes:
            await self._fulfil(client, wish)
        await client.flush(_CONNECT_SECONDS)
        if lost.is_set():
            return False
        others = {f"{one.hostname}:{one.port}" for one in client.discovered_servers if one.hostname and one.port}
        self._servers = [*self._address.servers, *sorted(others - set(self._address.servers))]
        self._client, self._lost = client, lost
        self._up.set()
        for callback in self._told:
            callback(True)
        return True

    async def _fulfil(self, client: Client, wish: _Wish) -> None:
        async def got(message: Msg) -> None:
            try:
                wish.callback(_message(message))
            except Exception:
                _LOG.exception("a message on %s could not be worked on", message.subject)

        wish.number = self._number
        wish.here = await client.subscribe(wish.subject, queue=wish.queue, cb=got)

    def _drop(self, client: Client) -> None:
        self._up.clear()
        self._client = None
        reason = client.last_error
        self._why = f"The connection to NATS was lost{'' if reason is None else f': {_reason(reason)}'}."
        for callback in self._told:
            callback(False)

    async def _end(self) -> None:
        self._why = "The connection to NATS has been closed."
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        client, self._client = self._client, None
        self._up.clear()
        if client is not None:
            await _let_go(client)


async def _let_go(client: Client) -> None:
    try:
        await client.close()
    except (NatsError, OSError, TimeoutError) as error:
        _LOG.debug("a connection to NATS ended badly: %s", error)


async def _asked(
    client: Client, subject: str, payload: bytes, headers: dict[str, str] | None, seconds: float
) -> Message:
    return _message(await client.request(subject, payload, seconds, headers=headers))


def _message(message: Msg) -> Message:
    return Message(message.subject, message.data, message.headers or {}, message.reply)


def translated(error: Exception) -> LinkError:
    """Return an error of the client in the link's words."""
    if isinstance(error, APIError):
        return LinkError(f"NATS JetStream refuses: {error.description}.", code=error.err_code)
    if isinstance(error, NoRespondersError):
        return LinkError("Nobody listens on that subject of NATS now: is JetStream on, and the other side running?")
    if isinstance(error, TimeoutError):
        return LinkError("NATS has not answered in time.", unknown=True)
    return LinkError(f"NATS: {_reason(error)}", unknown=True)


def _reason(error: Exception) -> str:
    text = str(error).removeprefix("nats: ").strip("'\" ") or type(error).__name__
    lowered = text.lower()
    if "authorization" in lowered or "authentication" in lowered:
        return f"{text}: the user and password, token or credentials file are not the server's"
    if "permissions" in lowered:
        return f"{text}: the server's configuration does not permit this user that subject"
    return text


def _host(server: str) -> str:
    return server.rpartition(":")[0].strip("[]")
