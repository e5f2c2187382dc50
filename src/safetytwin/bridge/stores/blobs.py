"""What is kept on disk: packed, compressed, and checked before it is believed."""

import hashlib
import logging
from typing import Any

import msgspec
import zstandard

_LOG = logging.getLogger(__name__)
_DIGEST = 8
_MAX_BYTES = 1 << 30
_MOST_NAMED = 10_000

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class DamagedBlobError(Exception):
    """A blob is not what was written, or stands where it was not written."""


class Damage:
    """What was found damaged, each thing once; may be used by several threads."""

    def __init__(self) -> None:
        self._places: set[str] = set()

    @property
    def count(self) -> int:
        """How much there is of it."""
        return len(self._places)

    def __contains__(self, place: object) -> bool:
        return place in self._places

    def note(self, place: str) -> None:
        """Count something as damaged."""
        if place not in self._places and len(self._places) < _MOST_NAMED:
            self._places.add(place)
            _LOG.error("damaged in the store, and left out: %s", place)


def sealed(value: Any, place: str, *, level: int = 3, like: bytes | None = None) -> bytes:
    """Return a value as a blob that opens only at its place.

    like is what the value resembles: the blob is much smaller, and can't be opened without it.
    """
    dictionary = None
    if like is not None:
        dictionary = zstandard.ZstdCompressionDict(like, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    compressor = zstandard.ZstdCompressor(
        level=level, dict_data=dictionary, write_content_size=True, write_checksum=like is not None
    )
    packed = compressor.compress(_encode(value))
    return _digest(packed, place) + packed


def is_sound(blob: bytes, place: str) -> bool:
    """Say whether a blob is what was written at its place."""
    return blob[:_DIGEST] == _digest(blob[_DIGEST:], place)


def opened(blob: bytes, place: str, *, like: bytes | None = None) -> Any:
    """Return the value of a blob; raises DamagedBlobError."""
    if not is_sound(blob, place):
        raise DamagedBlobError(f"the checksum of {place} is wrong")
    dictionary = None
    if like is not None:
        dictionary = zstandard.ZstdCompressionDict(like, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    try:
        packed = blob[_DIGEST:]
        return _decode(zstandard.ZstdDecompressor(dict_data=dictionary).decompress(packed, max_output_size=_MAX_BYTES))
    except (zstandard.ZstdError, msgspec.MsgspecError) as error:
        raise DamagedBlobError(f"{place}: {error}") from error


def row_sum(*values: Any) -> int:
    """Return the checksum of a row's columns, as SQLite keeps it: a signed number of 64 bits."""
    digest = hashlib.blake2b(repr(values).encode("utf-8", "surrogatepass"), digest_size=_DIGEST).digest()
    return int.from_bytes(digest, "big", signed=True)


def _digest(packed: bytes, place: str) -> bytes:
    return hashlib.blake2b(place.encode() + b"\0" + packed, digest_size=_DIGEST).digest()
