"""Folders that hold one model: which file describes it, and TensorFlow's SavedModel."""

import itertools
import os
import re

from safetytwin.workloads.formats import saved_model
from safetytwin.workloads.formats.header import ModelHeader

_DESCRIBING = tuple(
    map(
        re.compile,
        (
            r"saved_model\.pb",
            r"model\.safetensors",
            r"model-0*1-of-\d+\.safetensors",
            r"adapter_model\.safetensors",
            r"pytorch_model\.bin",
            r"pytorch_model-0*1-of-\d+\.bin",
            r"model\.bin",
            r".+\.safetensors",
            r"(?!mmproj).+\.gguf",
            r".+\.gguf",
            r".+\.onnx",
        ),
    )
)
"""Names in the order in which a loader prefers them; what the file is, its content says."""
_MAX_ENTRIES = 4096


def main_file(descriptor: int) -> str | None:
    """Return the name of the file in an open folder that describes its model, None where there is none."""
    try:
        with os.scandir(descriptor) as entries:
            names = sorted(entry.name for entry in itertools.islice(entries, _MAX_ENTRIES))
    except OSError:
        return None
    return next((name for pattern in _DESCRIBING for name in names if pattern.fullmatch(name)), None)


def saved_model_header(path: str, problem: str | None) -> ModelHeader:
    """Return what is to be said of a folder with a saved_model.pb, whose own problem is given."""
    files = [os.path.join(path, saved_model.DESCRIPTION)]
    variables = os.path.join(path, saved_model.VARIABLES)
    try:
        with os.scandir(variables) as entries:
            names = sorted(
                entry.name for entry in itertools.islice(entries, _MAX_ENTRIES) if entry.is_file(follow_symlinks=False)
            )
    except OSError:
        names = []  # a frozen graph has no variables
    files += [os.path.join(variables, name) for name in names]
    if names and saved_model.INDEX not in names:
        problem = problem or f"parts are missing: {saved_model.VARIABLES}/{saved_model.INDEX}"
    return ModelHeader(
        "savedmodel",
        sum(_size(file) for file in files),
        name=os.path.basename(os.path.abspath(path)),
        kind="model",
        problem=problem,
        files=tuple(files),
    )


def _size(path: str) -> int:
    try:
        return os.lstat(path).st_size
    except OSError:
        return 0  # gone since it was listed
