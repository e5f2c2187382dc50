"""Running a bridge: what it needs is seen to first, then it serves until it is told to end."""

import asyncio
import contextlib
import errno
import functools
import ipaddress
import logging
import resource
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from safetytwin.bridge.app import Bridge, Cluster, Door, application
from safetytwin.bridge.auth import TokenError, TokenStore
from safetytwin.bridge.connections import Counts, GuardedProtocol
from safetytwin.bridge.guard import allowed_names
from safetytwin.bridge.keeper import Keeper, Publish
from safetytwin.bridge.limits import Limits
from safetytwin.bridge.problems import Problem
from safetytwin.bridge.routes import ENDPOINTS
from safetytwin.bridge.routes.live import publish, topic_of
from safetytwin.bridge.routes.page import page_routes
from safetytwin.bridge.stores.base import StoreError
from safetytwin.bridge.streams import Streams
from safetytwin.bridge.twin_keeper import sqlite_keeper
from safetytwin.lock import FileLock, LockedError

_LOG = logging.getLogger(__name__)
_LOCK = "bridge.lock"
_FILES_KEPT_FREE = 128
"""Open files that are not connections: the store, logs, the loop."""
_UNACKNOWLEDGED_MS = 120_000
"""How long a peer may leave what was sent to it unread, before its connection is given up."""


class BridgeError(Exception):
    """The bridge can't start; the text says why and how to mend it."""


Join = Callable[[Path, Publish, Callable[[str], None]], contextlib.AbstractContextManager[Cluster]]
"""Opens a bridge's part in keeping machines: takes its data directory, what is told of each revision, and what is told
of each machine that another bridge has from now on."""


@dataclass(frozen=True, slots=True)
class BridgeOptions:
    """How a bridge is run."""

    data_dir: Path
    keep: Callable[[Path, Publish], contextlib.AbstractContextManager[Keeper]] = sqlite_keeper
    """Opens the part that keeps the twins."""
    join: Join | None = None
    """Instead of it, opens this bridge's part in keeping them together with others."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = 5678
    """0 for any that is free."""
    allow_hosts: tuple[str, ...] = ()
    """More names under which it answers."""
    tls_certificate: Path | None = None
    """PEM, with its chain."""
    tls_key: Path | None = None
    behind_proxy: bool = False
    """A proxy before it does TLS."""
    require_tokens: bool = False
    """Ask for tokens on loopback too."""
    limits: Limits = field(default_factory=Limits)
    on_ready: Callable[[str], None] | None = None
    """Called with the bridge's URL once it answers."""


def run_bridge(options: BridgeOptions) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status: 0, or 1 where it could not start (the log says why)."""
    try:
        with _prepared(options) as (server, listener):
            server.run_with_signals(listener)
    except BridgeError as error:
        _LOG.error("%s", error)
        return 1
    return 0


class BridgeThread:
    """A bridge in a thread of this process: `with BridgeThread(options) as url:`."""

    def __init__(self, options: BridgeOptions) -> None:
        self._options = options
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._server: _Server | None = None
        self._thread = threading.Thread(target=self._run, name="bridge", daemon=True)
        self.url = ""

    def start(self) -> str:
        """Return the URL once it answers; raises BridgeError where it can't start."""
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            self._thread.join()
            raise self._error
        return self.url

    @property
    def running(self) -> bool:
        """Whether it still serves."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Answer what is in flight, flush, end; harmless where it has ended."""
        if self._server is not None:
            self._server.should_exit = True
        self._thread.join()

    def __enter__(self) -> str:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.stop()

    def _run(self) -> None:
        def ready(url: str) -> None:
            self.url = url
            if self._options.on_ready is not None:
                self._options.on_ready(url)
            self._ready.set()

        try:
            with _prepared(replace(self._options, on_ready=ready)) as (self._server, listener):
                self._server.run(sockets=[listener])
        except BaseException as error:
            self._error = error
            if self._ready.is_set():
                _LOG.exception("the bridge ended by an error")
        finally:
            self._ready.set()


