"""Frames and blocks as bytes: zstd with its checksum, so that damage is seen and never shown as a state."""

import threading
from collections.abc import Sequence

import msgspec
import zstandard

from safetytwin.bridge.stores.base import KeptFrame

_LOOSE_LEVEL = 3
_PACKED_LEVEL = 12
"""A block is written once and read seldom: 60 frames that are alike compress far better together."""

_frames = msgspec.msgpack.Decoder(list[KeptFrame])
_encoder = msgspec.msgpack.Encoder()


class DamagedError(Exception):
    """Bytes that are not what was written."""


class Blobs:
    """Packs and unpacks; one for each thread works, for zstd's contexts must not be shared."""

    def __init__(self) -> None:
        self._local = threading.local()

    def pack(self, data: bytes) -> bytes:
        """Return data compressed, with a checksum."""
        return self._compressor("loose", _LOOSE_LEVEL).compress(data)

    def unpack(self, blob: bytes) -> bytes:
        """Return what pack was given; raises DamagedError."""
        decompressor: zstandard.ZstdDecompressor | None = getattr(self._local, "decompressor", None)
        if decompressor is None:
            decompressor = self._local.decompressor = zstandard.ZstdDecompressor()
        try:
            return decompressor.decompress(blob)
        except zstandard.ZstdError as error:
            raise DamagedError(str(error)) from error

    def pack_frames(self, frames: Sequence[KeptFrame]) -> bytes:
        """Return frames as one compressed blob."""
        return self._compressor("packed", _PACKED_LEVEL).compress(_encoder.encode(frames))

    def unpack_frames(self, blob: bytes) -> list[KeptFrame]:
        """Return what pack_frames was given; raises DamagedError."""
        try:
            return _frames.decode(self.unpack(blob))
        except msgspec.MsgspecError as error:
            raise DamagedError(str(error)) from error

    def _compressor(self, name: str, level: int) -> zstandard.ZstdCompressor:
        compressor: zstandard.ZstdCompressor | None = getattr(self._local, name, None)
        if compressor is None:
            compressor = zstandard.ZstdCompressor(level=level, write_checksum=True)
            setattr(self._local, name, compressor)
        return compressor
