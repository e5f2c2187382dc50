"""Which format a file has, by its first bytes alone; its name has no say."""

from typing import Any

import msgspec

from safetytwin.workloads.formats import gguf, safetensors
from safetytwin.workloads.formats.header import HeaderError, ModelHeader, Part
from safetytwin.workloads.formats.source import HeaderSource

_START = 64
_MAX_JSON = 1024 * 1024


def parse(source: HeaderSource) -> Part | None:
    """Return what a file says of its model, with the problem where it is damaged; None where it is no model."""
    try:
        start = source.peek(0, _START)
    except HeaderError:
        return None
    for name, matches, read in _FORMATS:
        if matches(start, source.size):
            try:
                return read(source)
            except HeaderError as error:
                return Part(ModelHeader(format=name, size=source.size, problem=str(error)))
    return None


def small_json(source: HeaderSource) -> Any:
    """Return the value of a JSON file of at most 1 MiB; None where it is none."""
    if source.size > _MAX_JSON:
        return None
    try:
        return msgspec.json.decode(source.read(0, source.size))
    except (HeaderError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


_FORMATS = (
    ("gguf", lambda start, _: start[:4] == gguf.MAGIC, gguf.parse),
    ("safetensors", safetensors.matches, safetensors.parse),
)
