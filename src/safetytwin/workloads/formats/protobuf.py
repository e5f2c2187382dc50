"""Walking a protobuf message without its schema (protobuf.dev, Encoding)."""

from collections.abc import Iterator

from safetytwin.workloads.formats.header import HeaderError
from safetytwin.workloads.formats.source import Cursor

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


def varint(cursor: Cursor) -> int:
    """Return the next variable-length number; raises HeaderError."""
    value = 0
    for shift in range(0, 70, 7):
        byte = cursor.take(1)[0]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF
    raise HeaderError("a number of more than 64 bits")


def fields(cursor: Cursor, end: int) -> Iterator[tuple[int, int, int]]:
    """Give (field number, wire type, value) up to offset end; raises HeaderError.

    The value of BYTES is their length: the cursor then stands at their start, and whoever takes the field may read
    there; the walk goes on behind them.
    """
    while cursor.offset < end:
        tag = varint(cursor)
        number, wire = tag >> 3, tag & 7
        if wire == VARINT:
            yield number, wire, varint(cursor)
        elif wire == BYTES:
            length = varint(cursor)
            after = cursor.offset + length
            if after > end:
                raise HeaderError("cut short: a field runs past the end")
            yield number, wire, length
            cursor.skip(after - cursor.offset)
        elif wire in {FIXED64, FIXED32}:
            cursor.skip(8 if wire == FIXED64 else 4)
            yield number, wire, 0
        else:
            raise HeaderError(f"a field of wire type {wire}, which protobuf does not have")
    if cursor.offset > end:
        raise HeaderError("a field runs past the message that it is in")
