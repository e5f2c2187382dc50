"""Ollama's store: manifests that name blobs by their digests (ollama, server/manifest.go and server/modelpath.go)."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from safetytwin.collectors.host_root import read_bytes
from safetytwin.models.workload import AiModel
from safetytwin.workloads.formats.header import ModelHeader
from safetytwin.workloads.model_files import HeaderReader
from safetytwin.workloads.model_stores_records import DOWNLOADING, record
from safetytwin.workloads.model_stores_walk import Entry, Walk

_MAX_MANIFEST = 1024 * 1024
_DIGEST = re.compile(r"sha256[:-](?P<hex>[0-9a-f]{64})")
_UNFINISHED = re.compile(r"(?P<blob>sha256-[0-9a-f]{64})-partial(-\d+)?")
_KINDS = {"model": "model", "projector": "projector", "adapter": "adapter"}
_MEDIA_TYPE = "application/vnd.ollama.image."
_DEFAULT_HOST, _DEFAULT_NAMESPACE = "registry.ollama.ai", "library"
"""What Ollama leaves out when it shows a name."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A blob that a manifest names."""

    blob: str
    """File name below blobs/."""
    kind: str
    size: int | None
    name: str
    """The model's, as ollama run takes it."""


def scan_ollama(path: str, walk: Walk, reader: HeaderReader) -> Iterator[AiModel]:
    """Give the models of a store: every blob once, the first of several names, and blobs that no manifest names."""
    blobs = os.path.join(path, "blobs")
    present = {entry.name: entry for entry in walk.entries(blobs)}
    named: dict[str, Layer] = {}
    for manifest in _manifests(os.path.join(path, "manifests"), walk):
        for layer in layers_of(_content(manifest.path), name_of_manifest(manifest.path)):
            named.setdefault(layer.blob, layer)
    for layer in named.values():
        file = os.path.join(blobs, layer.blob)
        header = _checked(reader.read(file), layer, present.get(layer.blob))
        yield record(file, header, "ollama", name=layer.name, name_source="manifest")
    yield from _without_manifest(present, named, reader)


def _manifests(path: str, walk: Walk) -> Iterator[Entry]:
    """Give the files manifests/HOST/NAMESPACE/MODEL/TAG."""
    for folder, entries in walk.below(path, 3):
        if folder.removeprefix(path).count("/") == 3:
            yield from (entry for entry in entries if entry.kind == "file" and not entry.name.startswith("."))


def name_of_manifest(manifest: str) -> str:
    """Return a model's name, as ollama run takes it, from the path of its manifest."""
    host, namespace, model, tag = manifest.split("/")[-4:]
    parts = [model] if (host, namespace) == (_DEFAULT_HOST, _DEFAULT_NAMESPACE) else [namespace, model]
    if host != _DEFAULT_HOST:
        parts = [host, namespace, model]
    return f"{'/'.join(parts)}:{tag}"


def _content(path: str) -> bytes:
    try:
        return read_bytes(path, _MAX_MANIFEST)
    except OSError:
        return b""


def layers_of(manifest: bytes, name: str) -> list[Layer]:
    """Return the layers with weights of a manifest; [] where it is damaged."""
    try:
        said: Any = msgspec.json.decode(manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
    listed = said.get("layers") if isinstance(said, dict) else None
    found = []
    for layer in listed if isinstance(listed, list) else []:
        if not isinstance(layer, dict):
            continue
        media, digest, size = layer.get("mediaType"), layer.get("digest"), layer.get("size")
        match = _DIGEST.fullmatch(digest) if isinstance(digest, str) else None
        kind = _KINDS.get(media.removeprefix(_MEDIA_TYPE)) if isinstance(media, str) else None
        if match is not None and kind is not None:
            found.append(Layer(f"sha256-{match['hex']}", kind, size if isinstance(size, int) else None, name))
    return found


def _checked(header: ModelHeader | None, layer: Layer, blob: Entry | None) -> ModelHeader:
    if blob is None:
        return ModelHeader("gguf", 0, kind=layer.kind, problem="its blob is missing; ollama pull fetches it")
    if blob.kind == "link":
        return ModelHeader("gguf", 0, kind=layer.kind, problem="its blob is a link, which is not followed")
    if header is None:
        return ModelHeader("gguf", _size(blob.path), kind=layer.kind, problem="its content is no model")
    problem = header.problem
    if layer.size is not None and layer.size != header.size:
        problem = f"wrong length: {header.size} bytes where its manifest says {layer.size}"
    return replace(header, kind=layer.kind, problem=problem)


def _without_manifest(present: dict[str, Entry], named: dict[str, Layer], reader: HeaderReader) -> Iterator[AiModel]:
    unfinished: set[str] = set()
    for name, entry in present.items():
        match = _UNFINISHED.fullmatch(name)
        if match is not None:
            if match["blob"] not in unfinished | named.keys():
                unfinished.add(match["blob"])
                header = ModelHeader("gguf", _size(entry.path), problem=DOWNLOADING)
                yield record(entry.path, header, "ollama")
        elif entry.kind == "file" and name not in named and _DIGEST.fullmatch(name) is not None:
            found = reader.read(entry.path)
            if found is not None and not found.weak:
                yield record(entry.path, found, "ollama")


def _size(path: str) -> int:
    try:
        return os.lstat(path).st_size
    except OSError:
        return 0  # gone since it was listed
