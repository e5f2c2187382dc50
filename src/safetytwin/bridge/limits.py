"""How much a client may ask of the bridge, and bodies read and inflated within that."""

import io
import re
import zlib
from dataclasses import dataclass

import zstandard
from starlette.requests import ClientDisconnect, Request

from safetytwin.bridge.problems import Problem

MIB = 1 << 20
_PIECE = 256 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """What one bridge grants; sizes in bytes, times in seconds."""

    body: int = 16 * MIB
    """Of a request's body as it is sent."""
    inflated: int = 64 * MIB
    """Of a request's body when inflated."""
    values: int = 4_000_000
    """Of JSON values in a body: each costs some 50 bytes of memory, however short it is written."""
    depth: int = 32
    """Of nested arrays and objects in a body."""
    headers: int = 32 * 1024
    """Of a request's line and headers."""
    header_seconds: float = 10.0
    """From the first byte of a request, or the opening of a connection, to the end of its headers."""
    body_seconds: float = 60.0
    """From the end of the headers to the end of the body."""
    keep_alive_seconds: int = 75
    """Between two requests of a connection; several times an agent's usual interval."""
    connections: int = 10_000
    """Open at once; fewer where the process may not open as many files."""
    streams: int = 1_000
    """Open at once, of server-sent events."""
    streams_per_client: int = 50
    """Of one address."""


async def read_body(request: Request, limits: Limits) -> bytes:
    """Return the body as sent; raises Problem 413 as soon as it is longer than it may be, 400 where it breaks off."""
    too_large = Problem(
        413,
        f"The body is larger than {limits.body // MIB} MiB. Send it compressed (Content-Encoding: zstd), or in parts.",
        headers={"Connection": "close"},
    )
    length = request.headers.get("content-length", "")
    if length.isdecimal() and (len(length) > 18 or int(length) > limits.body):
        raise too_large
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > limits.body:
                raise too_large
            chunks.append(chunk)
    except ClientDisconnect:
        raise Problem(400, "The body broke off before its end.") from None
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def inflate(body: bytes, encoding: str, limits: Limits) -> bytes:
    """Return the body without its Content-Encoding, never holding more of it than limits.inflated.

    Raises Problem: 413 where it would be larger, 415 for another encoding, 400 where it is not what it says it is.
    """
    encoding = encoding.strip().lower()
    if encoding in {"", "identity"}:
        return body
    if encoding == "zstd":
        return _inflate_zstd(body, limits)
    if encoding in {"gzip", "x-gzip"}:
        return _inflate_gzip(body, limits)
    raise Problem(
        415,
        f"Content-Encoding {encoding[:40]!r} is not understood. Use zstd, gzip or none.",
        headers={"Accept-Encoding": "zstd, gzip"},
    )


def _inflate_zstd(body: bytes, limits: Limits) -> bytes:
    # The window is bounded too: a frame may ask its reader for gigabytes of it.
    inflater = zstandard.ZstdDecompressor(max_window_size=8 * MIB)
    chunks: list[bytes] = []
    size = 0
    source = io.BytesIO(body)
    try:
        # Read in pieces: 16 KiB of zstd can inflate to 512 MiB, so that input is no measure of output.
        # Several frames may follow each other: that is how agents join what waited in their spool.
        with inflater.stream_reader(source, read_size=_PIECE, read_across_frames=True) as reader:
            while chunk := reader.read(_PIECE):
                size += len(chunk)
                if size > limits.inflated:
                    raise _inflates_too_far(limits)
                chunks.append(chunk)
    except zstandard.ZstdError as error:
        raise Problem(400, f"The body is no zstd frame that can be read here: {error}.") from None
    # A frame that breaks off is found out by the JSON that breaks off with it.
    return b"".join(chunks)


def _inflate_gzip(body: bytes, limits: Limits) -> bytes:
    inflater = zlib.decompressobj(wbits=31)
    try:
        data = inflater.decompress(body, limits.inflated + 1)
    except zlib.error as error:
        raise Problem(400, f"The body is not gzip: {error}.") from None
    if len(data) > limits.inflated:
        raise _inflates_too_far(limits)
    if not inflater.eof or inflater.unused_data:
        raise Problem(400, "The body is not exactly one whole gzip member.")
    return data


def _inflates_too_far(limits: Limits) -> Problem:
    return Problem(413, f"The body inflates to more than {limits.inflated // MIB} MiB. Send less at once.")


_ONLY_STRUCTURE = bytes(c if c == ord('"') else ord("[") if c in b"[{" else ord("]") for c in range(256))
_NOT_STRUCTURE = bytes(c for c in range(256) if c not in b'[]{}"')
_STRINGS = re.compile(rb'"[^"]*"')


def check_count(data: bytes, limits: Limits) -> None:
    """Refuse JSON that holds too many values to be decoded; raises Problem 413."""
    if len(data) > limits.values and data.count(b",") + data.count(b"[") + data.count(b"{") > limits.values:
        raise Problem(413, f"The body holds more than {limits.values} JSON values. Send less at once.")


def check_depth(data: bytes, limits: Limits) -> None:
    """Refuse nested JSON that a recursive reader could choke on; raises Problem 422.

    data is JSON that was decoded, which is what makes counting brackets exact; all the work is done in C.
    """
    # Escaped quotes go, then all but brackets and quotes; empty pairs of quotes are strings without brackets.
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    structure = data.translate(_ONLY_STRUCTURE, _NOT_STRUCTURE).replace(b'""', b"")
    structure = _STRINGS.sub(b"", structure)
    for _ in range(limits.depth):
        if not structure:
            return
        structure = structure.replace(b"[]", b"")
    if structure:
        raise Problem(422, f"The body is nested deeper than {limits.depth} levels.")
