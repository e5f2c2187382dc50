"""Models in a folder of any shape: directories that the configuration names, LM Studio's models, llama.cpp's cache."""

from collections.abc import Iterator
from dataclasses import replace

from safetytwin.models.workload import AiModel
from safetytwin.workloads.formats import saved_model
from safetytwin.workloads.formats.header import ModelHeader
from safetytwin.workloads.model_files import HeaderReader
from safetytwin.workloads.model_stores_records import DOWNLOADING, broken, format_by_name, record, stem_of_unfinished
from safetytwin.workloads.model_stores_walk import Entry, Walk

_DEPTH = 8
_SKIPPED = frozenset((".git", "node_modules", "__pycache__", "site-packages"))
"""Folders that hold no models of their own; .git has copies of what lies beside it."""


def scan_folder(path: str, store: str, walk: Walk, reader: HeaderReader) -> Iterator[AiModel]:
    """Give the models below path; those of LM Studio are named by their publisher and repository."""
    for folder, entries in walk.below(path, _DEPTH, _SKIPPED):
        name = _repository(folder.removeprefix(path).strip("/")) if store == "lmstudio" else None
        source = None if name is None else "path"
        own = [entry for entry in entries if entry.kind != "link"]
        for file, header in models_in(folder, own, walk, reader):
            yield record(file, header, store, name=name, name_source=source)


def _repository(below: str) -> str | None:
    publisher, _, rest = below.partition("/")
    return f"{publisher}/{rest.partition('/')[0]}" if rest else None


def models_in(folder: str, entries: list[Entry], walk: Walk, reader: HeaderReader) -> Iterator[tuple[str, ModelHeader]]:
    """Give every model among the entries of a folder with its path: a split one once, a broken one with its problem."""
    names = {entry.name for entry in entries}
    if saved_model.DESCRIPTION in names and saved_model.VARIABLES in names:
        header = reader.read(folder)
        if header is not None:
            yield folder, header
    of_others: set[str] = set()
    for entry in entries:
        if entry.kind not in {"file", "link"} or entry.path in of_others:
            continue
        if walk.is_over():
            return
        header = _header(entry, reader)
        if header is None or header.weak:
            continue
        of_others.update(header.files)
        yield (header.files[0] if header.files else entry.path), header


def _header(entry: Entry, reader: HeaderReader) -> ModelHeader | None:
    header = reader.read(entry.path)
    stem = stem_of_unfinished(entry.name)
    if stem is None:
        return header or broken(entry.path)
    if header is None:
        promised = format_by_name(stem)
        return None if promised is None else ModelHeader(promised, 0, problem=DOWNLOADING)
    return replace(header, problem=DOWNLOADING)
