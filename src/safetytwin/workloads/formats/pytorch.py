"""PyTorch's checkpoints (torch/serialization.py). Nothing is ever unpickled: a pickle can run anything."""

import re
from collections.abc import Mapping
from types import MappingProxyType

from safetytwin.workloads.formats.header import ModelHeader, Part
from safetytwin.workloads.formats.source import HeaderSource
from safetytwin.workloads.formats.zip_directory import Entry, content

_LEGACY = bytes.fromhex("80028a0a6cfc9c46f9206aa850192e")
"""torch.serialization.MAGIC_NUMBER, pickled by protocol 2."""
_PICKLE = re.compile(rb"\x80[\x02-\x05]")
_SEARCHED = 64 * 1024
"""How much of a bare pickle is searched for PyTorch's names."""
_MAX_PICKLE = 16 * 1024 * 1024
_STORAGE = re.compile(rb"ctorch\n(\w{1,16})Storage\n")
_STORAGES: Mapping[bytes, tuple[str, int]] = MappingProxyType(
    {
        b"Double": ("F64", 8),
        b"Float": ("F32", 4),
        b"Half": ("F16", 2),
        b"BFloat16": ("BF16", 2),
        b"Char": ("I8", 1),
        b"Byte": ("U8", 1),
    }
)
_OF_TRAINING = re.compile(rb"optimizer|exp_avg|momentum_buffer")
"""Names in a checkpoint that also holds the state of an optimiser, whose numbers are no parameters."""


def matches_legacy(start: bytes, size: int) -> bool:
    """Return whether a file that begins with start was written by torch.save before 1.6."""
    del size
    return start.startswith(_LEGACY)


def parse_legacy(source: HeaderSource) -> Part:
    """Return the little that can be said without unpickling."""
    return Part(ModelHeader("pytorch", source.size, kind="model"))


def matches_pickle(start: bytes, size: int) -> bool:
    """Return whether a file that begins with start is a pickle of protocols 2 to 5."""
    del size
    return _PICKLE.match(start) is not None


def parse_pickle(source: HeaderSource) -> Part | None:
    """Return a bare pickle that names PyTorch's tensors, as weak evidence; None for any other."""
    if b"torch._utils" not in source.peek(0, _SEARCHED):
        return None
    return Part(ModelHeader("pytorch", source.size, kind="model", weak=True))


def root_of(entries: Mapping[str, Entry]) -> str | None:
    """Return the folder in a zip that torch.save filled, None where there is none."""
    for name in entries:
        root, slash, rest = name.partition("/")
        if slash and rest == "data.pkl" and f"{root}/version" in entries:
            return root
    return None


def parse_zip(source: HeaderSource, entries: Mapping[str, Entry], root: str) -> Part:
    """Return what the sizes of the storages and the one type that they have tell; raises HeaderError."""
    storages = sum(entry.size for name, entry in entries.items() if name.startswith(f"{root}/data/"))
    header = ModelHeader("pytorch", source.size, kind="model")
    pickle = content(source, entries[f"{root}/data.pkl"])
    if pickle is None or pickle.size > _MAX_PICKLE:
        return Part(header)
    text = pickle.read(0, pickle.size)
    kinds = set(_STORAGE.findall(text))
    known = _STORAGES.get(kinds.pop()) if len(kinds) == 1 else None
    if known is None or _OF_TRAINING.search(text):
        return Part(header)
    name, width = known
    return Part(header, elements={name: storages // width})
