"""What a model is called: from its path in a store, from a name on a command line, from its file."""

import re
from os.path import basename, dirname

_HUGGING_FACE = re.compile(r"(?:^|/)models--(?P<org>[^/]+?)--(?P<name>[^/]+)(?:/|$)")
_HUB_NAME = re.compile(r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(?::[\w.-]+)?$")
_LM_STUDIO = re.compile(r"/(?:\.lmstudio|lm-studio)/models/(?P<org>[^/]+)/(?P<name>[^/]+)/")
_GENERIC_STEMS = re.compile(
    r"^(?:model|pytorch_model|diffusion_pytorch_model|consolidated|adapter_model|tf_model)(?:[-.]|$)"
)
_BLOB = re.compile(r"^(?:sha256-)?[0-9a-f]{40,64}$")
_SHARD = re.compile(r"-\d{5}-of-\d{5}$")


def name_in_path(path: str) -> str | None:
    """Return the name that a store's path gives a model: Hugging Face's cache, LM Studio's folder; else None."""
    match = _HUGGING_FACE.search(path) or _LM_STUDIO.search(path)
    return f"{match['org']}/{match['name']}" if match is not None else None


def name_of_file(path: str) -> str | None:
    """Return what a file or folder is called, without ending and shard number; None for a blob named by its digest."""
    name = basename(path.rstrip("/"))
    if _BLOB.match(name):
        return None
    stem = re.sub(r"\.(?:gguf|ggml|safetensors|pt|pth|bin|onnx|tflite|h5|keras|llamafile|ckpt)$", "", name)
    stem = _SHARD.sub("", stem)
    if _GENERIC_STEMS.match(stem):
        return basename(dirname(path)) or stem
    return stem or None


def is_hub_name(value: str) -> bool:
    """Tell whether a value has the form ORGANISATION/NAME[:TAG]."""
    return _HUB_NAME.match(value) is not None and not value.endswith((".gguf", ".bin", ".safetensors"))


def same_model(named: str, other: str) -> bool:
    """Tell whether two names mean one model, tags, case and a GGUF suffix aside."""
    return _plain(named) == _plain(other)


def _plain(name: str) -> str:
    return name.partition(":")[0].lower().removesuffix("-gguf")
