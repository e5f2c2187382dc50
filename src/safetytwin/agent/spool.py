"""Frames that wait on disk while the bridge is away: capped, checked, the oldest dropped first.

The spool is a directory of segments, `NUMBER-EPOCH.spool`. A segment is a run of records, each a header (magic, length,
CRC-32, seq) and an encoded frame; a torn or damaged tail is skipped and counted. Every segment but the first begins
with a full frame, so that dropping the oldest segment leaves the others of use.
"""

import errno
import os
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

_HEADER = struct.Struct("<4sIIQ")
_MAGIC = b"STF1"
_NAME = re.compile(r"^([0-9]{12})-([0-9a-f]{16,32})\.spool$")
SEGMENT_FRAMES = 60
"""Frames after which a segment is long enough: ten minutes at the usual interval."""
MAX_FRAME_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Waiting:
    """One frame of the spool: its names, and zstd of the JSON of the frame."""

    epoch: str
    seq: int
    data: bytes


@dataclass(slots=True)
class _Segment:
    number: int
    epoch: str
    size: int
    count: int
    done: int = 0
    """Records at its beginning that were let go of; after a restart they are sent once more, which is harmless."""

    @property
    def name(self) -> str:
        return f"{self.number:012d}-{self.epoch}.spool"


class Spool:
    """Keeps frames in a directory, at most max_bytes of them."""

    def __init__(self, directory: str, max_bytes: int) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self.dropped = 0
        """Frames dropped for want of room, since the start."""
        self.damaged = 0
        """Torn or damaged tails that were skipped, since the start."""
        os.makedirs(directory, mode=0o700, exist_ok=True)
        self._segments = sorted(self._found(), key=lambda segment: segment.number)
        self._next_number = self._segments[-1].number + 1 if self._segments else 0
        self._open = False
        """Whether the last segment is still being written; never one of an earlier run, whose tail may be torn."""
        self._beginning_lost = False

    def __len__(self) -> int:
        return sum(segment.count - segment.done for segment in self._segments)

    @property
    def wants_full(self) -> bool:
        """Whether the next frame should be a full one: the segment in hand is long enough, or its beginning is lost."""
        return self._beginning_lost or (self._open and self._segments[-1].count >= SEGMENT_FRAMES)

    def append(self, frame: Waiting, *, full: bool) -> None:
        """Keep a frame; the oldest segments go where there is no room.

        Raises OSError where the disk has none either; what was kept before stays whole.
        """
        if not self._open or self._segments[-1].epoch != frame.epoch or (full and self.wants_full):
            self._segments.append(_Segment(self._next_number, frame.epoch, 0, 0))
            self._next_number += 1
            self._open = True
        record = _HEADER.pack(_MAGIC, len(frame.data), zlib.crc32(frame.data), frame.seq) + frame.data
        while len(self._segments) > 1 and self._size() + len(record) > self._max_bytes:
            self.dropped += self._segments[0].count - self._segments[0].done
            self._remove(self._segments[0])
        segment = self._segments[-1]
        if self._size() + len(record) > self._max_bytes:
            # Without its first frames a segment is of no use: better none than half of it.
            self.dropped += segment.count - segment.done + 1
            self._remove(segment)
            self._beginning_lost = True
            return
        _append_whole(os.path.join(self._directory, segment.name), record, segment.size)
        segment.size += len(record)
        segment.count += 1
        self._beginning_lost = False

    def oldest(self, frames: int, max_bytes: int) -> list[Waiting]:
        """Return the oldest frames, all of one segment, at most frames of them and about max_bytes."""
        while self._segments:
            segment = self._segments[0]
            taken: list[Waiting] = []
            size = 0
            for position, record in enumerate(self._records(segment)):
                if position < segment.done:
                    continue
                taken.append(record)
                size += len(record.data)
                if len(taken) >= frames or size >= max_bytes:
                    break
            if taken:
                return taken
            self._remove(segment)
        return []

    def forget(self, number: int) -> None:
        """Let go of the number oldest frames of the oldest segment: those that oldest() returned."""
        if not self._segments:
            return
        segment = self._segments[0]
        segment.done += number
        if segment.done >= segment.count:
            self._remove(segment)

    def drop_oldest_segment(self) -> None:
        """Drop what the bridge can't use: frames whose predecessor it does not have."""
        if self._segments:
            self.dropped += self._segments[0].count - self._segments[0].done
            self._remove(self._segments[0])

    def _size(self) -> int:
        return sum(segment.size for segment in self._segments)

    def _remove(self, segment: _Segment) -> None:
        if self._segments[-1] is segment:
            self._open = False
        self._segments.remove(segment)
        try:
            os.unlink(os.path.join(self._directory, segment.name))
        except FileNotFoundError:
            pass

    def _found(self) -> Iterator[_Segment]:
        for entry in os.scandir(self._directory):
            match = _NAME.match(entry.name)
            if match is not None:
                segment = _Segment(int(match.group(1)), match.group(2), entry.stat().st_size, 0)
                segment.count = sum(1 for _ in self._records(segment))
                yield segment

    def _records(self, segment: _Segment) -> Iterator[Waiting]:
        try:
            file = open(os.path.join(self._directory, segment.name), "rb")  # noqa: SIM115 - closed by the with below
        except FileNotFoundError:
            return
        with file:
            while header := file.read(_HEADER.size):
                if len(header) == _HEADER.size:
                    magic, length, checksum, seq = _HEADER.unpack(header)
                    data = file.read(length) if magic == _MAGIC and length <= MAX_FRAME_BYTES else b""
                    if magic == _MAGIC and len(data) == length and zlib.crc32(data) == checksum:
                        yield Waiting(segment.epoch, seq, data)
                        continue
                self.damaged += 1
                return


def _append_whole(path: str, record: bytes, size: int) -> None:
    """Append record to a file of size bytes, or leave the file as it is; raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    written = 0
    try:
        written = os.write(descriptor, record)
    finally:
        if written != len(record):
            os.ftruncate(descriptor, size)
        os.close(descriptor)
    if written != len(record):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
