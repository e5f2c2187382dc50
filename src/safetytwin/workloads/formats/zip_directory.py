"""The central directory of a zip, within limits (PKWARE APPNOTE 6.3.9, sections 4.3 and 4.4); nothing is unpacked."""

import struct
from dataclasses import dataclass

from safetytwin.workloads.formats.header import HeaderError
from safetytwin.workloads.formats.source import Cursor, HeaderSource

MAGIC = b"PK\x03\x04"
_MAX_ENTRIES = 65_536
_END, _END_64, _LOCATOR_64, _ENTRY = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07", b"PK\x01\x02"
_MASKED = 0xFFFFFFFF
_STORED = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """A file inside a zip: its size unpacked, whether it lies there as it is, and where its local header is."""

    size: int
    stored: bool
    offset: int


def entries_of(source: HeaderSource) -> dict[str, Entry]:
    """Return the entries by name; raises HeaderError where there is no whole directory."""
    tail_start = max(0, source.size - 65_557)
    tail = source.peek(tail_start, 65_557)
    at = tail.rfind(_END)
    if at < 0 or at + 22 > len(tail):
        raise HeaderError("cut short: its list of contents, at the end, is missing")
    count, size, offset = struct.unpack_from("<HII", tail, at + 10)
    if count == 0xFFFF or _MASKED in {size, offset}:
        count, size, offset = _end_64(source, tail, at)
    if count > _MAX_ENTRIES:
        raise HeaderError(f"claims {count} files inside; at most {_MAX_ENTRIES} are read")
    return _entries(source, count, size, offset)


def _end_64(source: HeaderSource, tail: bytes, at: int) -> tuple[int, int, int]:
    if at < 20 or tail[at - 20 : at - 16] != _LOCATOR_64:
        raise HeaderError("its list of contents is damaged")
    (place,) = struct.unpack_from("<Q", tail, at - 12)
    record = source.read(place, 56)
    if record[:4] != _END_64:
        raise HeaderError("its list of contents is damaged")
    count, size, offset = struct.unpack_from("<QQQ", record, 32)
    return count, size, offset


def _entries(source: HeaderSource, count: int, size: int, offset: int) -> dict[str, Entry]:
    cursor = Cursor(source.within(offset, size))
    found = {}
    for _ in range(count):
        fields = cursor.take(46)
        if fields[:4] != _ENTRY:
            raise HeaderError("its list of contents is damaged")
        method, packed, unpacked = struct.unpack_from("<10xH8xII", fields)
        name_length, extra_length, comment_length = struct.unpack_from("<HHH", fields, 28)
        (local,) = struct.unpack_from("<I", fields, 42)
        name = cursor.take(name_length).decode("utf-8", "replace")
        unpacked, packed, local = _wide(cursor.take(extra_length), unpacked, packed, local)
        cursor.skip(comment_length)
        found[name] = Entry(unpacked, method == _STORED, local)
    return found


def _wide(extra: bytes, unpacked: int, packed: int, local: int) -> tuple[int, int, int]:
    """Return the three numbers with those that do not fit 32 bits taken from the zip64 field (section 4.5.3)."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == 1:
            field = extra[at + 4 : at + 4 + length]
            wide = iter(struct.unpack(f"<{len(field) // 8}Q", field[: len(field) // 8 * 8]))
            unpacked, packed, local = (
                next(wide, value) if value == _MASKED else value for value in (unpacked, packed, local)
            )
            break
        at += 4 + length
    return unpacked, packed, local


def content(source: HeaderSource, entry: Entry) -> HeaderSource | None:
    """Return a source on an entry's content; None where it is compressed; raises HeaderError."""
    if not entry.stored:
        return None
    local = source.read(entry.offset, 30)
    if local[:4] != MAGIC:
        raise HeaderError("a file inside it is not where its list of contents says")
    name_length, extra_length = struct.unpack_from("<HH", local, 26)
    return source.within(entry.offset + 30 + name_length + extra_length, entry.size)
