"""HDF5, in which Keras 1 and 2 kept models (HDF5 File Format Specification 3.0, section II.A)."""

from safetytwin.workloads.formats.header import HeaderError, ModelHeader, Part
from safetytwin.workloads.formats.source import HeaderSource

_MAGIC = b"\x89HDF\r\n\x1a\n"
_SEARCHED = 1024 * 1024
_OF_KERAS = (b"keras_version", b"model_weights", b"model_config", b"layer_names")
"""Names of groups and attributes that Keras writes; without one the file may hold any data."""


def matches(start: bytes, size: int) -> bool:
    """Return whether a file that begins with start has the signature."""
    del size
    return start.startswith(_MAGIC)


def parse(source: HeaderSource) -> Part:
    """Return whether it is Keras's and whole; raises HeaderError."""
    start = source.peek(0, _SEARCHED)
    if len(start) < 48:
        raise HeaderError(f"cut short: {source.size} bytes")
    version = start[8]
    # Addresses follow: base, free space or extension, then the end of the file.
    width, addresses = {0: (start[13], 24), 1: (start[13], 28)}.get(version, (start[9], 12))
    if width not in {2, 4, 8}:
        raise HeaderError("its first block is damaged")
    at = addresses + 2 * width
    end = int.from_bytes(start[at : at + width], "little")
    keras = any(name in start for name in _OF_KERAS)
    header = ModelHeader(
        "hdf5",
        source.size,
        kind="model" if keras else None,
        problem=f"cut short: {source.size} of {end} bytes are there" if end > source.size else None,
        weak=not keras,
    )
    return Part(header)
