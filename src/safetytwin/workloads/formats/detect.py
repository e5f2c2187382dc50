"""Which format a file has, by its first bytes alone; its name has no say."""

from collections.abc import Callable
from typing import Any

import msgspec

from safetytwin.workloads.formats import (
    ctranslate2,
    ggml,
    gguf,
    hdf5,
    onnx,
    pytorch,
    safetensors,
    tflite,
    zipped,
)
from safetytwin.workloads.formats.header import HeaderError, ModelHeader, Part
from safetytwin.workloads.formats.source import HeaderSource

_START = 64
_MAX_JSON = 1024 * 1024
_MAX_INDEX = 16 * 1024 * 1024


class _Index(msgspec.Struct):
    weight_map: dict[str, str]


_INDEX = msgspec.json.Decoder(_Index)


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


def shards(source: HeaderSource) -> tuple[str, ...]:
    """Return the names of the files that an index such as model.safetensors.index.json lists; () where it is none."""
    if source.size > _MAX_INDEX:
        return ()
    try:
        weight_map = _INDEX.decode(source.read(0, source.size)).weight_map
    except (HeaderError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ()
    return tuple(sorted(set(weight_map.values())))


_FORMATS: tuple[tuple[str, Callable[[bytes, int], bool], Callable[[HeaderSource], Part | None]], ...] = (
    ("gguf", gguf.matches, gguf.parse),
    ("safetensors", safetensors.matches, safetensors.parse),
    ("ggml", ggml.matches, ggml.parse),
    ("pytorch", zipped.matches, zipped.parse),
    ("pytorch", pytorch.matches_legacy, pytorch.parse_legacy),
    ("pytorch", pytorch.matches_pickle, pytorch.parse_pickle),
    ("hdf5", hdf5.matches, hdf5.parse),
    ("tflite", tflite.matches, tflite.parse),
    ("ctranslate2", ctranslate2.matches, ctranslate2.parse),
    ("onnx", onnx.matches, onnx.parse),
)
