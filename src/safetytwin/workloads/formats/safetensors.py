"""safetensors: a length, JSON that says where each tensor lies, the tensors (huggingface/safetensors, Format)."""

import math
import re

import msgspec

from safetytwin.workloads.formats.header import HeaderError, ModelHeader, Part, majority
from safetytwin.workloads.formats.source import HeaderSource

_MAX_HEADER = 100_000_000
"""The format's own limit, in bytes."""
_READ_HEADER = 8 * 1024 * 1024
"""What is read at most; decoding takes ten times its memory. Fifty thousand tensors take 5 MB."""
_MAX_DIMENSIONS = 8
_MAX_TYPES = 64
_PACKED = (".qweight", ".weight_packed", "_blocks")
"""Endings of tensors with several quantised parameters in each element (GPTQ and AWQ; compressed-tensors; MXFP4)."""
_PACKED_WEIGHTS = frozenset(("U8", "U32"))
"""Types in which bitsandbytes and MLX keep several parameters of a tensor called weight in each element."""
_OF_QUANTIZATION = (
    *(".qzeros", ".scales", ".biases", ".g_idx", ".absmax", ".quant_map", ".nested_absmax", ".nested_quant_map"),
    *(".weight_scale", ".weight_scale_inv", ".weight_scale_2", ".weight_shape", ".weight_zero_point", "_scales"),
    *(".quant_state.bitsandbytes__nf4", ".quant_state.bitsandbytes__fp4"),
)
"""Endings of tensors that say how others are quantised and are no parameters."""


_OWN_KEYS = re.compile(rb'"(data_offsets|dtype|__metadata__)"')
_DTYPE = re.compile(r"[A-Z][A-Z0-9_]{1,15}")


class _Tensor(msgspec.Struct, gc=False):
    dtype: str | None = None
    shape: list[int] | str | None = None
    data_offsets: tuple[int, int] | str | None = None


_DECODER = msgspec.json.Decoder(dict[str, _Tensor])


def matches(start: bytes, size: int) -> bool:
    """Return whether a file of size bytes that begins with start may be safetensors: n, then n bytes of JSON."""
    length = int.from_bytes(start[:8], "little")
    return size > 9 and 2 <= length <= _MAX_HEADER and start[8:9] == b"{" and start[9:10] in {b'"', b"}", b" ", b"\n"}


def parse(source: HeaderSource) -> Part | None:
    """Return what a safetensors file says; None where it is JSON of something else; raises HeaderError."""
    length = int.from_bytes(source.read(0, 8), "little")
    available = source.size - 8
    if length > available or length > _READ_HEADER:
        start = source.peek(8, 65_536)
        if _OWN_KEYS.search(start) is None:
            return None
        if length > available:
            raise HeaderError(f"cut short: a header of {length} bytes in a file of {source.size}")
        raise HeaderError(f"a header of {length} bytes; at most {_READ_HEADER} are read")
    try:
        tensors = _DECODER.decode(source.read(8, length))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError):
        raise HeaderError("its header is not the JSON that safetensors has") from None
    tensors.pop("__metadata__", None)
    return _part(tensors, source, 8 + length)


def _part(tensors: dict[str, _Tensor], source: HeaderSource, data: int) -> Part:
    elements: dict[str, int] = {}
    packed: dict[str, int] = {}
    end = 0
    for name, tensor in tensors.items():
        dtype, shape, offsets = tensor.dtype, tensor.shape, tensor.data_offsets
        if dtype is None or not isinstance(shape, list) or not isinstance(offsets, tuple):
            raise HeaderError("a tensor without type, shape or place")
        if len(shape) > _MAX_DIMENSIONS or min(shape, default=0) < 0 or not 0 <= offsets[0] <= offsets[1]:
            raise HeaderError("a tensor with an impossible shape or place")
        end = max(end, offsets[1])
        if dtype not in elements and (_DTYPE.fullmatch(dtype) is None or len(elements) >= _MAX_TYPES):
            raise HeaderError("a tensor of a type that safetensors does not have")
        if name.endswith(_OF_QUANTIZATION):
            continue
        number = math.prod(shape)
        elements[dtype] = elements.get(dtype, 0) + number
        if name.endswith(_PACKED) or (dtype in _PACKED_WEIGHTS and name.endswith(".weight")):
            packed[dtype] = packed.get(dtype, 0) + number
    expected = data + end
    problem = None
    if source.size < expected:
        problem = f"cut short: {source.size} of {expected} bytes are there"
    elif source.size > expected:
        problem = f"wrong length: {source.size} bytes where its header accounts for {expected}"
    adapter = bool(tensors) and all("lora_" in name or ".dora_" in name for name in tensors)
    header = ModelHeader(
        format="safetensors",
        size=source.size,
        parameters=sum(elements.values()) or None,
        quantization=majority(elements),
        kind="adapter" if adapter else "model",
        problem=problem,
    )
    return Part(header, elements=elements, packed=packed)
