"""CTranslate2's model.bin (OpenNMT/CTranslate2, python/ctranslate2/specs/model_spec.py, _serialize)."""

import re

from safetytwin.workloads.formats.header import HeaderError, ModelHeader, Part, majority
from safetytwin.workloads.formats.source import Cursor, HeaderSource

_START = re.compile(rb"(?s)[\x02-\x1f]\x00\x00\x00.\x00(?P<spec>[A-Za-z0-9]{1,60}Spec)\x00")
_TYPES = ("F32", "I8", "I16", "I32", "F16", "BF16")
_WIDTHS = (4, 1, 2, 4, 2, 2)
_FIRST_WITH_TYPES = 4
_MAX_VARIABLES = 1_000_000
_MAX_RANK = 8


def matches(start: bytes, size: int) -> bool:
    """Return whether a file begins with a version and the name of a specification, such as WhisperSpec."""
    del size
    return _START.match(start) is not None


def parse(source: HeaderSource) -> Part:
    """Return the specification's name and what its variables add up to; raises HeaderError."""
    cursor = Cursor(source)
    version = cursor.number("I")
    spec = cursor.take(cursor.number("H")).rstrip(b"\0").decode("ascii", "replace")
    cursor.number("I")
    count = cursor.number("I")
    if count > _MAX_VARIABLES:
        raise HeaderError(f"claims {count} variables; at most {_MAX_VARIABLES} are read")
    elements: dict[str, int] = {}
    if version >= _FIRST_WITH_TYPES:
        for _ in range(count):
            _read_variable(cursor, elements)
    header = ModelHeader("ctranslate2", source.size, architecture=spec, quantization=majority(elements), kind="model")
    return Part(header, elements=elements)


def _read_variable(cursor: Cursor, elements: dict[str, int]) -> None:
    cursor.skip(cursor.number("H"))
    rank = cursor.number("B")
    if rank > _MAX_RANK:
        raise HeaderError(f"a variable of {rank} dimensions; at most {_MAX_RANK} are read")
    product = 1
    for extent in cursor.numbers("I", rank):
        product *= extent
    kind, size = cursor.number("B"), cursor.number("I")
    if kind >= len(_TYPES) or size != (product * _WIDTHS[kind]) & 0xFFFFFFFF:
        raise HeaderError("a variable whose length does not fit its shape")
    cursor.skip(product * _WIDTHS[kind])
    if rank:
        elements[_TYPES[kind]] = elements.get(_TYPES[kind], 0) + product
