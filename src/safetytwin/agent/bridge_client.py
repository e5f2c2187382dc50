"""Sends frames to a bridge over HTTP and says what became of them."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic, time
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

import msgspec
import zstandard

from safetytwin.http_answer import Answer as HttpAnswer
from safetytwin.http_answer import AnswerReader

if TYPE_CHECKING:
    import ssl

TIMEOUT_SECONDS = 15.0
_MAX_ANSWER = 1024 * 1024
_OPENING, _COMMA, _CLOSING = (zstandard.ZstdCompressor().compress(piece) for piece in (b"[", b",", b"]"))


@dataclass(frozen=True, slots=True)
class Answer:
    """What the bridge said: see docs/protocol.md. status 0: it could not be reached."""

    status: int
    need: str | None = None
    """On 409: full or identity."""
    detail: str = ""
    retry_after: float | None = None
    """Seconds."""


class NoAnswerError(Exception):
    """What came from the bridge's address is no HTTP answer."""


class BridgeUrlError(Exception):
    """The bridge's URL can't be used."""


class BridgeClient:
    """One connection to a bridge, kept open between frames."""

    def __init__(self, url: str, host_id: str, *, token: str | None = None, ca_file: str | None = None) -> None:
        parts = split_url(url)
        self._tls = tls_context(ca_file) if parts.scheme == "https" else None
        self._host, self._port = parts.hostname or "", parts.port or (443 if self._tls else 80)
        self._head = _request_head(parts, host_id, token)
        self._socket: socket.socket | None = None

    def send(self, frames: Sequence[bytes]) -> Answer:
        """Send frames, each the zstd of a JSON object, as one JSON array; never raises for what the network does.

        Frames are compressed one by one because they may wait in the spool; zstd frames one after the other are one
        stream (RFC 8878, section 3), so that they need not be unpacked to be sent.
        """
        body = b"".join((_OPENING, _COMMA.join(frames), _CLOSING))
        request = b"%sContent-Length: %d\r\n\r\n%s" % (self._head, len(body), body)
        kept = self._socket is not None
        try:
            return self._request(request)
        except ConnectionError as error:
            self.close()
            if not kept:
                return Answer(0, detail=f"{type(error).__name__}: {error}")
        except (OSError, NoAnswerError) as error:
            self.close()
            return Answer(0, detail=f"{type(error).__name__}: {error}")
        # A kept connection that the bridge has closed meanwhile: once more on a new one; frames are idempotent.
        try:
            return self._request(request)
        except (OSError, NoAnswerError) as error:
            self.close()
            return Answer(0, detail=f"{type(error).__name__}: {error}")

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _request(self, request: bytes) -> Answer:
        if self._socket is None:
            self._socket = self._connected()
        self._socket.settimeout(TIMEOUT_SECONDS)
        self._socket.sendall(request)
        reader = AnswerReader("the bridge", NoAnswerError, max_body=_MAX_ANSWER)
        deadline = monotonic() + TIMEOUT_SECONDS
        while (answer := reader.answer) is None:
            left = deadline - monotonic()
            if left <= 0:
                raise TimeoutError("the bridge's answer takes too long")
            self._socket.settimeout(left)
            data = self._socket.recv(65536)
            if not data and not reader.begun:
                raise ConnectionResetError("the bridge closed the connection without an answer")
            reader.feed(data)
        if not reader.keeps_connection:
            self.close()
        return _answer(answer)

    def _connected(self) -> socket.socket:
        # A name in bytes is looked up as it is; one in text loads the tables of international names first.
        host: Any = self._host.encode("ascii") if self._host.isascii() else self._host
        connection = socket.create_connection((host, self._port), TIMEOUT_SECONDS)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                return self._tls.wrap_socket(connection, server_hostname=self._host)
        except BaseException:
            connection.close()
            raise
        return connection


def _request_head(parts: SplitResult, host_id: str, token: str | None) -> bytes:
    """Return the request line and the headers that are always the same; raises BridgeUrlError."""
    path = f"{parts.path.rstrip('/')}/api/v1/hosts/{host_id}/frames"
    if not path.isascii() or any(character <= " " or character == "\x7f" for character in path):
        raise BridgeUrlError(f"{parts.path!r} is no path of a bridge; write what is not ASCII as %XX")
    if token is not None and not (token.isascii() and token.isprintable()):
        raise BridgeUrlError("the token holds characters that no token has; is --token-file the right file?")
    host = parts.netloc if parts.netloc.isascii() else parts.netloc.encode("idna").decode("ascii")
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: {host}",
        "Content-Type: application/json",
        "Content-Encoding: zstd",
        *([f"Authorization: Bearer {token}"] if token else []),
    ]
    return "".join(f"{line}\r\n" for line in lines).encode("ascii")


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


def tls_context(ca_file: str | None) -> "ssl.SSLContext":
    """Return how a bridge's certificate is checked: against those in ca_file, else the system's."""
    import ssl  # noqa: PLC0415 - 6 MB that a bridge without TLS does not need

    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise BridgeUrlError(f"{ca_file} holds no certificates: {error}") from error


def _answer(answer: HttpAnswer) -> Answer:
    retry_after = answer.headers.get(b"retry-after", b"").decode("latin-1")
    return answer_of(answer.status, answer.body, retry_after, answer.reason)


def answer_of(status: int, body: bytes, retry_after: str, reason: str = "") -> Answer:
    """Return what a bridge says by a status, a body that may be a problem's, and a Retry-After."""
    try:
        problem = msgspec.json.decode(body) if body else {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        problem = {}
    if not isinstance(problem, dict):
        problem = {}
    need = problem.get("need")
    detail = problem.get("detail") or problem.get("title") or reason
    return Answer(
        status,
        need=need if need in {"full", "identity"} else None,
        detail=str(detail)[:500],
        retry_after=_retry_after(retry_after),
    )


def _retry_after(value: str) -> float | None:
    """Return the seconds of a Retry-After header (RFC 9110, section 10.2.3: a number or a date)."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        from email.utils import parsedate_to_datetime  # noqa: PLC0415 - 2 MB that are seldom needed

        try:
            seconds = parsedate_to_datetime(value).timestamp() - time()
        except ValueError:
            return None
    return min(max(0.0, seconds), 3600.0)
