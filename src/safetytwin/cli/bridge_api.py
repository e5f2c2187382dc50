"""Asks a bridge, for the commands that show what it knows."""

import argparse
import http.client
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec

from safetytwin.agent.bridge_client import BridgeUrlError, split_url, tls_context
from safetytwin.cli.errors import UserError
from safetytwin.models.printable import printable

DEFAULT_URL = "http://127.0.0.1:5678"
_TIMEOUT_SECONDS = 30.0
_SILENCE_SECONDS = 60.0
"""A stream that says nothing for this long is dead: the bridge gives a sign of life every 15 seconds."""
_LARGEST_ANSWER = 512 << 20
_LONGEST_LINE = 64 << 20

T = TypeVar("T")


class BridgeAwayError(UserError):
    """The bridge can't be reached, or has gone in the middle of an answer."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A good answer of the bridge."""

    body: bytes
    headers: http.client.HTTPMessage


def add_bridge_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which bridge is asked, and as whom."""
    group = parser.add_argument_group("which bridge")
    group.add_argument(
        "--bridge",
        metavar="URL",
        default=os.environ.get("SAFETYTWIN_BRIDGE") or DEFAULT_URL,
        help=f"the bridge to ask; default: $SAFETYTWIN_BRIDGE, else {DEFAULT_URL}",
    )
    group.add_argument(
        "--token-file",
        metavar="FILE",
        default=os.environ.get("SAFETYTWIN_TOKEN_FILE"),
        help="file with a person's token; default: $SAFETYTWIN_TOKEN_FILE",
    )
    group.add_argument(
        "--ca-file",
        metavar="FILE",
        default=os.environ.get("SAFETYTWIN_CA_FILE"),
        help="certificates that the bridge's TLS is checked against; default: $SAFETYTWIN_CA_FILE, else the system's",
    )


class BridgeApi:
    """One bridge that is asked; each question has a connection of its own."""

    def __init__(self, url: str, *, token_file: str | None = None, ca_file: str | None = None) -> None:
        """Raise UserError where the URL or a file can't be used."""
        try:
            parts = split_url(url)
            self._tls = tls_context(ca_file) if parts.scheme == "https" else None
        except BridgeUrlError as error:
            raise UserError(str(error)) from error
        self.url = url
        self._address = parts.hostname or "", parts.port or (443 if self._tls else 80)
        self._prefix = parts.path.rstrip("/")
        self._token = None if token_file is None else _token(token_file)

    @classmethod
    def of(cls, options: argparse.Namespace) -> "BridgeApi":
        """Return the bridge that the options name; raises UserError."""
        return cls(options.bridge, token_file=options.token_file, ca_file=options.ca_file)

    def get(self, path: str, parameters: Mapping[str, str | None] | None = None) -> Reply:
        """Return the answer to GET path; parameters that are None are left out.

        Raises BridgeAwayError, and UserError with the bridge's own words where it refuses.
        """
        connection, response = self._open(path, parameters or {}, _TIMEOUT_SECONDS)
        try:
            body = response.read(_LARGEST_ANSWER)
        except (OSError, http.client.HTTPException) as error:
            raise self._broken(error) from error
        finally:
            connection.close()
        if response.length:  # of the bytes that were promised
            raise BridgeAwayError(f"{self.url} broke off in the middle of its answer, after {len(body)} bytes")
        return Reply(body, response.headers)

    def get_as(self, kind: type[T], path: str, parameters: Mapping[str, str | None] | None = None) -> T:
        """Return the answer to GET path as a record; raises UserError."""
        return self.decoded(self.get(path, parameters).body, kind)

    def decoded(self, body: bytes, kind: type[T]) -> T:
        """Return a JSON body as a record; raises UserError where it is none."""
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise UserError(
                f"{self.url} answered something else than was asked for ({error}): "
                "it is no bridge, or one of another version"
            ) from error

    def stream(self, path: str) -> Iterator[tuple[str, bytes]]:
        """Yield the server-sent events of a path, name and data, until the bridge ends them.

        First comes "open" without data: nothing that happens from then on is missed. Raises BridgeAwayError, UserError.
        """
        connection, response = self._open(path, {}, _SILENCE_SECONDS)
        try:
            yield "open", b""
            name = ""
            while line := response.readline(_LONGEST_LINE):
                if line == b"\n":
                    name = ""
                elif line.startswith(b"event: "):
                    name = line[7:].strip().decode("utf-8", "replace")
                elif line.startswith(b"data: ") and name:
                    yield name, line[6:]
        except (OSError, http.client.HTTPException) as error:
            raise self._broken(error) from error
        finally:
            connection.close()

    def _open(
        self, path: str, parameters: Mapping[str, str | None], timeout: float
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        given = {name: value for name, value in parameters.items() if value is not None}
        target = f"{self._prefix}{path}" + (f"?{urlencode(given)}" if given else "")
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        host, port = self._address
        connection = (
            http.client.HTTPSConnection(host, port, timeout=timeout, context=self._tls)
            if self._tls is not None
            else http.client.HTTPConnection(host, port, timeout=timeout)
        )
        try:
            connection.request("GET", target, headers=headers)
            response = connection.getresponse()
            if response.status == 200:
                return connection, response
            refusal = self._refusal(response.status, response.read(1 << 20))
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise self._broken(error) from error
        connection.close()
        raise UserError(refusal)

    def _broken(self, error: Exception) -> BridgeAwayError:
        if isinstance(error, ConnectionRefusedError):
            return BridgeAwayError(
                f"no bridge answers at {self.url}. Start one with `safetytwin up` (with an agent) or "
                "`safetytwin bridge`, or name another with --bridge URL"
            )
        return BridgeAwayError(f"{self.url} can't be reached: {str(error) or type(error).__name__}")

    def _refusal(self, status: int, body: bytes) -> str:
        try:
            problem: Any = json.loads(body)
            detail = problem.get("detail") if isinstance(problem, dict) else None
        except (ValueError, RecursionError):
            detail = None
        if status == 401 and self._token is None:
            return (
                f"{self.url} asks for a token. Have one made there (safetytwin bridge token create --person), "
                "and name its file with --token-file"
            )
        if status == 401:
            return f"{self.url} does not know the token: it was revoked, or is another bridge's"
        if not isinstance(detail, str):
            return f"{self.url} answered {status} and no more: it is no bridge, or something before it refuses"
        return printable(detail[:1000])


def _token(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            token = file.read(4096).strip()
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}") from error
    except UnicodeDecodeError:
        token = ""
    if not token or not token.isprintable() or " " in token:
        raise UserError(f"{path} holds no token: it should hold one line that begins with st_")
    return token
