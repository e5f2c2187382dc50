"""ONNX: a ModelProto (onnx/onnx.proto), walked without reading its weights."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from safetytwin.workloads.formats.header import UNKNOWN, HeaderError, ModelHeader, Part, majority
from safetytwin.workloads.formats.protobuf import BYTES, VARINT, fields, varint
from safetytwin.workloads.formats.source import Cursor, HeaderSource

_MAX_VERSION = 64
_MAX_TENSORS = 1_000_000
_MAX_DIMENSIONS = 8
_MAX_COMPANIONS = 64
_LONGEST_NAME = 256
_NUMBERS = frozenset((1, 5))
"""Fields of ModelProto that are numbers: ir_version and model_version."""
_IR_VERSION, _PRODUCER, _GRAPH, _OPSETS = 1, 2, 7, 8
_MODEL_FIELDS = frozenset((1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26))
_INITIALIZER = 5
_DIMS, _DATA_TYPE, _EXTERNAL = 1, 2, 13
_TYPES: Mapping[int, str] = MappingProxyType(
    {
        # TensorProto.DataType
        1: "F32",
        2: "U8",
        3: "I8",
        4: "U16",
        5: "I16",
        6: "I32",
        7: "I64",
        9: "BOOL",
        10: "F16",
        11: "F64",
        16: "BF16",
        17: "F8_E4M3",
        18: "F8_E4M3",
        19: "F8_E5M2",
        20: "F8_E5M2",
        21: "U4",
        22: "I4",
        23: "F4",
    }
)
_NO_WEIGHTS = frozenset(("I64", "BOOL"))
"""Types of the constants of a graph: shapes, indices, masks."""


@dataclass(slots=True)
class _Weights:
    elements: dict[str, int] = field(default_factory=dict)
    companions: set[str] = field(default_factory=set)


def matches(start: bytes, size: int) -> bool:
    """Return whether a file that begins with start begins as an ONNX model does: with its ir_version."""
    del size
    return start[:1] == b"\x08" and 1 <= int.from_bytes(start[1:2], "little") <= _MAX_VERSION and len(start) > 8


def parse(source: HeaderSource) -> Part | None:
    """Return what an ONNX model says; None where the bytes are another message; raises HeaderError."""
    cursor = Cursor(source)
    seen: set[int] = set()
    weights = _Weights()
    try:
        for number, wire, length in fields(cursor, source.size):
            if number not in _MODEL_FIELDS or (wire == BYTES) == (number in _NUMBERS):
                return None
            if number == _PRODUCER and length > _LONGEST_NAME:
                return None
            seen.add(number)
            if number == _GRAPH:
                _read_graph(cursor, cursor.offset + length, weights)
    except HeaderError:
        # A message of another kind hardly ever has a version and then a short text.
        if source.gave_up or {_IR_VERSION, _PRODUCER} <= seen:
            raise
        return None
    if not {_IR_VERSION, _GRAPH, _OPSETS} <= seen:
        return None
    header = ModelHeader("onnx", source.size, quantization=majority(weights.elements), kind="model")
    return Part(header, elements=weights.elements, companions=tuple(sorted(weights.companions)))


def _read_graph(cursor: Cursor, end: int, weights: _Weights) -> None:
    tensors = 0
    for number, wire, length in fields(cursor, end):
        if number != _INITIALIZER or wire != BYTES:
            continue
        tensors += 1
        if tensors > _MAX_TENSORS:
            raise HeaderError(f"more than {_MAX_TENSORS} tensors")
        _read_tensor(cursor, cursor.offset + length, weights)


def _read_tensor(cursor: Cursor, end: int, weights: _Weights) -> None:
    product, dimensions, name = 1, 0, UNKNOWN
    for number, wire, value in fields(cursor, end):
        if number == _DIMS and wire == VARINT:
            product, dimensions = product * value, dimensions + 1
        elif number == _DIMS and wire == BYTES:
            stop = cursor.offset + value
            while cursor.offset < stop and dimensions <= _MAX_DIMENSIONS:
                product, dimensions = product * varint(cursor), dimensions + 1
        elif number == _DATA_TYPE and wire == VARINT:
            name = _TYPES.get(value, UNKNOWN)
        elif number == _EXTERNAL and wire == BYTES:
            _read_external(cursor, cursor.offset + value, weights)
        if dimensions > _MAX_DIMENSIONS:
            raise HeaderError(f"a tensor of more than {_MAX_DIMENSIONS} dimensions")
    if name not in _NO_WEIGHTS:
        weights.elements[name] = weights.elements.get(name, 0) + product


def _read_external(cursor: Cursor, end: int, weights: _Weights) -> None:
    """Note the file that a tensor's data lies in (StringStringEntryProto, key location)."""
    key = b""
    for number, wire, length in fields(cursor, end):
        if wire != BYTES or length > 255:
            continue
        if number == 1:
            key = cursor.take(length)
        elif number == 2 and key == b"location" and len(weights.companions) < _MAX_COMPANIONS:
            weights.companions.add(cursor.take(length).decode("utf-8", "replace"))
