"""A model as a whole: a file with what lies beside it, its other parts and its configuration."""

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from safetytwin.models.fields import count as within_state
from safetytwin.workloads.formats.header import ModelHeader, Part, majority
from safetytwin.workloads.formats.transformers_config import described

_PART_NAME = re.compile(r"(?s)(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<ending>\.\w+)")
"""How llama.cpp and Transformers name the parts of a split model."""
_MAX_PARTS = 1024


@dataclass(frozen=True, slots=True)
class Folder:
    """The folder of a model file: its path, and how a file in it is read (as a part, JSON, an index) and measured."""

    path: str
    part: Callable[[str], Part | None]
    json: Callable[[str], Any]
    size: Callable[[str], int | None]
    shards: Callable[[str], tuple[str, ...]]


def whole_model(first: Part, path: str | None, folder: Folder | None) -> ModelHeader:
    """Return the model that a part belongs to; path is where the part was read, None where only a descriptor is had."""
    parts: dict[str, Part] = {path or "": first}
    missing: list[str] = []
    if path is not None and folder is not None:
        others, missing = _other_parts(first, path, folder)
        parts |= others
    header = _merged(sorted(parts.items()), missing)
    if first.count > len(parts):
        header = replace(header, parameters=None)
    if folder is not None and first.companions:
        header = _with_companions(header, first.companions, folder)
    if folder is not None and header.format in {"safetensors", "pytorch"}:
        header = described(header, _summed(part.packed for part in parts.values()), folder.json)
    return replace(
        header, parameters=within_state(header.parameters), context_length=within_state(header.context_length)
    )


def _other_parts(first: Part, path: str, folder: Folder) -> tuple[dict[str, Part], list[str]]:
    """Return the parts of a split model beside first, by path, and what is missing."""
    found: dict[str, Part] = {}
    missing: list[str] = []
    own = os.path.basename(path)
    for name in _names_of_parts(own, folder):
        if name == own:
            continue
        part = folder.part(name) if os.path.basename(name) == name else None
        if part is None or part.header.format != first.header.format:
            missing.append(name)
        else:
            found[os.path.join(folder.path, name)] = part
    if first.count > 1 + len(found) + len(missing):
        missing.append(f"all but part {first.number} of {first.count}")
    return found, missing


def _with_companions(header: ModelHeader, names: tuple[str, ...], folder: Folder) -> ModelHeader:
    sizes = {name: folder.size(name) if os.path.basename(name) == name else None for name in names}
    missing = [name for name, size in sizes.items() if size is None]
    there = {name: size for name, size in sizes.items() if size is not None}
    return replace(
        header,
        size=header.size + sum(there.values()),
        problem=header.problem or (f"files are missing: {_some(missing)}" if missing else None),
        files=(*header.files, *(os.path.join(folder.path, name) for name in there)),
    )


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _names_of_parts(name: str, folder: Folder) -> Sequence[str]:
    match = _PART_NAME.fullmatch(name)
    if match is None:
        return next((listed for index in _indexes_of(name) if name in (listed := folder.shards(index))), (name,))
    if not 1 <= int(match["count"]) <= _MAX_PARTS:
        return (name,)
    count = int(match["count"])
    return [f"{match['stem']}-{number:05d}-of-{count:05d}{match['ending']}" for number in range(1, count + 1)]


def _indexes_of(name: str) -> tuple[str, ...]:
    """Return what the index that may list a shard of another name is called (Transformers, WEIGHTS_INDEX_NAME)."""
    ending = os.path.splitext(name)[1]
    return {
        ".safetensors": ("model.safetensors.index.json", "diffusion_pytorch_model.safetensors.index.json"),
        ".bin": ("pytorch_model.bin.index.json",),
    }.get(ending, ())


def _merged(parts: list[tuple[str, Part]], missing: list[str]) -> ModelHeader:
    leading = parts[0][1].header
    elements = _summed(part.elements for _, part in parts)
    problems = [
        f"{os.path.basename(path)}: {part.header.problem}" if len(parts) > 1 else part.header.problem
        for path, part in parts
        if part.header.problem
    ]
    if missing:
        problems.append(f"parts are missing: {_some(missing)}")
    return replace(
        leading,
        size=sum(part.header.size for _, part in parts),
        parameters=None if missing else (sum(elements.values()) or leading.parameters),
        quantization=leading.quantization or majority(elements),
        problem="; ".join(filter(None, problems)) or None,
        files=tuple(path for path, _ in parts if path),
    )


def _summed(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for each in counts:
        for name, number in each.items():
            total[name] = total.get(name, 0) + number
    return total
