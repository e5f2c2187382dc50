"""TensorFlow Lite: a FlatBuffer with the identifier TFL3 (tensorflow/compiler/mlir/lite/schema/schema.fbs)."""

from safetytwin.workloads.formats.header import HeaderError, ModelHeader, Part
from safetytwin.workloads.formats.source import HeaderSource


def matches(start: bytes, size: int) -> bool:
    """Return whether a file that begins with start carries the identifier."""
    del size
    return start[4:8] == b"TFL3"


def parse(source: HeaderSource) -> Part:
    """Return the format and size; raises HeaderError where its root lies outside of it."""
    root = int.from_bytes(source.peek(0, 4), "little")
    if not 8 <= root <= source.size - 4:
        raise HeaderError("cut short: its root table is missing")
    table = int.from_bytes(source.read(root, 4), "little", signed=True)
    if not 0 <= root - table <= source.size - 4:
        raise HeaderError("its root table is damaged")
    return Part(ModelHeader("tflite", source.size, kind="model"))
