"""What stands before every route: which names and origins are answered, what every answer says, and the log.

Browsers can be made to send requests to a bridge on loopback by any page that is open in them; a name of the attacker's
that resolves to 127.0.0.1 (DNS rebinding) even lets that page read the answers. So the Host header must be a name of
this bridge, and what changes something must not come from another origin.
"""

import ipaddress
import logging
import re
import time
from collections.abc import Iterable
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from safetytwin.bridge.metrics import BridgeMetrics
from safetytwin.bridge.problems import Problem

_LOG = logging.getLogger(__name__)
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_METHODS = _SAFE_METHODS | {"POST", "PUT", "PATCH", "DELETE"}
_CONTROL = re.compile(r"[^\x21-\x7e]", re.ASCII)
_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?\Z", re.ASCII)

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def allowed_names(listen: str, more: Iterable[str]) -> frozenset[str]:
    """Return the names under which the bridge answers: loopback's, its address and those that were given."""
    names = {"localhost", "127.0.0.1", "::1", *(name.lower().rstrip(".") for name in more)}
    try:
        address = ipaddress.ip_address(listen)
    except ValueError:
        names.add(listen.lower())
    else:
        if not address.is_unspecified:
            names.add(str(address))
    return frozenset(names)


class Guard:
    """The outermost ASGI application."""

    def __init__(self, inside: ASGIApp, names: frozenset[str], metrics: BridgeMetrics) -> None:
        self._inside = inside
        self._names = names
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; whatever goes wrong inside becomes a problem."""
        if scope["type"] != "http":
            await self._inside(scope, receive, send)
            return
        began = time.monotonic()
        status = 0
        size = 0

        async def send_guarded(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            elif message["type"] == "http.response.body":
                size += len(message.get("body", b""))
            await send(message)

        try:
            self._check(scope)
            scope["app"] = self  # makes starlette raise its 404 and 405 instead of answering them as plain text
            await self._inside(scope, receive, send_guarded)
        except Exception as error:
            problem = _problem_of(error)
            if status == 0:
                await problem.response()(scope, receive, send_guarded)
            else:
                raise
        finally:
            self._metrics.requests.add(method=_method(scope), status=str(status))
            self._metrics.response_bytes.add(size)
            if status >= 400:
                self._metrics.refusals.add(reason=str(status))
            self._log(scope, status, size, time.monotonic() - began)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        match = _HOST.match(hosts[0]) if len(hosts) == 1 else None
        name = match[1].strip("[]").lower().rstrip(".") if match else ""
        if name not in self._names:
            raise Problem(
                421,
                "This bridge does not answer under the name in the Host header. If it is a name of this bridge, start "
                "it with: safetytwin bridge --allow-host NAME",
            )
        if scope["method"] in _SAFE_METHODS:
            return
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != hosts[0].lower():
            raise Problem(403, "Requests from pages of another origin are refused.")
        if headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
            raise Problem(403, "Requests from pages of another site are refused.")

    @staticmethod
    def _log(scope: Scope, status: int, size: int, seconds: float) -> None:
        level = logging.WARNING if status >= 500 else logging.INFO if status >= 400 else logging.DEBUG
        if _LOG.isEnabledFor(level):
            client = scope.get("client")
            # The path alone: a query may hold what is no one's business; and nothing that a terminal or a log reader
            # would take for more than text.
            path = _CONTROL.sub("?", scope["path"])[:200]
            address = client[0] if client else "-"
            _LOG.log(
                level, "%s %s %s -> %d, %d bytes, %.1f ms", address, _method(scope), path, status, size, seconds * 1e3
            )


def _method(scope: Scope) -> str:
    method: str = scope["method"]
    return method if method in _METHODS else "other"


def _problem_of(error: Exception) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, HTTPException):
        if error.status_code == 404:
            return Problem(404, "There is nothing at this path. /openapi.json lists what there is.")
        if error.status_code == 405:
            allowed = (error.headers or {}).get("Allow", "")
            return Problem(405, f"This path does not know the method. Allowed: {allowed}.", headers=error.headers)
        return Problem(
            error.status_code, HTTPStatus(error.status_code).description or "Refused.", headers=error.headers
        )
    _LOG.error("a request failed", exc_info=error)
    return Problem(500, "The bridge failed at this request; its log says why.")
