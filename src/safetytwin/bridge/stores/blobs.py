"""What is kept on disk of frames: packed, compressed, and checked before it is believed."""

import hashlib
from typing import Any

import msgspec
import zstandard

_DIGEST = 8
_MAX_BYTES = 1 << 30

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class DamagedBlobError(Exception):
    """A blob is not what was written, or stands where it was not written."""


def sealed(value: Any, place: str, *, level: int = 3, like: bytes | None = None) -> bytes:
    """Return a value as a blob that opens only at its place.

    like is what the value resembles: the blob is much smaller, and can't be opened without it.
    """
    dictionary = None
    if like is not None:
        dictionary = zstandard.ZstdCompressionDict(like, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    compressor = zstandard.ZstdCompressor(level=level, dict_data=dictionary, write_content_size=True)
    packed = compressor.compress(_encode(value))
    return _digest(packed, place) + packed


def opened(blob: bytes, place: str, *, like: bytes | None = None) -> Any:
    """Return the value of a blob; raises DamagedBlobError."""
    digest, packed = blob[:_DIGEST], blob[_DIGEST:]
    if digest != _digest(packed, place):
        raise DamagedBlobError(f"the checksum of {place} is wrong")
    dictionary = None
    if like is not None:
        dictionary = zstandard.ZstdCompressionDict(like, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    try:
        return _decode(zstandard.ZstdDecompressor(dict_data=dictionary).decompress(packed, max_output_size=_MAX_BYTES))
    except (zstandard.ZstdError, msgspec.MsgspecError) as error:
        raise DamagedBlobError(f"{place}: {error}") from error


def _digest(packed: bytes, place: str) -> bytes:
    return hashlib.blake2b(place.encode() + b"\0" + packed, digest_size=_DIGEST).digest()
