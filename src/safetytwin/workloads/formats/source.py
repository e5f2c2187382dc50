"""Reading a header within limits, whatever the file claims: bytes, time, and never past the end."""

import math
import os
import struct
import time
from collections.abc import Callable

from safetytwin.workloads.formats.header import HeaderError

READ_LIMIT = 64 * 1024 * 1024
"""Most bytes that are read of one file; headers with a large vocabulary have about 10 MB."""
_FIRST_CHUNK, _LARGEST_CHUNK = 4 * 1024, 256 * 1024
"""What a cursor reads ahead: little behind a leap, twice as much each time that it goes straight on."""


class HeaderSource:
    """A file of a known size, read in pieces; what is read in all and how long it takes are limited."""

    def __init__(
        self,
        read: Callable[[int, int], bytes],
        size: int,
        *,
        read_limit: int = READ_LIMIT,
        deadline: float = math.inf,
    ) -> None:
        self._pread = read
        self.size = size
        self._left = read_limit
        self._deadline = deadline
        self.gave_up = False
        """Whether time or the disk, not the file, kept it from being read; another time may bring more."""

    @classmethod
    def of_descriptor(cls, descriptor: int, size: int, *, deadline: float) -> "HeaderSource":
        """Return a source on an open regular file of size bytes; deadline is one of time.monotonic()."""
        return cls(lambda offset, length: os.pread(descriptor, length, offset), size, deadline=deadline)

    @classmethod
    def of_bytes(cls, data: bytes, *, read_limit: int = READ_LIMIT) -> "HeaderSource":
        """Return a source on bytes in memory."""
        return cls(lambda offset, length: data[offset : offset + length], len(data), read_limit=read_limit)

    def read(self, offset: int, length: int) -> bytes:
        """Return length bytes from offset; raises HeaderError where they are not there or the limit is reached."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise HeaderError(f"cut short: its header runs past its end at byte {self.size}")
        if length > self._left:
            raise HeaderError("its header is longer than what is read of a file")
        if time.monotonic() > self._deadline:
            self.gave_up = True
            raise HeaderError("its header takes too long to read")
        self._left -= length
        try:
            data = self._pread(offset, length)
        except OSError as error:
            self.gave_up = True
            raise HeaderError(f"can't be read: {error.strerror}") from error
        if len(data) < length:
            raise HeaderError("cut short while it was read")
        return data

    def within(self, start: int, length: int) -> "HeaderSource":
        """Return a source on a part of this one, under its limits; raises HeaderError where it is not all there."""
        if not 0 <= start <= start + length <= self.size:
            raise HeaderError("cut short: a file inside it runs past its end")
        return HeaderSource(lambda offset, size: self.read(start + offset, size), length)

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
        self._ahead = _FIRST_CHUNK
        self.order = order
        """Byte order of numbers, as struct writes it: < or >."""

    @property
    def offset(self) -> int:
        """Where in the file the next byte lies."""
        return self._base + self._at

    def _need(self, length: int) -> None:
        if self._at + length <= len(self._data):
            return
        straight_on = self._at <= len(self._data)
        self._ahead = min(self._ahead * 2, _LARGEST_CHUNK) if straight_on else _FIRST_CHUNK
        self._base += self._at
        self._data = self._data[self._at :]
        self._at = 0
        end = self._base + len(self._data)
        wanted = max(length - len(self._data), min(self._ahead, self._source.size - end))
        self._data += self._source.read(end, wanted)

    def take(self, length: int) -> bytes:
        """Return the next length bytes; raises HeaderError."""
        self._need(length)
        data = self._data[self._at : self._at + length]
        self._at += length
        return data

    def skip(self, length: int) -> None:
        """Go on by length bytes; raises HeaderError where the file ends before."""
        if not 0 <= length <= self._source.size - self.offset:
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