class _Server(uvicorn.Server):
    """uvicorn's server that ends streams when it ends, and says when it is ready."""

    def __init__(self, config: uvicorn.Config, bridge: Bridge, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._bridge = bridge
        self._ready = ready
        self._tasks: list[asyncio.Task[None]] = []

    def run_with_signals(self, listener: socket.socket) -> None:
        """Serve until SIGTERM or SIGINT; a second one does not wait for answers in flight."""
        before = {number: signal.signal(number, self._on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            self.run(sockets=[listener])
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: object) -> None:  # noqa: ARG002 - as signal.signal calls it
        self.force_exit = self.should_exit
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone: uvicorn would end the process by the signal once more."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._bridge.cluster is not None:
            await self._bridge.cluster.start(self.config.app)  # type: ignore[arg-type]  # one application
        self._tasks = [asyncio.create_task(task) for task in (self._bridge.keeper.run(), self._follow())]
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._bridge.streams.close()
        await super().shutdown(sockets)
        if self._bridge.cluster is not None:
            await self._bridge.cluster.leave()
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)

    async def _follow(self) -> None:
        """Let the virtual machines follow what the keeper has."""
        keeper = self._bridge.keeper

        def revision(host_id: str) -> int | None:
            try:
                return keeper.row(host_id).revision
            except Problem:
                return None

        async def state(host_id: str) -> tuple[bytes, int]:
            seen = await keeper.state(host_id, None)
            return seen.state, seen.revision

        await self._bridge.vms.run(revision, state)


@contextlib.contextmanager
def _prepared(options: BridgeOptions) -> Iterator[tuple[_Server, socket.socket]]:
    """Give a server that is ready to run and its listening socket; what was opened is closed after it."""
    _check_door(options)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_data_dir(options.data_dir))
        listener = stack.enter_context(contextlib.closing(_listener(options.host, options.port)))
        limits = replace(options.limits, connections=_connections(options.limits.connections))
        open_door = _is_loopback(options.host) and not options.behind_proxy and not options.require_tokens
        streams = Streams(limits.streams, limits.streams_per_client)
        try:
            tell = functools.partial(publish, streams)
            cluster = None
            if options.join is None:
                keeper = stack.enter_context(options.keep(options.data_dir, tell))
            else:
                cluster = stack.enter_context(
                    options.join(options.data_dir, tell, lambda host_id: streams.end(topic_of(host_id)))
                )
                keeper = cluster.keeper
        except StoreError as error:
            raise BridgeError(str(error)) from None
        bridge = Bridge(
            Door(
                allowed_names(options.host, options.allow_hosts),
                None if open_door else _tokens(options.data_dir),
                options.behind_proxy or options.tls_certificate is not None,
            ),
            keeper,
            streams,
            limits,
            cluster=cluster,
        )
        app = application(bridge, ENDPOINTS, page_routes())
        url = _url(options, listener)
        ready = options.on_ready or (lambda _: None)

        def say() -> None:
            _LOG.info("listening on %s", url)
            ready(url)

        yield _Server(_config(app, options, bridge), bridge, say), listener


def _config(app: ASGIApp, options: BridgeOptions, bridge: Bridge) -> uvicorn.Config:
    counts = Counts(
        bridge.limits,
        per_client=not options.behind_proxy,
        refused=lambda why: bridge.metrics.refusals.add(reason=why),
    )
    protocol = type("BridgeProtocol", (GuardedProtocol,), {"counts": counts})
    return uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        loop="auto",
        lifespan="off",
        log_config=None,
        log_level=logging.WARNING,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=bridge.limits.keep_alive_seconds,
        timeout_graceful_shutdown=10,
        ssl_certfile=options.tls_certificate,
        ssl_keyfile=options.tls_key,
    )


def _check_door(options: BridgeOptions) -> None:
    if (options.tls_certificate is None) != (options.tls_key is None):
        raise BridgeError("TLS needs both files: --tls-cert and --tls-key.")
    if options.tls_certificate is not None and options.tls_key is not None:
        try:
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(
                options.tls_certificate, options.tls_key
            )
        except (OSError, ssl.SSLError) as error:
            raise BridgeError(f"The TLS files can't be used ({error}): see --tls-cert and --tls-key.") from None
    if _is_loopback(options.host):
        return
    if options.tls_certificate is None and not options.behind_proxy:
        raise BridgeError(
            f"Listening on {options.host}, others on the network could read everything: it needs TLS "
            "(--tls-cert FILE --tls-key FILE), or a proxy before it that does TLS (--behind-proxy). "
            "On 127.0.0.1 it needs neither."
        )


def _tokens(data_dir: Path) -> TokenStore:
    tokens = TokenStore(data_dir)
    try:
        if not any(token.kind == "person" for token in tokens.list()):
            raise BridgeError(
                "Tokens are needed here and no person has one yet. Make one first: "
                f"safetytwin bridge token create --person --data {data_dir}"
            )
    except TokenError as error:
        raise BridgeError(str(error)) from None
    return tokens


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _data_dir(path: Path) -> FileLock:
    """Make the data directory and hold it, so that no second bridge uses it."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return FileLock(path / _LOCK)
    except LockedError as error:
        raise BridgeError(
            f"Another bridge (process {error.holder}) uses {path}. End it, or choose another directory with --data."
        ) from None
    except OSError as error:
        raise BridgeError(
            f"The data directory {path} can't be used: {error.strerror}. Choose one with --data."
        ) from None


def _listener(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise BridgeError(f"{host!r} is no address to listen on: {error.strerror}.") from None
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted connections have these from the listening one: dead and deaf peers are given up in the end.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if sys.platform == "linux":
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED_MS)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(address)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise BridgeError(
                f"Port {port} of {host} is in use: another bridge may be running. Choose another with --listen."
            ) from None
        raise BridgeError(f"{host}:{port} can't be listened on: {error.strerror}.") from None
    listener.setblocking(False)
    return listener


def _connections(wanted: int) -> int:
    """Return how many connections there may be, having asked for as many open files as this user may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    need = wanted + _FILES_KEPT_FREE
    if soft != resource.RLIM_INFINITY and soft < need:
        soft = need if hard == resource.RLIM_INFINITY else min(need, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return wanted if soft == resource.RLIM_INFINITY else max(16, min(wanted, soft - _FILES_KEPT_FREE))


def _url(options: BridgeOptions, listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    scheme = "https" if options.tls_certificate is not None else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
