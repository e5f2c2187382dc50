"""A model of the state from what a header and a store say of it."""

import os
import re

from safetytwin.collectors.host_root import text_of
from safetytwin.models.fields import count
from safetytwin.models.workload import AiModel
from safetytwin.workloads.formats.header import ModelHeader
from safetytwin.workloads.model_files_open import open_model_file

DOWNLOADING = "downloading"
_UNFINISHED = (".incomplete", ".part", ".partial", ".download", ".downloadInProgress", ".crdownload")
"""Endings that downloaders add until a file is whole."""
_FORMATS = {
    ".gguf": "gguf",
    ".ggml": "ggml",
    ".safetensors": "safetensors",
    ".onnx": "onnx",
    ".tflite": "tflite",
    ".keras": "keras",
    ".pt": "pytorch",
    ".pth": "pytorch",
    ".ckpt": "pytorch",
}
_AMBIGUOUS = frozenset((".pt", ".pth", ".ckpt"))
"""Endings that other things have too: paths of Python, templates of Zope."""
_POINTER = b"version https://git-lfs.github.com/spec/"
_GENERIC = re.compile(
    r"(pytorch_|adapter_|consolidated|diffusion_pytorch_)?model(-\d+-of-\d+)?|consolidated[.\d]*|weights|ggml-model.*"
)
"""File names without an ending that say nothing: the folder's name says more."""


def record(
    path: str, header: ModelHeader, store: str, *, name: str | None = None, name_source: str | None = None
) -> AiModel:
    """Return a model at rest; its name is the store's where it has one, else the header's, else that of its file."""
    if name is None:
        name, name_source = (header.name, "header") if header.name else (_name_of(path), "file")
    return AiModel(
        id=shown(path),
        name=shown(name),
        name_source=name_source,
        path=shown(path),
        format=header.format or None,
        architecture=header.architecture,
        parameters=header.parameters,
        quantization=header.quantization,
        context_length=header.context_length,
        size=count(header.size),
        kind=header.kind,
        state="at_rest",
        store=store,
        problem=header.problem,
    )


def shown(path: str) -> str:
    """Return a path or name as the state has it: what is not UTF-8 becomes U+FFFD."""
    return text_of(os.fsencode(path))


def stem_of_unfinished(name: str) -> str | None:
    """Return the name of a file without the ending of a downloader, None where it has none."""
    return next((name.removesuffix(ending) for ending in _UNFINISHED if name.endswith(ending)), None)


def format_by_name(name: str) -> str | None:
    """Return the format that a name promises; what the file is, its content says."""
    return _FORMATS.get(os.path.splitext(name)[1].lower())


def broken(path: str) -> ModelHeader | None:
    """Return what is wrong with a file that holds no model though its name promises one; None where nothing is."""
    ending = os.path.splitext(path)[1].lower()
    if ending not in _FORMATS and ending != ".bin":
        return None
    try:
        descriptor = open_model_file(path)
    except OSError:
        return None
    try:
        size = os.fstat(descriptor).st_size
        start = os.pread(descriptor, 4096, 0)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    problem = _problem(start, size, ending)
    return None if problem is None else ModelHeader(_FORMATS.get(ending, "pytorch"), size, problem=problem)


def _problem(start: bytes, size: int, ending: str) -> str | None:
    if start.startswith(_POINTER):
        return "only a pointer of Git LFS; fetch the file itself with git lfs pull"
    if ending == ".bin":
        return None
    if ending in _AMBIGUOUS:
        if start[:4] == b"PK\x03\x04":
            return "a zip without data.pkl: no checkpoint of PyTorch"
        return "holds only zeros" if size >= 64 and not start.strip(b"\0") else None
    if not start.strip(b"\0"):
        return "empty" if size == 0 else "holds only zeros"
    return f"named {ending}, but its content is something else"


def _name_of(path: str) -> str:
    name = os.path.basename(path)
    name = stem_of_unfinished(name) or name
    stem, ending = os.path.splitext(name)
    if ending.lower() not in {*_FORMATS, ".bin", ".h5"}:
        return name
    stem = re.sub(r"-\d{5}-of-\d{5}$", "", stem)
    return os.path.basename(os.path.dirname(path)) if _GENERIC.fullmatch(stem) else stem
