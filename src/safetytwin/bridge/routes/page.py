"""The page: files of the package folder web/, and index.html for the addresses that the page makes for itself."""

import hashlib
import mimetypes
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from safetytwin.bridge.page_fields import page_fields

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
}

DEEP_LINKS = ("/", "/hosts", "/hosts/{rest:path}", "/events", "/compare", "/ai")
"""Addresses of the page's own views; each is the one page, which reads the address itself."""


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    media_type: str
    etag: str


def page_routes() -> list[BaseRoute]:
    """Return the routes of the page; they need no token, for there is nothing in them that is not in the package."""
    files = _files(resources.files("safetytwin.bridge") / "web", "")
    files["fields.json"] = _file("fields.json", msgspec.json.encode(page_fields()))
    routes: list[BaseRoute] = [Route(path, _sending(lambda _: files.get("index.html"))) for path in DEEP_LINKS]
    # A look-up in what was read at the start: no path is ever made of what a client sent.
    routes.append(Route("/static/{name:path}", _sending(lambda request: files.get(request.path_params["name"]))))
    routes.append(Route("/favicon.ico", _sending(lambda _: files.get("favicon.svg"))))
    return routes


def _files(folder: Traversable, prefix: str) -> dict[str, _File]:
    found: dict[str, _File] = {}
    if not folder.is_dir():
        return found
    for item in folder.iterdir():
        name = prefix + item.name
        if item.is_dir():
            found |= _files(item, name + "/")
        elif not item.name.endswith((".py", ".pyc")):
            found[name] = _file(item.name, item.read_bytes())
    return found


def _file(name: str, content: bytes) -> _File:
    suffix = "." + name.rpartition(".")[2]
    media_type = _TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    return _File(content, media_type, f'"{hashlib.sha256(content).hexdigest()[:32]}"')


def _sending(find: Callable[[Request], _File | None]) -> Callable[[Request], Response]:
    def send(request: Request) -> Response:
        file = find(request)
        if file is None:
            raise HTTPException(404)
        # no-cache: kept, and asked for anew each time, which costs a 304.
        headers = {"ETag": file.etag, "Cache-Control": "no-cache"}
        if file.etag in [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]:
            return Response(status_code=304, headers=headers)
        return Response(file.content, 200, headers, file.media_type)

    return send
