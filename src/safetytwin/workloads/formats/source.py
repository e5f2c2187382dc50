"""Reading a header within limits, whatever the file claims: bytes, time, and never past the end."""

import os
import struct
import time
from collections.abc import Callable

from safetytwin.workloads.formats.header import HeaderError

READ_LIMIT = 64 * 1024 * 1024
"""Most bytes that are read of one file; headers with a large vocabulary have about 10 MB."""
TIME_LIMIT = 2.0
"""Seconds that one file may take."""
_CHUNK = 256 * 1024


class HeaderSource:
    """A file of a known size, read in pieces; what is read in all and how long it takes are limited."""

    def __init__(
        self,
        read: Callable[[int, int], bytes],
        size: int,
        *,
        read_limit: int = READ_LIMIT,
        deadline: float | None = None,
    ) -> None:
        self._pread = read
        self.size = size
        self._left = read_limit
        self._deadline = time.monotonic() + TIME_LIMIT if deadline is None else deadline

    @classmethod
    def of_descriptor(cls, descriptor: int, size: int, *, deadline: float | None = None) -> "HeaderSource":
        """Return a source on an open regular file of size bytes."""
        return cls(lambda offset, length: os.pread(descriptor, length, offset), size, deadline=deadline)

    @classmethod
    def of_bytes(cls, data: bytes, *, read_limit: int = READ_LIMIT) -> "HeaderSource":
        """Return a source on bytes in memory."""
        return cls(lambda offset, length: data[offset : offset + length], len(data), read_limit=read_limit)

    def check_time(self) -> None:
        """Raise HeaderError where the time is up; called in loops whose length the file decides."""
        if time.monotonic() > self._deadline:
            raise HeaderError("its header takes too long to read")

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly length bytes from offset; raises HeaderError where they are not there or the limit is reached."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise HeaderError(
                f"cut short: what should lie at byte {min(offset + length, 2**63)} of {self.size} is missing"
            )
        if length > self._left:
            raise HeaderError("its header is longer than what is read of a file")
        self.check_time()
        self._left -= length
        try:
            data = self._pread(offset, length)
        except OSError as error:
            raise HeaderError(f"can't be read: {error.strerror}") from error
        if len(data) < length:
            raise HeaderError("cut short while it was read")
        return data

    def peek(self, offset: int, length: int) -> bytes:
        """Return at most length bytes from offset, fewer at the end of the file; raises HeaderError at a limit."""
        if offset >= self.size:
            return b""
        return self.read(offset, min(length, self.size - offset))


class Cursor:
    """Reads a source from front to back; what is skipped is not read."""

    def __init__(self, source: HeaderSource, offset: int = 0, order: str = "<") -> None:
        self._source = source
        self._base = offset
        self._data = b""
        self._at = 0
        self.order = order
        """Byte order of numbers, as struct writes it: < or >."""

    @property
    def offset(self) -> int:
        """Where in the file the next byte lies."""
        return self._base + self._at

    def _need(self, length: int) -> None:
        if self._at + length <= len(self._data):
            return
        self._base += self._at
        self._data = self._data[self._at :] if self._at < len(self._data) else b""
        self._at = 0
        wanted = max(length - len(self._data), min(_CHUNK, self._source.size - self._base - len(self._data)))
        self._data += self._source.read(self._base + len(self._data), wanted)

    def take(self, length: int) -> bytes:
        """Return the next length bytes; raises HeaderError."""
        self._need(length)
        data = self._data[self._at : self._at + length]
        self._at += length
        return data

    def skip(self, length: int) -> None:
        """Go on by length bytes; raises HeaderError where the file ends before."""
        if length > self._source.size - self.offset:
            raise HeaderError("cut short: its header runs past the end of the file")
        self._at += length

    def number(self, code: str) -> int:
        """Return the next number of a struct code (B, H, I, Q, i, q, …); raises HeaderError."""
        form = self.order + code
        value: int = struct.unpack(form, self.take(struct.calcsize(form)))[0]
        return value

    def numbers(self, code: str, count: int) -> tuple[int, ...]:
        """Return the next count numbers of a struct code; raises HeaderError."""
        form = f"{self.order}{count}{code}"
        return struct.unpack(form, self.take(struct.calcsize(form)))

    def skip_strings(self, count: int, length_code: str) -> None:
        """Go on behind count strings, each behind its length; raises HeaderError."""
        unpack, width = struct.Struct(self.order + length_code).unpack_from, struct.calcsize(length_code)
        if count * width > self._source.size - self.offset:
            raise HeaderError("cut short: an array is longer than the file")
        left = count
        while left:
            self._need(width)
            data, at = self._data, self._at
            last = len(data) - width
            while left and at <= last:
                at += width + unpack(data, at)[0]
                left -= 1
            self._at = at
            if self.offset > self._source.size:
                raise HeaderError("cut short: a string runs past the end of the file")
            self._source.check_time()
