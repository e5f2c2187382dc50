"""The formats of ggml before GGUF (llama.h of llama.cpp b1000, whisper.cpp), and llama.cpp's old adapters."""

import struct
from collections.abc import Mapping
from types import MappingProxyType

from safetytwin.workloads.formats.ggml_types import FILE_TYPES
from safetytwin.workloads.formats.header import HeaderError, ModelHeader, Part
from safetytwin.workloads.formats.source import HeaderSource

_PLAIN, _VERSIONED, _MAPPABLE, _ADAPTER = b"lmgg", b"fmgg", b"tjgg", b"algg"
_RWKV = range(100, 200)
"""Versions that rwkv.cpp writes behind the magic that llama.cpp used with version 1."""
_WHISPER_FILE_TYPES: Mapping[int, str] = MappingProxyType(
    {0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1"}
)


def matches(start: bytes, size: int) -> bool:
    """Return whether a file that begins with start is a model; llama.cpp's sessions (nsgg, qsgg) are none."""
    del size
    return start[:4] in {_PLAIN, _VERSIONED, _MAPPABLE, _ADAPTER}


def parse(source: HeaderSource) -> Part:
    """Return what a file of one of these formats says; raises HeaderError."""
    start = source.peek(0, 64)
    if len(start) < 48:
        raise HeaderError(f"cut short: {source.size} bytes hold no model")
    magic, version = start[:4], int.from_bytes(start[4:8], "little")
    if magic == _ADAPTER:
        return Part(ModelHeader("ggml", source.size, kind="adapter"))
    if magic == _PLAIN:
        return Part(_whisper(start, source.size) or ModelHeader("ggml", source.size, kind="model"))
    if magic == _VERSIONED and version in _RWKV:
        return Part(ModelHeader("ggml", source.size, architecture="rwkv", kind="model"))
    if not 1 <= version <= 3:
        raise HeaderError(f"version {version} is not known (1 to 3 are)")
    file_type = struct.unpack_from("<I", start, 32)[0]
    return Part(
        ModelHeader("ggml", source.size, architecture="llama", quantization=FILE_TYPES.get(file_type), kind="model")
    )


def _whisper(start: bytes, size: int) -> ModelHeader | None:
    audio_context, text_context, mels, file_type = struct.unpack_from("<4x4xI12xI12xII", start)
    if audio_context != 1500 or mels not in {80, 128}:
        return None
    return ModelHeader(
        "ggml",
        size,
        architecture="whisper",
        quantization=_WHISPER_FILE_TYPES.get(file_type % 1000),  # the thousands count versions of quantisation
        context_length=text_context,
        kind="model",
    )
