"""Sends frames to a bridge over HTTP and says what became of them."""

import http.client
import json
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from time import time
from urllib.parse import SplitResult, urlsplit

import zstandard

TIMEOUT_SECONDS = 15.0
_MAX_ANSWER = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """What the bridge said: see docs/protocol.md. status 0: it could not be reached."""

    status: int
    need: str | None = None
    """On 409: full or identity."""
    detail: str = ""
    retry_after: float | None = None
    """Seconds."""


class BridgeUrlError(Exception):
    """The bridge's URL can't be used."""


class BridgeClient:
    """One connection to a bridge, kept open between frames."""

    def __init__(self, url: str, host_id: str, *, token: str | None = None, ca_file: str | None = None) -> None:
        parts = split_url(url)
        self._tls = tls_context(ca_file) if parts.scheme == "https" else None
        self._host, self._port = parts.hostname or "", parts.port or (443 if self._tls else 80)
        self._path = f"{parts.path.rstrip('/')}/api/v1/hosts/{host_id}/frames"
        self._token = token
        self._connection: http.client.HTTPConnection | None = None

    def send(self, frames: Sequence[bytes]) -> Answer:
        """Send frames, each the zstd of a JSON object, as one JSON array; never raises for what the network does.

        Frames are compressed one by one because they may wait in the spool; zstd frames one after the other are one
        stream (RFC 8878, section 3), so that they need not be unpacked to be sent.
        """
        compressor = zstandard.ZstdCompressor(level=1)
        comma = compressor.compress(b",")
        body = compressor.compress(b"[") + comma.join(frames) + compressor.compress(b"]")
        headers = {"Content-Type": "application/json", "Content-Encoding": "zstd"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        kept = self._connection is not None
        try:
            return self._request(body, headers)
        except (http.client.RemoteDisconnected, ConnectionError) as error:
            self.close()
            if not kept:
                return Answer(0, detail=f"{type(error).__name__}: {error}")
        except (OSError, http.client.HTTPException) as error:
            self.close()
            return Answer(0, detail=f"{type(error).__name__}: {error}")
        # A kept connection that the bridge has closed meanwhile: once more on a new one; frames are idempotent.
        try:
            return self._request(body, headers)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            return Answer(0, detail=f"{type(error).__name__}: {error}")

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _request(self, body: bytes, headers: dict[str, str]) -> Answer:
        if self._connection is None:
            self._connection = (
                http.client.HTTPSConnection(self._host, self._port, timeout=TIMEOUT_SECONDS, context=self._tls)
                if self._tls is not None
                else http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT_SECONDS)
            )
            self._connection.connect()
            if isinstance(self._connection.sock, socket.socket):
                self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection.request("POST", self._path, body, headers)
        response = self._connection.getresponse()
        answer = _answer(response, response.read(_MAX_ANSWER))
        if not response.isclosed() or response.will_close:
            self.close()
        return answer


def split_url(url: str) -> SplitResult:
    """Return the parts of a bridge's URL; raises BridgeUrlError where it can't be one."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise BridgeUrlError(f"{url!r} is no bridge; write it as http://127.0.0.1:5678 or https://bridge.example:5678")
    if parts.username or parts.password:
        raise BridgeUrlError("a bridge's URL holds no user or password; use --token-file")
    return parts


def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """Return how a bridge's certificate is checked: against those in ca_file, else the system's."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise BridgeUrlError(f"{ca_file} holds no certificates: {error}") from error


def _answer(response: http.client.HTTPResponse, body: bytes) -> Answer:
    try:
        problem = json.loads(body) if body else {}
    except ValueError:
        problem = {}
    if not isinstance(problem, dict):
        problem = {}
    need = problem.get("need")
    detail = problem.get("detail") or problem.get("title") or response.reason
    return Answer(
        response.status,
        need=need if need in {"full", "identity"} else None,
        detail=str(detail)[:500],
        retry_after=_retry_after(response.getheader("Retry-After")),
    )


def _retry_after(value: str | None) -> float | None:
    """Return the seconds of a Retry-After header (RFC 9110, section 10.2.3: a number or a date)."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time()
        except ValueError:
            return None
    return min(max(0.0, seconds), 3600.0)
