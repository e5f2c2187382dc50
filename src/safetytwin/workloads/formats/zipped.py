"""Models that are zips: PyTorch checkpoints (torch.save since 1.6), Keras 3 archives, llamafiles."""

import re
from dataclasses import replace

import msgspec

from safetytwin.workloads.formats import gguf, pytorch
from safetytwin.workloads.formats.header import MAX_TEXT, HeaderError, ModelHeader, Part
from safetytwin.workloads.formats.source import HeaderSource
from safetytwin.workloads.formats.zip_directory import MAGIC, Entry, content, entries_of

_LLAMAFILE = b"MZqFpD"
"""How an executable of Cosmopolitan begins, which a llamafile is."""
_KERAS = frozenset(("metadata.json", "config.json", "model.weights.h5"))
_MAX_JSON = 4 * 1024 * 1024
_FIRST_NAME = re.compile(rb"PK\x03\x04.{22}(?P<length>..).{2}(?P<names>.*)", re.DOTALL)


def matches(start: bytes, size: int) -> bool:
    """Return whether a file that begins with start is a zip or an executable that may carry one."""
    del size
    return start.startswith((MAGIC, _LLAMAFILE))


def parse(source: HeaderSource) -> Part | None:
    """Return what a zip says of the model in it; None where it holds none; a damaged one raises HeaderError."""
    start = source.peek(0, 512)
    try:
        entries = entries_of(source)
    except HeaderError as error:
        if source.gave_up:
            raise
        return _damaged(start, source.size, str(error))
    if entries.keys() >= _KERAS:
        return _keras(source, entries)
    root = pytorch.root_of(entries)
    if root is not None:
        return pytorch.parse_zip(source, entries, root)
    if start.startswith(_LLAMAFILE):
        return _llamafile(source, entries)
    return None


def _damaged(start: bytes, size: int, problem: str) -> Part | None:
    """Return what the first name inside tells of a zip whose list of contents is gone."""
    match = _FIRST_NAME.match(start)
    if match is None:
        return None
    name = match["names"][: int.from_bytes(match["length"], "little")]
    if name.endswith(b"/data.pkl"):
        return Part(ModelHeader("pytorch", size, kind="model", problem=problem))
    return None


def _keras(source: HeaderSource, entries: dict[str, Entry]) -> Part:
    config = _json(source, entries["config.json"])
    architecture = config.get("class_name") if isinstance(config, dict) else None
    named = architecture[:MAX_TEXT] if isinstance(architecture, str) else None
    return Part(ModelHeader("keras", source.size, architecture=named, kind="model"))


def _json(source: HeaderSource, entry: Entry) -> object:
    inside = content(source, entry)
    if inside is None or inside.size > _MAX_JSON:
        return None
    try:
        found: object = msgspec.json.decode(inside.read(0, inside.size))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise HeaderError("its config.json is damaged") from None
    return found


def _llamafile(source: HeaderSource, entries: dict[str, Entry]) -> Part | None:
    for name, entry in entries.items():
        if name.endswith(".gguf"):
            inside = content(source, entry)
            if inside is not None and inside.peek(0, 4) == gguf.MAGIC:
                part = gguf.parse(inside)
                return None if part is None else replace(part, header=replace(part.header, size=source.size))
    return None
