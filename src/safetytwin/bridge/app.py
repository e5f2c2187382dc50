"""The application: routes made from the table, tokens checked, answers written."""

import asyncio
import gzip
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec
import zstandard
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, Router
from starlette.types import ASGIApp

from safetytwin.bridge.auth import COOKIE, Token, TokenError, TokenStore
from safetytwin.bridge.guard import Guard
from safetytwin.bridge.keeper import Keeper
from safetytwin.bridge.limits import Limits
from safetytwin.bridge.metrics import BridgeMetrics
from safetytwin.bridge.problems import Problem
from safetytwin.bridge.routes.table import FORWARDED, JSON, Answer, Call, Endpoint, Forwarded
from safetytwin.bridge.streams import Streams
from safetytwin.vm.service import TwinService

_LOG = logging.getLogger(__name__)
_COMPRESS_FROM = 1400
"""Bytes: what fits one packet gains nothing."""
_IN_THREAD_FROM = 256 * 1024
"""Bytes: compressing more would hold up every other request."""


@dataclass(frozen=True, slots=True)
class Door:
    """How one bridge may be reached."""

    names: frozenset[str]
    """Host names under which it answers."""
    tokens: TokenStore | None = None
    """None where no token is needed: on loopback."""
    secure: bool = False
    """Reached by TLS, here or at a proxy before it."""


class Cluster(Protocol):
    """This bridge among the others on the same store."""

    @property
    def keeper(self) -> Keeper:
        """What keeps the twins of the machines that are this bridge's."""

    async def start(self, app: ASGIApp) -> None:
        """Take part: answer other bridges through the application."""

    async def leave(self) -> None:
        """Give everything up in order."""

    async def elsewhere(self, bridge: "Bridge", endpoint: Endpoint, call: Call) -> Response | None:
        """Return the answer of those bridges that a request is for, None where it is for this one alone."""

    async def forwarded(self, call: Call, host_id: str, body: bytes) -> Response | None:
        """Return another bridge's answer to a request with a JSON body of a machine, None where it is this one's."""


@dataclass(slots=True)
class Bridge:
    """What the handlers work with."""

    door: Door
    keeper: Keeper
    streams: Streams
    limits: Limits = field(default_factory=Limits)
    vms: TwinService = field(default_factory=TwinService.from_environment)
    """The virtual machines that follow machines."""
    metrics: BridgeMetrics = field(default_factory=BridgeMetrics)
    cluster: Cluster | None = None
    """The other bridges on the same store."""
    large_bodies: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))
    """Held while a large body is inflated: two at once are all the memory that may take."""

    def authorize(self, request: Request, access: str) -> Token | None:
        """Return whose request it is; raises Problem 401 or 403."""
        if self.door.tokens is None or access == "anyone":
            return None
        token = self.checked(_presented(request))
        if token is None:
            raise Problem(
                401,
                "A token is needed (Authorization: Bearer TOKEN). Make one on the bridge's machine: "
                "safetytwin bridge token create",
                headers={"WWW-Authenticate": 'Bearer realm="safetytwin"'},
            )
        if token.kind == "agent" and access != "agent":
            raise Problem(403, "This is an agent's token: it can only send its own machine. Use a person's token.")
        return token

    def checked(self, presented: str | None) -> Token | None:
        """Return the token that was presented, or None where it is none of this bridge's."""
        if presented is None or self.door.tokens is None:
            return None
        try:
            return self.door.tokens.check(presented)
        except TokenError as error:
            _LOG.error("%s", error)
            raise Problem(500, "The bridge can't read its tokens; its log says why.") from None

    def authorize_host(self, token: Token | None, host_id: str) -> None:
        """See that a token may send this machine, and bind one that is new to it; raises Problem 403."""
        if token is None or token.kind == "person" or self.door.tokens is None:
            return
        bound = token if token.host_id is not None else self.door.tokens.bind(token.id, host_id)
        if bound is None or bound.host_id != host_id:
            raise Problem(
                403, "This token is bound to another machine. Make one for this machine, or leave its host free."
            )


def application(bridge: Bridge, endpoints: Sequence[Endpoint], more: Sequence[BaseRoute] = ()) -> ASGIApp:
    """Return the ASGI application with the routes of the table and more that are no part of the API."""
    paths: dict[str, dict[str, Endpoint]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method] = endpoint
    routes: list[BaseRoute] = [
        Route(path, _answering(bridge, methods), methods=list(methods)) for path, methods in paths.items()
    ]
    return Guard(Router([*routes, *more], redirect_slashes=False), bridge.door.names, bridge.metrics)


def _answering(bridge: Bridge, methods: dict[str, Endpoint]) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        endpoint = methods.get(request.method) or methods["GET"]
        let_in: Forwarded | None = request.scope.get(FORWARDED)
        token = bridge.authorize(request, endpoint.access) if let_in is None else let_in.token
        call = Call(request, endpoint.read_parameters(request), token)
        endpoint.check_media_type(request)
        if bridge.cluster is not None and let_in is None:
            response = await bridge.cluster.elsewhere(bridge, endpoint, call)
            if response is not None:
                return response
        result = await endpoint.handler(bridge, call)
        if isinstance(result, Response):
            return result
        if not isinstance(result, Answer):
            result = Answer(result, status=endpoint.status)
        return await json_response(request, result)

    return answer


async def json_response(request: Request, answer: Answer) -> Response:
    """Return an answer as JSON, compressed where the client understands that and it is worth it."""
    body = answer.body if isinstance(answer.body, bytes) else msgspec.json.encode(answer.body)
    headers = {**answer.headers, "Vary": "Accept-Encoding"}
    if len(body) >= _COMPRESS_FROM and (encoding := _encoding(request.headers.get("accept-encoding", ""))):
        if len(body) >= _IN_THREAD_FROM:
            body = await asyncio.to_thread(_compressed, body, encoding)
        else:
            body = _compressed(body, encoding)
        headers["Content-Encoding"] = encoding
    return Response(body, answer.status, headers, JSON)


def _compressed(body: bytes, encoding: str) -> bytes:
    if encoding == "zstd":
        return zstandard.ZstdCompressor(level=3).compress(body)
    return gzip.compress(body, 5, mtime=0)


def _encoding(accepted: str) -> str | None:
    """Return the best encoding that an Accept-Encoding header allows."""
    allowed: dict[str, bool] = {}
    for part in accepted.lower().split(","):
        name, _, parameters = part.partition(";")
        quality = parameters.replace(" ", "").removeprefix("q=")
        allowed[name.strip()] = quality not in {"0", "0.0", "0.00", "0.000"}
    return next((name for name in ("zstd", "gzip") if allowed.get(name)), None)


def _presented(request: Request) -> str | None:
    """Return the token that came with a request; the header is stronger than the cookie."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return request.cookies.get(COOKIE)
