"""GGUF, versions 1 to 3 in both byte orders (ggml/docs/gguf.md)."""

from dataclasses import dataclass, field

from safetytwin.workloads.formats.ggml_types import FILE_TYPES, TENSOR_TYPES
from safetytwin.workloads.formats.header import UNKNOWN, HeaderError, ModelHeader, Part, majority, text_of
from safetytwin.workloads.formats.source import Cursor, HeaderSource

MAGIC = b"GGUF"
MAX_KEYS = 65_536
MAX_TENSORS = 1_000_000
MAX_DIMENSIONS = 8
_MAX_KEY = 65_535
_STRING, _ARRAY = 8, 9
_INTEGERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 10: "Q", 11: "q"}
_WIDTHS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_NESTED = 4
"""How deep arrays of arrays may go."""


@dataclass(slots=True)
class _Tensors:
    elements: dict[str, int] = field(default_factory=dict)
    end: int = 0
    """Bytes from the start of the data to the end of the last tensor of a known type."""


def matches(start: bytes, size: int) -> bool:
    """Return whether a file that begins with start is GGUF."""
    del size
    return start.startswith(MAGIC)


def parse(source: HeaderSource) -> Part | None:
    """Return what a GGUF file says; None for one that holds no model (an importance matrix); raises HeaderError."""
    cursor = Cursor(source, 4)
    version = cursor.number("I")
    if version & 0xFFFF == 0:
        cursor.order = ">"
        version = int.from_bytes(version.to_bytes(4, "little"), "big")
    if version not in {1, 2, 3}:
        raise HeaderError(f"GGUF version {version} is not known (1 to 3 are)")
    length = "I" if version == 1 else "Q"
    tensor_count, key_count = cursor.number(length), cursor.number(length)
    if key_count > MAX_KEYS:
        raise HeaderError(f"claims {key_count} keys; at most {MAX_KEYS} are read")
    if tensor_count > MAX_TENSORS:
        raise HeaderError(f"claims {tensor_count} tensors; at most {MAX_TENSORS} are read")
    facts = _facts(cursor, key_count, length)
    if facts.get("general.type") == "imatrix" or facts.get("general.architecture") == "imatrix":
        return None
    tensors = _tensors(cursor, tensor_count, length)
    alignment = facts.get("general.alignment", 32)
    if not isinstance(alignment, int) or not 0 < alignment <= 1 << 20:
        raise HeaderError(f"its alignment of {alignment} is no alignment")
    end = -(-cursor.offset // alignment) * alignment + tensors.end if tensor_count else cursor.offset
    return _part(facts, tensors, source.size, end)


def _facts(cursor: Cursor, count: int, length: str) -> dict[str, int | str]:
    facts: dict[str, int | str] = {}
    for _ in range(count):
        size = cursor.number(length)
        if size > _MAX_KEY:
            raise HeaderError(f"a key of {size} bytes; at most {_MAX_KEY} are allowed")
        key, kind = text_of(cursor.take(size)), cursor.number("I")
        wanted = key.startswith(("general.", "split.", "clip.", "adapter.")) or key.endswith(".context_length")
        if not wanted:
            _skip(cursor, kind, length, _NESTED)
        elif kind == _STRING:
            facts[key] = _string(cursor, length)
        elif kind in _INTEGERS:
            facts[key] = cursor.number(_INTEGERS[kind])
        else:
            _skip(cursor, kind, length, _NESTED)
    return facts


def _string(cursor: Cursor, length: str) -> str:
    size = cursor.number(length)
    kept = min(size, 1024)
    text = text_of(cursor.take(kept))
    cursor.skip(size - kept)
    return text


def _skip(cursor: Cursor, kind: int, length: str, depth: int) -> None:
    if kind in _WIDTHS:
        cursor.skip(_WIDTHS[kind])
    elif kind == _STRING:
        cursor.skip(cursor.number(length))
    elif kind == _ARRAY and depth:
        inner, count = cursor.number("I"), cursor.number(length)
        if inner in _WIDTHS:
            cursor.skip(_WIDTHS[inner] * count)
        elif inner == _STRING:
            cursor.skip_strings(count, length)
        else:
            if count > MAX_KEYS:
                raise HeaderError(f"an array of {count} arrays; at most {MAX_KEYS} are read")
            for _ in range(count):
                _skip(cursor, inner, length, depth - 1)
    else:
        raise HeaderError(f"a value of type {kind}, which GGUF does not have" if depth else "arrays too deep in arrays")


def _tensors(cursor: Cursor, count: int, length: str) -> _Tensors:
    found = _Tensors()
    elements = found.elements
    for _ in range(count):
        size = cursor.number(length)
        if size > _MAX_KEY:
            raise HeaderError(f"a tensor's name of {size} bytes; at most {_MAX_KEY} are read")
        cursor.skip(size)
        dimensions = cursor.number("I")
        if dimensions > MAX_DIMENSIONS:
            raise HeaderError(f"a tensor of {dimensions} dimensions; at most {MAX_DIMENSIONS} are read")
        product = 1
        for extent in cursor.numbers(length, dimensions):
            product *= extent
        kind, offset = cursor.number("I"), cursor.number("Q")
        name, block, width = TENSOR_TYPES.get(kind, (UNKNOWN, 0, 0))
        elements[name] = elements.get(name, 0) + product
        if block:
            found.end = max(found.end, offset + -(-product // block) * width)
    return found


def _part(facts: dict[str, int | str], tensors: _Tensors, size: int, end: int) -> Part:
    def text(key: str) -> str | None:
        value = facts.get(key)
        return value if isinstance(value, str) and value else None

    def whole(key: str) -> int | None:
        value = facts.get(key)
        return value if isinstance(value, int) else None

    architecture = text("general.architecture")
    file_type = FILE_TYPES.get(whole("general.file_type") or 0) if "general.file_type" in facts else None
    number, count = whole("split.no") or 0, whole("split.count") or 1
    total = sum(tensors.elements.values())
    header = ModelHeader(
        format="gguf",
        size=size,
        architecture=architecture,
        parameters=total or None,
        quantization=(file_type or majority(tensors.elements)) if total else None,
        context_length=whole(f"{architecture}.context_length"),
        name=text("general.name"),
        kind=_kind(facts, architecture, holds_weights=bool(total) or count > 1),
        problem=f"cut short: {size} of {end} bytes are there" if end > size else None,
    )
    if not 0 <= number < count <= 99_999:
        raise HeaderError(f"claims to be part {number + 1} of {count}")
    return Part(header, number + 1, count, tensors.elements)


def _kind(facts: dict[str, int | str], architecture: str | None, *, holds_weights: bool) -> str:
    said = facts.get("general.type")
    if said in {"mmproj", "projector"} or architecture == "clip" or any(key.startswith("clip.") for key in facts):
        return "projector"
    if said == "adapter" or any(key.startswith("adapter.") for key in facts):
        return "adapter"
    return "model" if holds_weights else "tokenizer"
