"""The cache of Hugging Face's hub (huggingface_hub, "Manage your cache"): models--ORG--NAME/{blobs,refs,snapshots}."""

import os
from collections.abc import Iterator

from safetytwin.models.workload import AiModel
from safetytwin.workloads.formats.header import ModelHeader
from safetytwin.workloads.model_files import HeaderReader
from safetytwin.workloads.model_stores_folder import models_in
from safetytwin.workloads.model_stores_records import DOWNLOADING, record
from safetytwin.workloads.model_stores_walk import Walk

PREFIX = "models--"
_DEPTH = 4
_UNFINISHED = ".incomplete"


def scan_huggingface(path: str, walk: Walk, reader: HeaderReader) -> Iterator[AiModel]:
    """Give the models of a cache: each blob once, in the revision that a ref names rather than in another."""
    for entry in walk.entries(path):
        if entry.kind == "folder" and entry.name.startswith(PREFIX):
            yield from _scan_repository(entry.path, entry.name.removeprefix(PREFIX).replace("--", "/", 1), walk, reader)


def _scan_repository(path: str, name: str, walk: Walk, reader: HeaderReader) -> Iterator[AiModel]:
    for entry in walk.entries(os.path.join(path, "blobs")):
        if entry.kind == "file" and entry.name.endswith(_UNFINISHED):
            header = reader.read(entry.path)
            unfinished = ModelHeader(header.format if header else "", _size(entry.path), problem=DOWNLOADING)
            yield record(entry.path, unfinished, "huggingface", name=name, name_source="path")
    referred = _referred(os.path.join(path, "refs"), walk)
    revisions = [entry for entry in walk.entries(os.path.join(path, "snapshots")) if entry.kind == "folder"]
    seen: set[tuple[int, int]] = set()
    for revision in sorted(revisions, key=lambda entry: entry.name not in referred):
        for folder, entries in walk.below(revision.path, _DEPTH):
            for file, header in models_in(folder, entries, walk, reader):
                if _is_new(header.files or (file,), seen):
                    yield record(file, header, "huggingface", name=name, name_source="path")


def _referred(path: str, walk: Walk) -> set[str]:
    """Return the revisions that refs name (refs/main, refs/pr/1)."""
    found = set()
    for _, entries in walk.below(path, 2):
        for entry in entries:
            if entry.kind != "file":
                continue
            try:
                with open(entry.path, "rb") as file:
                    found.add(file.read(128).decode("ascii", "replace").strip())
            except OSError:
                continue
    return found


def _is_new(files: tuple[str, ...], seen: set[tuple[int, int]]) -> bool:
    """Return whether one of the files was not seen before, and remember them all."""
    blobs = set()
    for file in files:
        try:
            status = os.stat(file)
        except OSError:
            continue
        blobs.add((status.st_dev, status.st_ino))
    new = not blobs <= seen
    seen |= blobs
    return new


def _size(path: str) -> int:
    try:
        return os.lstat(path).st_size
    except OSError:
        return 0  # finished, and renamed, since it was listed
