"""Takes what is wanted out of a D-Bus message's body and steps over the rest.

A GetAll of one systemd service holds 300 properties, of which two dozen are of interest: decoding all of them would
cost ten times as much. Source: D-Bus Specification, "Marshaling (Wire Format)".
"""

import struct
from collections.abc import Collection
from typing import Any

from jeepney.low_level import Endianness, parse_signature

_FIXED_SIZES = {"y": 1, "n": 2, "q": 2, "i": 4, "u": 4, "b": 4, "h": 4, "x": 8, "t": 8, "d": 8}
_ALIGNMENTS = _FIXED_SIZES | {"s": 4, "o": 4, "a": 4, "g": 1, "v": 1, "(": 8, "{": 8}
_MALFORMED = (struct.error, IndexError, KeyError, AssertionError, TypeError, RecursionError, UnicodeDecodeError)


class Body:
    """The body of a message: its bytes, from the body's start on, and their byte order."""

    __slots__ = ("_uint32", "data", "endianness")

    def __init__(self, data: bytes, endianness: Endianness = Endianness.little) -> None:
        self.data = data
        self.endianness = endianness
        self._uint32 = struct.Struct(endianness.struct_code() + "I")

    def properties(self, wanted: Collection[str]) -> dict[str, Any]:
        """Return the wanted entries of a body of type a{sv}, without signatures; ValueError if malformed."""
        try:
            return self._properties(wanted)
        except _MALFORMED as error:
            raise ValueError(f"malformed D-Bus properties: {error!r}") from error

    def rows(self, signature: str) -> list[tuple[Any, ...]]:
        """Return the rows of a body of type a(signature), where signature is of s, o and u; ValueError if malformed."""
        try:
            return self._rows(signature)
        except _MALFORMED as error:
            raise ValueError(f"malformed D-Bus table: {error!r}") from error

    def values(self, signature: str) -> tuple[Any, ...]:
        """Return a body of the given signature, all of it; ValueError if malformed."""
        try:
            value, _ = parse_signature(list(f"({signature})")).parse_data(self.data, 0, self.endianness)
        except _MALFORMED as error:
            raise ValueError(f"malformed D-Bus values: {error!r}") from error
        return tuple(value)

    def _string(self, position: int) -> tuple[str, int]:
        position = (position + 3) & ~3
        begin = position + 4
        end = begin + self._uint32.unpack_from(self.data, position)[0]
        if end >= len(self.data):
            raise IndexError("a string ends beyond the message")
        return self.data[begin:end].decode(), end + 1

    def _array(self, position: int, alignment: int) -> tuple[int, int]:
        """Return where an array's items begin and end."""
        position = (position + 3) & ~3
        length = self._uint32.unpack_from(self.data, position)[0]
        begin = (position + 4 + alignment - 1) & -alignment
        end = begin + length
        if length and end > len(self.data):
            raise IndexError("an array ends beyond the message")
        return begin, end

    def _rows(self, signature: str) -> list[tuple[Any, ...]]:
        rows = []
        position, end = self._array(0, 8)
        while position < end:
            position = (position + 7) & ~7
            row: list[Any] = []
            for kind in signature:
                if kind == "u":
                    position = (position + 3) & ~3
                    row.append(self._uint32.unpack_from(self.data, position)[0])
                    position += 4
                else:
                    text, position = self._string(position)
                    row.append(text)
            rows.append(tuple(row))
        return rows

    def _properties(self, wanted: Collection[str]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        data = self.data
        position, end = self._array(0, 8)
        while position < end:
            name, position = self._string((position + 7) & ~7)
            length = data[position]
            signature = data[position + 1 : position + 1 + length].decode()
            position += length + 2
            if name in wanted:
                found[name], position = self._decoded(signature, position)
            else:
                position = self._after(signature, position)
        return found

    def _decoded(self, signature: str, position: int) -> tuple[Any, int]:
        value, position = parse_signature(list(signature)).parse_data(self.data, position, self.endianness)
        return value, position

    def _after(self, signature: str, position: int) -> int:
        """Return where the value of this type ends that begins at position."""
        kind = signature[0]
        size = _FIXED_SIZES.get(kind)
        if size is not None:
            return ((position + size - 1) & -size) + size
        if kind in "so":
            position = (position + 3) & ~3
            return position + 4 + int(self._uint32.unpack_from(self.data, position)[0]) + 1
        if kind == "a":
            return self._array(position, _ALIGNMENTS[signature[1]])[1]
        return self._decoded(signature, position)[1]
