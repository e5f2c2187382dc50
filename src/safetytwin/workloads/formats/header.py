"""What the header of a model file says."""

from collections.abc import Mapping
from dataclasses import dataclass, field

MAX_TEXT = 256
"""Longest name or architecture that is kept, in characters."""


UNKNOWN = "unknown"
"""The type of elements whose type is not known; never shown."""


class HeaderError(ValueError):
    """The file is of this format, and something in it is wrong; the text says what."""


@dataclass(frozen=True, slots=True)
class ModelHeader:
    """A model as its header (and the files beside it) describe it; what is not said there is None."""

    format: str
    """gguf, ggml, safetensors, pytorch, onnx, tflite, hdf5, keras, savedmodel or ctranslate2; empty where not known."""
    size: int
    """Bytes of all its files."""
    architecture: str | None = None
    parameters: int | None = None
    quantization: str | None = None
    """Such as Q4_K_M, BF16 or gptq 4-bit."""
    context_length: int | None = None
    """Tokens."""
    name: str | None = None
    kind: str | None = None
    """model, projector, adapter or tokenizer."""
    problem: str | None = None
    """What is wrong with a broken or incomplete one."""
    weak: bool = False
    """True where the format alone does not make it a model: a bare pickle, an HDF5 file without Keras's attributes."""
    files: tuple[str, ...] = ()
    """Paths of its files, where it was read by path; the first is the one that carries the description."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one file says; a model has several where it is split."""

    header: ModelHeader
    number: int = 1
    """Which part, counted from 1."""
    count: int = 1
    elements: Mapping[str, int] = field(default_factory=dict)
    """Number of elements by the format's name of their type."""
    packed: Mapping[str, int] = field(default_factory=dict)
    """Those of elements that hold several quantised parameters each, by type."""
    companions: tuple[str, ...] = ()
    """Names of files in the same folder that hold its weights."""


def text_of(data: bytes) -> str:
    """Return a text of a header, of bounded length; what is not UTF-8 becomes U+FFFD."""
    return data[: MAX_TEXT * 4].decode("utf-8", "replace")[:MAX_TEXT]


def majority(elements: Mapping[str, int]) -> str | None:
    """Return the type that most elements have, None where there are none or it is not known."""
    most = max(elements, key=lambda name: elements[name], default=UNKNOWN)
    return None if most == UNKNOWN else most
